"""Substrates as others would write them."""

from typing import Any

from metalearn.states import States
from metalearn.steering import Q


class Counting:
    """Counts rows."""

    def __init__(self, entries: int, seed: int) -> None:
        self.rows = 0

    @property
    def ready(self) -> bool:
        return self.rows > 0

    def update(self, states: States, q: Q | None) -> dict[str, float]:
        self.rows += states.rows
        return {"counting/rows": float(self.rows)}

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rows = state["rows"]


class Idle:
    """Lacks everything but readiness and state."""

    ready = True

    def __init__(self, entries: int, seed: int) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...
