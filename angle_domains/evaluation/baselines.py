"""What anybody could have held instead: the same universe, dates, clock, costs and limits."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls
from sklearn.covariance import ledoit_wolf

from angle_domains.evaluation.rollout import PortfolioPath, TargetDriver, Targets, rollout
from feeds.market.bars import Bars

_WINDOW = 252  # bars that a covariance is estimated from
_SHORTEST = 63  # bars of history from which an estimate is trusted
_REFIT = 21  # bars between estimates
_PRESENT = 0.8  # share of the window in which an asset must have traded: a halted price looks safe
_STILL = 1e-9  # standard deviation of a price that does not move
_RIDGE = 1e-9  # times the mean variance
_WIDEST = 500  # assets of a covariance; of a larger universe the calmest are taken


def equal_weight(feed: Any) -> Targets:
    """The same weight in every listed asset, restored at each decision."""
    return lambda bar, decisions: invest(even(feed.bars, bar), feed)


def buy_and_hold(feed: Any) -> Targets:
    """Equal weights of what is listed at the start, never touched again."""
    return _BuyAndHold(feed)


def minimum_variance(feed: Any) -> Targets:
    """Long-only minimum variance on a Ledoit-Wolf covariance of the last year, estimated anew every month of bars."""
    return _MinimumVariance(feed)


def cash(feed: Any) -> Targets:
    """Nothing but cash and its interest."""
    return lambda bar, decisions: np.zeros(len(feed.bars.symbols))


BASELINES: dict[str, Callable[[Any], Targets]] = {
    "equal weight": equal_weight,
    "buy and hold": buy_and_hold,
    "minimum variance": minimum_variance,
    "cash": cash,
}


def baseline_paths(feed: Any, *, split: str) -> tuple[PortfolioPath, ...]:
    """The path of each baseline over the part."""
    return tuple(
        rollout(feed, TargetDriver(feed, build(feed)), split=split, name=name) for name, build in BASELINES.items()
    )


class _BuyAndHold:
    """NaN asks the feed to leave a holding as it is; with tranches, buying takes as many decisions as there are."""

    def __init__(self, feed: Any) -> None:
        self.feed = feed
        self.bought: Float[np.ndarray, " n"] | None = None

    def __call__(self, bar: int, decisions: int) -> Float[np.ndarray, " n"]:
        if self.bought is None:
            self.bought = invest(even(self.feed.bars, bar), self.feed)
        return self.bought if decisions < self.feed.config.holding else np.full_like(self.bought, np.nan)


class _MinimumVariance:
    """Keeps its estimate for a month of bars; sees closes up to the bar it decides at."""

    def __init__(self, feed: Any) -> None:
        self.feed = feed
        self.estimated = -_REFIT
        self.shares = np.zeros(len(feed.bars.symbols))

    def __call__(self, bar: int, decisions: int) -> Float[np.ndarray, " n"]:
        if bar - self.estimated >= _REFIT:
            self.shares, self.estimated = minimum_variance_shares(self.feed.bars, bar), bar
        return invest(self.shares, self.feed)


def even(bars: Bars, bar: int) -> Float[np.ndarray, " n"]:
    """Equal shares of the assets listed at that bar."""
    listed = bars.listed[bar].astype(float)
    return listed / max(listed.sum(), 1.0)


def invest(shares: Float[np.ndarray, " n"], feed: Any) -> Float[np.ndarray, " n"]:
    """As much of the wealth as the caps allow without a loan."""
    actions = feed.config.actions
    return shares * min(1.0, actions.gross_cap, actions.net_cap)


def minimum_variance_shares(bars: Bars, bar: int) -> Float[np.ndarray, " n"]:
    """Shares that sum to 1, from closes up to `bar`; equal shares while history is short."""
    begin = max(0, bar - _WINDOW)
    close, present = bars.close[begin : bar + 1], bars.tradable[begin : bar + 1]
    usable = np.flatnonzero(
        bars.listed[bar] & bars.tradable[bar] & np.isfinite(close).all(0) & (present.mean(0) >= _PRESENT)
    )
    returns = close[1:, usable] / close[:-1, usable] - 1.0
    usable, returns = _moving(usable, returns)
    if len(returns) < _SHORTEST or not len(usable):
        return even(bars, bar)
    shares = np.zeros(bars.shape[1])
    shares[usable] = least_variance(ledoit_wolf(returns)[0])
    return shares


def least_variance(covariance: Float[np.ndarray, "m m"]) -> Float[np.ndarray, " m"]:
    """Long-only weights of least variance, exact but for a hair of ridge that keeps twins apart.

    The optimum is y / sum(y) where y >= 0 minimises y'Cy / 2 - sum(y), as both obey the same optimality conditions;
    with C = LL' that is the non-negative least squares of L'y against the solution of Lb = 1.
    """
    scale = np.trace(covariance) / len(covariance)
    lower = np.linalg.cholesky(covariance / scale + _RIDGE * np.eye(len(covariance)))
    weights, _ = nnls(lower.T, np.linalg.solve(lower, np.ones(len(lower))))
    return weights / weights.sum()


def _moving(usable: np.ndarray, returns: Float[np.ndarray, "t n"]) -> tuple[np.ndarray, Float[np.ndarray, "t m"]]:
    """Without prices that never change, and of a wide universe the calmest assets alone."""
    spread = returns.std(0) if len(returns) else np.zeros(len(usable))
    order = np.argsort(spread, kind="stable")
    chosen = np.sort(order[spread[order] > _STILL][:_WIDEST])
    return usable[chosen], returns[:, chosen]
