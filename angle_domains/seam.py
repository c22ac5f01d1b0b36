"""Between actors and a learner: parameters go out, sequences come in.

In one process the loop is both (`loops.off_policy`). An engine that puts actors on other machines needs what stands
here and nothing of an agent: an actor adopts what the learner published, decides, and hands its rows to a `Collector`,
which cuts them into the windows that the learner learns from; a `SequenceReplay` keeps them. All that crosses is
tensors by name.
"""

from collections import deque
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from angle_domains.replay import AT_START
from angle_domains.types import Decision, LearnResult, Percept, Window


class Published(NamedTuple):
    """What decisions are made by, at one moment of learning."""

    version: int  # updates that went before
    state: dict[str, Any]  # tensors, numbers, and dicts and lists of them


@runtime_checkable
class Learner(Protocol):
    """An agent where it learns."""

    def publish(self) -> Published:
        """Copies: later updates do not change them."""
        ...

    def learn(self, window: Window) -> LearnResult: ...


@runtime_checkable
class Actor(Protocol):
    """An agent where it acts."""

    def act(self, percept: Percept, memory: Any, *, explore: bool) -> Decision: ...

    def adopt(self, published: Published) -> None:
        """Decides by these from now on; CheckpointError where they belong to another network."""
        ...


class Collector:
    """Cuts the rows of an actor's streams, tick by tick, into windows of `length` actions, one every `period` ticks."""

    def __init__(self, length: int, period: int) -> None:
        self.length, self.period = length, period
        self.ticks = 0
        self._rows: deque[tuple[Percept, Decision]] = deque(maxlen=length + 1)

    def add(self, percept: Percept, decision: Decision) -> Window | None:
        """Takes in one tick; the window that it completes, of all streams, where it completes one."""
        self._rows.append((percept, decision))
        self.ticks += 1
        begun = self.ticks - self.length - 1
        if begun < 0 or begun % self.period:
            return None
        percepts, decisions = zip(*self._rows, strict=True)
        columns = [None if each[0] is None else torch.stack(each) for each in zip(*percepts, strict=True)]
        action = torch.stack([each.action for each in decisions[:-1]])
        extras = {name: _column(name, decisions) for name in decision.extras}
        return Window(Percept._make(columns), action, extras, torch.ones(action.shape[1]))


def _column(name: str, decisions: tuple[Decision, ...]) -> Tensor:
    rows = decisions[:1] if name.startswith(AT_START) else decisions
    return torch.stack([each.extras[name] for each in rows])
