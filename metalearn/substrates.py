"""What a substrate is: a model that a MetaLearnerTrainer trains beside an agent.

One more is a class with these methods in a file of its own, made as `MySubstrate(entries, seed)`; `meta.also` names it,
`my_package:MySubstrate`.
"""

from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from feeds.errors import FeedError
from metalearn.states import States
from metalearn.steering import Q


@runtime_checkable
class Substrate(Protocol):
    """Learns from states, steered by Q, which it only reads."""

    @property
    def ready(self) -> bool:
        """Whether it was ever trained."""
        ...

    def update(self, states: States, q: Q | None) -> dict[str, float]:
        """Metrics of rows that it did not learn from, by names with its own in front."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def build(name: str, entries: int, seed: int) -> Substrate:
    """The class at `my_package.my_module:MySubstrate`, made for observations of so many entries.

    FeedError where it cannot be found or lacks a method.
    """
    module, _, attribute = name.partition(":")
    try:
        made = getattr(import_module(module), attribute)(entries, seed)
    except (ImportError, AttributeError, ValueError) as error:
        raise FeedError(
            f"meta.also names '{name}', which cannot be had ({error}): write my_package:MySubstrate"
        ) from error
    if not isinstance(made, Substrate):
        lacking = [each for each in ("ready", "update", "state_dict", "load_state_dict") if not hasattr(made, each)]
        raise FeedError(f"meta.also names '{name}', which lacks {', '.join(lacking)}: see metalearn/substrates.py")
    return made
