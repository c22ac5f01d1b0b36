"""Quantiles that cannot cross, the loss they are learned by, and the correction that makes them cover.

The loss is that of Koenker and Bassett (1978). The correction is split conformal: Romano, Patterson and Candes (2019),
"Conformalized Quantile Regression", arXiv:1905.03222, here a shift for each level, horizon and variable.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)  # the median in the middle
MEDIAN = LEVELS.index(0.5)


def ordered(raw: Float[Tensor, "*b q"]) -> Float[Tensor, "*b q"]:
    """Quantiles from free numbers: the median as it is, the others ever further away from it."""
    median = raw[..., MEDIAN : MEDIAN + 1]
    above = softplus(raw[..., MEDIAN + 1 :]).cumsum(-1)
    below = softplus(raw[..., :MEDIAN]).flip(-1).cumsum(-1).flip(-1)
    return torch.cat([median - below, median, median + above], -1)


def levels_like(quantiles: Float[Tensor, "*b q"]) -> Float[Tensor, " q"]:
    return torch.tensor(LEVELS, dtype=quantiles.dtype, device=quantiles.device)


def pinball(quantiles: Float[Tensor, "*b q"], came: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """The mean over the levels of max(tau u, (tau - 1) u), u = came - quantile: half of an approximate CRPS."""
    over = came.unsqueeze(-1) - quantiles
    levels = levels_like(quantiles)
    return torch.maximum(levels * over, (levels - 1.0) * over).mean(-1)


def masked_mean(numbers: Float[Tensor, "*b"], seen: Float[Tensor, "*b"]) -> Float[Tensor, ""]:
    """Over what was seen; 0 where nothing was."""
    return (numbers * seen).sum() / seen.sum().clamp(min=1.0)


class Conformal:
    """Shifts of quantiles from forecasts that were held out, in units of each forecast's scale.

    After n calm forecasts a level tau above the median is not exceeded with probability tau or more, and one below it
    with probability tau or less, as long as n + 1 is at least 1 / (1 - tau) or 1 / tau: with fewer the extremes of what
    was seen stand in.
    """

    def __init__(self, horizons: int, variables: int, capacity: int = 2_000) -> None:
        self.capacity = capacity
        self.scores = torch.zeros(capacity, horizons, variables, len(LEVELS))
        self.known = torch.zeros(capacity, horizons, variables, dtype=torch.bool)
        self.written = 0
        self._shifts: Tensor | None = None

    def forget(self) -> None:
        """Begins anew."""
        self.known.zero_()
        self.written, self._shifts = 0, None

    def observe(
        self,
        quantiles: Float[Tensor, "b h d q"],
        came: Float[Tensor, "b h d"],
        seen: Float[Tensor, "b h d"],
        scale: Float[Tensor, "b d"],
    ) -> None:
        """Takes in forecasts that no fit has seen, and what came; the oldest make room."""
        self._shifts = None
        scores = (came.unsqueeze(-1) - quantiles) / scale[:, None, :, None]
        for start in range(0, len(scores), self.capacity):
            part = slice(start, start + self.capacity)
            place = (self.written + torch.arange(len(scores[part]))) % self.capacity
            self.scores[place], self.known[place] = scores[part].detach().to(self.scores), seen[part].cpu() > 0
            self.written += len(place)

    def shifts(self) -> Float[Tensor, "h d q"]:
        """0 where nothing was observed yet; ranks are rounded outwards."""
        if self._shifts is None:
            count = self.known.sum(0).unsqueeze(-1)
            rows = torch.where(self.known.unsqueeze(-1), self.scores, torch.inf).sort(0).values
            place = torch.tensor(LEVELS, dtype=torch.float64) * (count + 1)
            outwards = torch.where(torch.tensor(LEVELS) < 0.5, (place + 1e-9).floor(), (place - 1e-9).ceil())
            rank = torch.minimum(outwards.long() - 1, count - 1).clamp(min=0)
            found = rows.gather(0, rank.unsqueeze(0)).squeeze(0)
            self._shifts = torch.where(count > 0, found, 0.0)
        return self._shifts

    def correct(self, quantiles: Float[Tensor, "b h d q"], scale: Float[Tensor, "b d"]) -> Float[Tensor, "b h d q"]:
        """Shifted quantiles, sorted where shifts made them cross."""
        moved = quantiles + self.shifts().to(quantiles) * scale[:, None, :, None]
        return moved.sort(-1).values

    def state_dict(self) -> dict[str, Any]:
        return {"scores": self.scores, "known": self.known, "written": self.written}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.scores, self.known, self.written = state["scores"].clone(), state["known"].clone(), state["written"]
        self._shifts = None
