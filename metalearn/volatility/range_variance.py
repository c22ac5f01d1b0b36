"""How far prices moved within days: what stands in for a variance that nobody sees.

The range from high to low: Parkinson (1980), "The Extreme Value Method for Estimating the Variance of the Rate of
Return". The square of the move overnight is added to it, as in Hansen and Lunde (2005), "A Realized Variance for the
Whole Day Based on Intermittent High-Frequency Data".
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from feeds.errors import FeedError
from feeds.market.bars import Bars

_LEAST = 1e-4  # per cent squared: a day on which prices moved by 0.01 %, about a tick


class Days(NamedTuple):
    """Days of N assets, oldest first; NaN where an asset was not traded."""

    change: Float[Tensor, "t n"]  # log return from close to close, per cent
    variance: Float[Tensor, "t n"]  # from the range and the night before, per cent squared

    @classmethod
    def of(cls, bars: Bars) -> "Days":
        """One fewer than bars: the first has no close before it. FeedError where bars know no open, high and low."""
        if bars.open is None or bars.high is None or bars.low is None:
            raise FeedError("volatility from ranges needs bars with open, high and low; these know closes alone")
        opened, high, low, close = (
            torch.as_tensor(part).double() for part in (bars.open, bars.high, bars.low, bars.close)
        )
        traded = torch.as_tensor(bars.tradable)
        change = 100.0 * close.log().diff(dim=0)
        known = traded[1:] & ~change.isnan()
        variance = range_variance(opened[1:], high[1:], low[1:], close[:-1]).clamp(min=_LEAST)
        return cls(torch.where(known, change, torch.nan), torch.where(known, variance, torch.nan))

    @classmethod
    def unknown(cls, days: int, assets: int) -> "Days":
        nothing = torch.full((days, assets), torch.nan, dtype=torch.float64)
        return cls(nothing, nothing.clone())

    def cut(self, start: int, stop: int | None = None) -> "Days":
        return Days(self.change[start:stop], self.variance[start:stop])

    def joined(self, later: "Days") -> "Days":
        return Days(torch.cat([self.change, later.change]), torch.cat([self.variance, later.variance]))


def range_variance(
    opened: Float[Tensor, "*b"], high: Float[Tensor, "*b"], low: Float[Tensor, "*b"], close_before: Float[Tensor, "*b"]
) -> Float[Tensor, "*b"]:
    """Of one day, in per cent squared: (ln high / low)^2 / (4 ln 2) and the square of the move from close to open."""
    within = (100.0 * (high / low).log()).square() / (4.0 * math.log(2.0))
    return within + (100.0 * (opened / close_before).log()).square()
