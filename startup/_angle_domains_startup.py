"""Registers our environments at the moment somebody imports gymnasium.

Gymnasium loaded plug-ins through entry points until version 1.0, which took that door away. This module lies beside
the packages, is started by `angle_domains.pth` in every interpreter of the environment, and so imports nothing itself:
it waits on the import path for gymnasium and adds one act behind its loading.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # the one of `typing` would cost every interpreter some milliseconds
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


class AfterGymnasium:
    """A finder that leaves finding to the others."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "gymnasium":
            return None
        found = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            self._follow(spec.loader)
        return spec

    def _follow(self, loader: Any) -> None:
        execute = loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
                register()

        loader.exec_module = execute_and_register


def register() -> None:
    """Adds our environments to gymnasium's registry."""
    try:
        import angle_domains  # noqa: F401  raises where a foreign envs/ or feeds/ shadows ours
        from envs.registration import register_envs
    except ImportError:
        return  # the working folder has an envs/ of its own: that is no error of who uses gymnasium without us
    register_envs()


def start() -> None:
    if "gymnasium" not in sys.modules and not any(isinstance(finder, AfterGymnasium) for finder in sys.meta_path):
        sys.meta_path.insert(0, AfterGymnasium())  # type: ignore[arg-type]
