"""Sequences of experience that is still growing: every `period` ticks one begins, and so they overlap.

Kapturowski, Ostrovski, Quan, Munos and Dabney (2019), "Recurrent Experience Replay in Distributed Reinforcement
Learning" (R2D2), section 2.3.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from angle_domains.replay.samplers import Draw, Sampler
from angle_domains.replay.storage import Ints


class Overlapping:
    """Draws starts at ticks that `period` divides, by an inner sampler to which each of them is a row.

    A window may start where an episode ended: its first action is then one that nobody took. ValueError where the
    ring cannot be cut into periods.
    """

    def __init__(self, rows: int, streams: int, period: int, inner: Sampler) -> None:
        if rows % period:
            raise ValueError(f"{rows} ticks cannot be cut into periods of {period}")
        self.streams, self.period, self.inner = streams, period, inner
        self._begun = torch.zeros(rows // period, streams, dtype=torch.bool)  # whether an action is ignored: none is

    def draw(
        self, oldest: int, newest: int, last: Bool[Tensor, "rows streams"], batch: int, generator: Generator
    ) -> Draw:
        first, final = -(-oldest // self.period), newest // self.period
        if final < first:
            raise ValueError(f"no sequence begins in the {newest + 1 - oldest} ticks that windows could start at")
        place, weight = self.inner.draw(first, final, self._begun, batch, generator)
        block, stream = place // self.streams, place % self.streams
        return Draw(self._place(block, stream), weight)

    def reprioritise(self, priority: Float[Tensor, " b"]) -> None:
        self.inner.reprioritise(priority)

    def clear(self) -> None:
        self.inner.clear()

    def state_dict(self) -> dict[str, Any]:
        return self.inner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.inner.load_state_dict(state)

    def _place(self, block: Ints, stream: Ints) -> Ints:
        return block * self.period * self.streams + stream
