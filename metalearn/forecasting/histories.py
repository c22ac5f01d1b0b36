"""Histories and what came after them, cut from longer sequences."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_FAR = 3.0  # standard deviations
_PRIOR = 5.0  # typical changes that a history's own are joined by


class History(NamedTuple):
    """The last L ticks of D variables, the newest last."""

    value: Float[Tensor, "*b l d"]  # standardised; what was not seen as it was known; 0, the mean, where nothing was
    seen: Float[Tensor, "*b l d"]  # 1 where the variable was measured at that tick
    elapsed: Float[Tensor, "*b l"]  # since the tick before, in units of the clock; 0 at the first

    @classmethod
    def whole(cls, value: Float[Tensor, "*b l d"]) -> "History":
        """A history without gaps, a unit of time from tick to tick."""
        return cls(value, torch.ones_like(value), torch.ones_like(value[..., 0]))

    def last(self) -> Float[Tensor, "*b d"]:
        """The last value of each variable that was seen; where none was, what is known from before the history."""
        place = self.newest()
        found = self.value.gather(-2, place.clamp(min=0).unsqueeze(-2)).squeeze(-2)
        return torch.where(place >= 0, found, self.value[..., -1, :])

    def level(self) -> Float[Tensor, "*b d"]:
        """The last value held within `_FAR` of the mean: what lies beyond was hardly ever learned from."""
        return self.last().clamp(-_FAR, _FAR)

    def newest(self) -> Int[Tensor, "*b d"]:
        """The tick at which each variable was last seen; -1 where it never was."""
        ticks = torch.arange(self.value.shape[-2], device=self.value.device).unsqueeze(-1)
        return torch.where(self.seen > 0, ticks, -1).amax(-2)

    def since(self) -> Float[Tensor, "*b l d"]:
        """Time since each variable was last seen before that tick, or since the history began."""
        gaps, out = self.elapsed.unbind(-1), []
        before = torch.zeros_like(self.value[..., 0, :])
        for tick, gap in enumerate(gaps):
            before = before + gap.unsqueeze(-1)
            out.append(before)
            before = torch.where(self.seen[..., tick, :] > 0, 0.0, before)
        return torch.stack(out, -2)

    def scale(self, typical: Float[Tensor, " d"]) -> Float[Tensor, "*b d"]:
        """How far each variable moves in a tick: the root mean square of its changes between ticks that saw it.

        A history holds few of them, so they are joined by `_PRIOR` changes of the `typical` size.
        """
        both = self.seen[..., 1:, :] * self.seen[..., :-1, :]
        change = (self.value[..., 1:, :] - self.value[..., :-1, :]) * both
        total = change.square().sum(-2) + _PRIOR * typical.square()
        return (total / (both.sum(-2) + _PRIOR)).sqrt()

    def relative(self, scale: Float[Tensor, "*b d"]) -> Float[Tensor, "*b l d"]:
        """The values as seen from the last, in units of the scale; 0 where there is none."""
        return (self.value - self.last().unsqueeze(-2)) * self.seen / scale.unsqueeze(-2)


def typical_change(history: History, floor: float = 0.01) -> Float[Tensor, " d"]:
    """The root mean square of each variable's changes over a batch of histories; 1 where none was seen twice."""
    both = history.seen[..., 1:, :] * history.seen[..., :-1, :]
    change = ((history.value[..., 1:, :] - history.value[..., :-1, :]) * both).flatten(0, -2)
    count = both.flatten(0, -2).sum(0)
    found = (change.square().sum(0) / count.clamp(min=1.0)).sqrt().clamp(min=floor)
    return torch.where(count > 0, found, 1.0)


class Future(NamedTuple):
    """What D variables were at H horizons after a history."""

    value: Float[Tensor, "*b h d"]
    seen: Float[Tensor, "*b h d"]


def cut(
    value: Float[Tensor, "t d"],
    seen: Float[Tensor, "t d"],
    elapsed: Float[Tensor, " t"],
    first: Bool[Tensor, " t"],
    *,
    length: int,
    horizons: tuple[int, ...],
    ends: Int[Tensor, " n"] | None = None,
) -> tuple[History, Future, Int[Tensor, " m"]]:
    """The histories that end at some rows of a sequence of episodes, by default at all, with what came after.

    A history holds nothing from before its episode began: such ticks are unseen and 0. A future beyond the end of its
    episode is unseen too; rows with no future at all are left out, and those that are kept are given last.
    """
    rows = len(value)
    episode = first.long().cumsum(0)
    ends = torch.arange(rows) if ends is None else ends
    back = ends.unsqueeze(1) - torch.arange(length - 1, -1, -1)
    ahead = ends.unsqueeze(1) + torch.tensor(horizons)
    known = (back >= 0) & (episode[back.clamp(min=0)] == episode[ends].unsqueeze(1))
    comes = (ahead < rows) & (episode[ahead.clamp(max=rows - 1)] == episode[ends].unsqueeze(1))
    kept = comes.any(1)
    back, known = back[kept].clamp(min=0), known[kept]
    ahead, comes = ahead[kept].clamp(max=rows - 1), comes[kept]
    there = known.unsqueeze(-1) * seen[back]
    gaps = torch.where(known & ~first[back], elapsed[back], 0.0)
    history = History(value[back] * known.unsqueeze(-1), there, gaps)
    came = comes.unsqueeze(-1) * seen[ahead]
    return history, Future(value[ahead] * came, came), ends[kept]
