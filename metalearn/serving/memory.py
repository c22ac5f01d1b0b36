"""The last ticks of every stream, so that whoever sees one row after another can look back as a record can."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metalearn.forecasting.histories import History
from metalearn.states import Scaler, States


class Past(NamedTuple):
    """L ticks of B streams, the newest last; what lies before an episode is unseen."""

    observation: Float[Tensor, "b l d"]
    seen: Float[Tensor, "b l d"]  # 1 where an entry was measured
    known: Float[Tensor, "b l"]  # 1 where the episode had begun
    elapsed: Float[Tensor, "b l"]  # since the tick before; 0 in first rows

    @classmethod
    def blank(cls, streams: int, length: int, entries: int) -> "Past":
        nothing = torch.zeros(streams, length, entries)
        return cls(nothing, nothing.clone(), torch.zeros(streams, length), torch.zeros(streams, length))

    def then(
        self, observation: Float[Tensor, "b d"], first: Bool[Tensor, " b"], elapsed: Float[Tensor, " b"] | None
    ) -> "Past":
        """A tick later; an episode that begins forgets what was before. Without `elapsed` a unit of time passed."""
        goes_on = (~first).to(observation.dtype)
        passed = goes_on if elapsed is None else elapsed * goes_on
        kept = goes_on[:, None, None]
        return Past(
            torch.cat([self.observation[:, 1:] * kept, observation.unsqueeze(1)], 1),
            torch.cat([self.seen[:, 1:] * kept, torch.ones_like(observation).unsqueeze(1)], 1),
            torch.cat([self.known[:, 1:] * goes_on[:, None], torch.ones_like(passed).unsqueeze(1)], 1),
            torch.cat([self.elapsed[:, 1:] * goes_on[:, None], passed.unsqueeze(1)], 1),
        )

    def history(self, length: int, scaler: Scaler) -> History:
        """The newest `length` ticks as models read them."""
        value = scaler.apply(self.observation[:, -length:]) * self.known[:, -length:].unsqueeze(-1)
        return History(value, self.seen[:, -length:], self.elapsed[:, -length:])


def pasts(states: States, rows: Int[Tensor, " m"], length: int) -> Past:
    """Of rows of a record: what one would remember who had come by all rows of their episodes."""
    episode = states.first.long().cumsum(0)
    back = rows.unsqueeze(1) - torch.arange(length - 1, -1, -1)
    there = (back >= 0) & (episode[back.clamp(min=0)] == episode[rows].unsqueeze(1))
    back, known = back.clamp(min=0), there.to(states.observation.dtype)
    gaps = torch.where(there & ~states.first[back], states.elapsed[back], 0.0)
    return Past(states.observation[back] * known.unsqueeze(-1), known.unsqueeze(-1) * states.seen[back], known, gaps)
