"""The last rows that each stream lived through, kept apart from the agent's replay, whose draws it must not disturb."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metalearn.states import States

_LEAST = 200  # ticks of a stream: fewer hold no task and hardly a label
_UNIT = 100  # rows of one episode, at most, that are held out together


class Diary:
    """A ring of at least `_LEAST` ticks of the first streams, as many as `rows` has room for, read as episodes."""

    def __init__(self, rows: int, streams: int, entries: int) -> None:
        streams = min(streams, max(1, rows // _LEAST))
        self.rows, self.streams = rows, streams = max(rows // streams, 2), streams  # ticks from here on
        self.observation = torch.zeros(rows, streams, entries)
        self.elapsed, self.reward = torch.zeros(rows, streams), torch.zeros(rows, streams)
        self.first = torch.zeros(rows, streams, dtype=torch.bool)
        self.terminated = torch.zeros(rows, streams, dtype=torch.bool)
        self.action = torch.zeros(rows, streams, dtype=torch.int64)
        self.moment = torch.zeros(rows, streams, dtype=torch.int64)
        self.unit = torch.zeros(rows, streams, dtype=torch.int64)
        self.running, self.length = torch.zeros(2, streams, dtype=torch.int64)  # the unit of each stream, its rows
        self.units = 0  # so far
        self.discrete, self.dated = True, False
        self.written = 0

    def append(
        self,
        observation: Float[Tensor, "b d"],
        reward: Float[Tensor, " b"],
        first: Bool[Tensor, " b"],
        terminated: Bool[Tensor, " b"],
        action: Int[Tensor, " b"] | None,
        elapsed: Float[Tensor, " b"] | None = None,
        moment: Int[Tensor, " b"] | None = None,
    ) -> None:
        """Takes a tick in; the oldest makes room. Without `elapsed` a unit of time passed.

        `moment` is where each stream stands in a calendar that they share; None where they share none.
        """
        at, few = self.written % self.rows, slice(self.streams)
        begins, passed = first[few], torch.ones_like(reward) if elapsed is None else elapsed
        self.observation[at], self.first[at], self.terminated[at] = observation[few], begins, terminated[few]
        self.reward[at] = torch.where(begins, 0.0, reward[few])
        self.elapsed[at] = torch.where(begins, 0.0, passed[few])
        self.discrete = action is not None
        if action is not None:
            self.action[at] = action[few]
        self.dated = moment is not None
        if moment is not None:
            self.moment[at] = moment[few]
        self.unit[at] = self._unit_of(begins)
        self.written += 1

    def _unit_of(self, begins: Bool[Tensor, " b"]) -> Int[Tensor, " b"]:
        """An episode is a unit, a long one several; numbers are given once, in the order in which units begin."""
        new = begins | (self.length >= _UNIT) | (self.written == 0)
        self.running = torch.where(new, self.units + new.long().cumsum(0) - 1, self.running)
        self.length = torch.where(new, 1, self.length + 1)
        self.units += int(new.sum())
        return self.running

    def __len__(self) -> int:
        """Rows held, of all streams together."""
        return min(self.written, self.rows) * self.streams

    def states(self, newest: int | None = None) -> States:
        """The rows held, or the newest ticks alone, stream after stream; each episode is an entity.

        An episode whose beginning was lost begins with what is left of it.
        """
        held = min(self.written, self.rows if newest is None else min(newest, self.rows))
        order = torch.arange(self.written - held, self.written) % self.rows

        def flat(column: Tensor) -> Tensor:
            return column[order].transpose(0, 1).flatten(0, 1)

        first = self.first[order].clone()
        first[0] = True
        begins = first.T.flatten()
        observation = flat(self.observation)
        return States(
            observation=observation,
            seen=torch.ones_like(observation),
            elapsed=torch.where(begins, 0.0, flat(self.elapsed)),
            first=begins,
            terminated=flat(self.terminated),
            reward=torch.where(begins, 0.0, flat(self.reward)),
            action=flat(self.action) if self.discrete else None,
            entity=begins.long().cumsum(0) - 1,
            moment=flat(self.moment) if self.dated else None,
            unit=flat(self.unit),
        )

    def state_dict(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("rows", "streams")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value.clone() if isinstance(value, Tensor) else value)
