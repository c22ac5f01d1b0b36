"""What the market does to a portfolio, as tables `[T, N]` computed once: relatives, fills, payouts, impact."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from feeds.backend import Backend
from feeds.errors import FeedError
from feeds.market.accounting import Bar
from feeds.market.bars import Bars
from feeds.market.config import Costs, MarketConfig

Array = Any

_VOLATILITY_BARS = 20  # of the volatility that impact is scaled by


@dataclass(frozen=True)
class Flow:
    """Row t holds what happens in bar t, but fills and impact where orders fill at the close they were decided at.

    Tables that would change nothing are None, so that a step does not compute with them.
    """

    whole: Array  # price relatives close to close, delisted assets at their recovery
    before: Array | None  # price relatives from the close before to the fill
    after: Array | None  # price relatives from the fill to the close
    fills: Array | None  # 1.0 where orders fill
    stays: Array | None  # 0.0 in the bar in which a delisted asset is paid out
    linear: Array | None
    root: Array | None
    same_close: bool

    def to(self, backend: Backend) -> "Flow":
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return Flow(**{name: backend.put(t) if isinstance(t, np.ndarray) else t for name, t in named.items()})

    def bar(self, backend: Backend, now: Array, ahead: Array) -> Bar:
        """The bar that leads each stream from row `now` to row `ahead`, both `[B]`."""
        rows = backend.rows
        if self.plain:
            return Bar(rows(self.before, ahead))
        before, after = (None if table is None else rows(table, ahead) for table in (self.before, self.after))
        fill = now if self.same_close else ahead
        fills, linear, root = (
            None if table is None else rows(table, fill) for table in (self.fills, self.linear, self.root)
        )
        stays = None if self.stays is None else rows(self.stays, ahead)
        return Bar(before, after, fills, stays, linear, root)

    @cached_property
    def plain(self) -> bool:
        """Prices move up to the fill, and nothing else happens: the common case, worth a shortcut."""
        others = self.after, self.fills, self.stays, self.linear, self.root
        return self.before is not None and all(table is None for table in others)


def make_flow(bars: Bars, config: MarketConfig) -> Flow:
    """The tables of a universe; FeedError where a cost needs what the data lack."""
    paid = payouts(bars.listed)
    whole = relatives(bars.close)
    whole[paid] = config.recovery
    same_close = config.fill == "same_close"
    before, after = (None, whole) if same_close else _around_open(bars, whole, paid)
    linear, root = impact(bars, config.costs)
    fills = tradable(bars, config.costs)
    return Flow(
        whole=whole,
        before=before,
        after=after,
        fills=None if fills.all() else fills.astype(np.float64),
        stays=(~paid).astype(np.float64) if paid.any() else None,
        linear=linear,
        root=root,
        same_close=same_close,
    )


def payouts(listed: Bool[np.ndarray, "t n"]) -> Bool[np.ndarray, "t n"]:
    """True in the bar at which an asset is no longer listed."""
    paid = np.zeros_like(listed)
    paid[1:] = listed[:-1] & ~listed[1:]
    return paid


def relatives(close: Float[np.ndarray, "t n"]) -> Float[np.ndarray, "t n"]:
    """Close over the close before; 1 where one of them is missing."""
    close = np.asarray(close, np.float64)
    ratio = np.ones_like(close)
    ratio[1:] = close[1:] / close[:-1]
    return np.where(np.isfinite(ratio), ratio, 1.0)


def tradable(bars: Bars, costs: Costs) -> Bool[np.ndarray, "t n"]:
    """Where orders fill: the bar exists and, where impact is charged, something was traded in it."""
    if bars.volume is None or not (costs.linear_impact or costs.sqrt_impact):
        return bars.tradable
    with np.errstate(invalid="ignore"):
        return bars.tradable & (bars.volume * bars.close > 0.0)


def impact(bars: Bars, costs: Costs) -> tuple[Float[np.ndarray, "t n"] | None, Float[np.ndarray, "t n"] | None]:
    """Coefficients of linear impact (per currency traded) and of square-root impact (per its root).

    An order of n currency in a bar in which v was traded costs n (a n/v + b s sqrt(n/v)), s the volatility of a bar.
    """
    if not (costs.linear_impact or costs.sqrt_impact):
        return None, None
    if bars.volume is None:
        raise FeedError(f"feed.costs charges market impact, but '{bars.source}' has no column 'volume'")
    value = np.where(tradable(bars, costs), bars.volume * bars.close, np.inf)
    linear = costs.linear_impact / value if costs.linear_impact else None
    root = costs.sqrt_impact * volatility(bars.close) / np.sqrt(value) if costs.sqrt_impact else None
    return linear, root


def volatility(close: Float[np.ndarray, "t n"]) -> Float[np.ndarray, "t n"]:
    """Root mean square of the last 20 log returns up to each bar, of fewer after listing; 0 before the first."""
    there = np.zeros(close.shape)
    there[1:] = np.isfinite(close[1:]) & np.isfinite(close[:-1])
    total, count = np.cumsum(np.log(relatives(close)) ** 2, 0), np.cumsum(there, 0)
    for sums in (total, count):
        sums[_VOLATILITY_BARS:] -= sums[:-_VOLATILITY_BARS].copy()
    return np.sqrt(np.maximum(total, 0.0) / np.maximum(count, 1.0))


def _around_open(
    bars: Bars, whole: Float[np.ndarray, "t n"], paid: Bool[np.ndarray, "t n"]
) -> tuple[Float[np.ndarray, "t n"], Float[np.ndarray, "t n"] | None]:
    """Relatives from the close before to the open and from the open to the close; all up to the close without opens."""
    if bars.open is None:
        return whole, None
    after = bars.close / bars.open
    after = np.where(np.isfinite(after) & bars.tradable & ~paid, after, 1.0)
    return whole / after, after
