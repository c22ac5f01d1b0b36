"""Any registered gymnasium environment as a GameFeed."""

import hashlib
import importlib
import json
import os
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

import gymnasium
import numpy as np

from feeds.base import FeedSpec
from feeds.classic.config import ClassicConfig, listing
from feeds.classic.native import NativeEnvs, is_native
from feeds.classic.spaces import fit_spaces
from feeds.classic.vector import GameEnvs
from feeds.errors import FeedError, nearest
from feeds.games import SPLITS, Camera, check_split, check_streams

_FRAME_RATE = 30  # where an environment does not say


class ClassicFeed:
    """One environment; its parts differ in their seeds alone."""

    def __init__(self, config: ClassicConfig) -> None:
        self.config = config
        self.registered = find_spec(config.env)
        probe = self._make()
        self.spec = FeedSpec(
            name="classic",
            observation_space=probe.observation_space,
            action_space=probe.action_space,
            clock=f"one step of {config.env}",
            splits=SPLITS,
        )
        self.metadata = dict(probe.metadata)
        probe.close()

    def envs(self, streams: int, *, split: str) -> GameEnvs | NativeEnvs:
        """Streams to train on are computed as arrays where gymnasium can; those of other parts one by one."""
        check_streams(streams)
        if check_split(split) == "train" and is_native(self.registered):
            limit, kwargs = self.config.max_steps, self.config.kwargs
            return NativeEnvs(self.registered, streams, split=split, max_steps=limit, kwargs=kwargs)
        return GameEnvs(self._make, streams, split=split)

    def camera(self, split: str, seed: int) -> Camera:
        """One stream, reset with a seed, and its picture; FeedError where the environment draws none."""
        if "rgb_array" not in self.metadata.get("render_modes", ["rgb_array"]):
            raise FeedError(f"{self.config.env} draws no pictures: it has no render mode 'rgb_array'")
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pictures are drawn without a screen all the same
        envs = GameEnvs(lambda: self._make(render_mode="rgb_array"), 1, split=check_split(split))
        envs.reset(seed=seed)

        def frame() -> np.ndarray:
            try:
                return np.asarray(envs.games[0].render(), np.uint8)
            except gymnasium.error.DependencyNotInstalled as error:
                raise FeedError(f"pictures of {self.config.env} need a package: {_first_line(error)}") from error

        return Camera(envs, frame, float(self.metadata.get("render_fps", _FRAME_RATE)))

    def describe(self) -> dict[str, Any]:
        """The environment by id, version of its package and arguments; that is what its digest is of."""
        told = {
            "id": self.registered.id,
            "package": _package(self.registered),
            "kwargs": self.registered.kwargs | self.config.kwargs,
            "max_steps": self.config.max_steps or self.registered.max_episode_steps,
        }
        text = json.dumps(told, sort_keys=True, default=str)
        return {
            "name": f"classic/{self.registered.id}",
            "digest": hashlib.sha256(text.encode()).hexdigest(),
            "source": str(told["package"]),
            "schema": {"observation": str(self.spec.observation_space), "action": str(self.spec.action_space)},
            "profile": {"protocol": json.loads(text)},
        }

    def _make(self, **changes: Any) -> gymnasium.Env[Any, Any]:
        name, given = self.config.env, self.config.kwargs | changes
        try:
            env = gymnasium.make(
                self.registered, max_episode_steps=self.config.max_steps, disable_env_checker=True, **given
            )
        except gymnasium.error.DependencyNotInstalled as error:
            raise FeedError(
                f"{name} needs a package that is not installed: {_remedy(self.registered, error)}"
            ) from error
        except ImportError as error:
            raise FeedError(f"{name} cannot be imported: {error}") from error
        except (TypeError, gymnasium.error.Error) as error:
            raise FeedError(f"{name} cannot be made with {given}: {error}") from error
        return fit_spaces(env, name)


def find_spec(name: str) -> Any:
    """The registered spec of a name; FeedError where its module is missing or nothing is registered so."""
    module, _, own = name.rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise FeedError(f"{name}: the module '{module}' cannot be imported: {error}") from error
    if own not in gymnasium.registry:
        ids = [each for each in gymnasium.registry if not module or _comes_from(each, module)]
        raise FeedError(f"gymnasium has no environment '{own}' registered: {nearest(own, ids or listing())}")
    return gymnasium.registry[own]


def _comes_from(own: str, module: str) -> bool:
    return str(gymnasium.registry[own].entry_point).partition(":")[0].split(".")[0] == module.split(".")[0]


def _remedy(spec: Any, error: Exception) -> str:
    """How to install what is missing; our own extras by our name."""
    if "box2d" in str(spec.entry_point):
        return "pip install 'angle-domains[box2d]'"
    return _first_line(error)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _package(spec: Any) -> str:
    """The distribution an environment came with, and its version."""
    entry = spec.entry_point
    module = entry.partition(":")[0] if isinstance(entry, str) else str(getattr(entry, "__module__", ""))
    for name in packages_distributions().get(module.split(".")[0], []):
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return module
