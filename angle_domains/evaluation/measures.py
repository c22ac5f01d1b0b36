"""Measures of a return series. The last axis is time, so one formula serves a series and all its resamples.

Returns are simple returns of one bar unless a name says log; excess means over cash of the same bar. Ratios are
annualised by the root of the bars in a year. A ratio of nothing to nothing (a portfolio in cash) is 0.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

Series = Float[np.ndarray, "... t"]
Value = Float[np.ndarray, "..."] | np.float64

_STILL = 1e-12  # a deviation below this is rounding, not risk


def growth(log_return: Series, periods: float) -> Value:
    """Logarithm of the wealth ratio, per year."""
    return log_return.mean(-1) * periods


def cagr(log_return: Series, periods: float) -> Value:
    """Compound annual growth rate."""
    return np.expm1(growth(log_return, periods))


def volatility(returns: Series, periods: float) -> Value:
    """Sample standard deviation, per root year."""
    return returns.std(-1, ddof=1) * np.sqrt(periods)


def sharpe(excess: Series, periods: float) -> Value:
    """Mean over sample standard deviation (Sharpe 1994), annualised."""
    return ratio(excess.mean(-1), excess.std(-1, ddof=1)) * np.sqrt(periods)


def sortino(excess: Series, periods: float) -> Value:
    """Mean over the root mean square of the losses, all bars counted (Sortino and van der Meer 1991), annualised."""
    return ratio(excess.mean(-1), np.sqrt(np.square(np.minimum(excess, 0.0)).mean(-1))) * np.sqrt(periods)


def drawdown(log_return: Series) -> Series:
    """Loss from the highest wealth so far, the start included: 0 at a peak, -0.3 where 30 % are lost."""
    wealth = np.cumsum(log_return, -1)
    return np.expm1(wealth - np.maximum.accumulate(np.maximum(wealth, 0.0), -1))


def max_drawdown(log_return: Series) -> Value:
    """The deepest drawdown, zero or negative."""
    return drawdown(log_return).min(-1)


def drawdown_bars(log_return: Float[np.ndarray, " t"]) -> int:
    """Bars of the longest stretch below an earlier peak; one that has not ended counts up to the end."""
    return longest_run(drawdown(log_return) < -_STILL)


def longest_run(flags: Bool[np.ndarray, " t"]) -> int:
    """Length of the longest unbroken run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def calmar(log_return: Series, periods: float) -> Value:
    """Compound annual growth over the deepest drawdown."""
    return ratio(cagr(log_return, periods), -max_drawdown(log_return))


def hit_rate(returns: Series) -> Value:
    """Share of bars with a gain."""
    return (returns > 0.0).mean(-1)


def alpha_beta(excess: Float[np.ndarray, " t"], market: Float[np.ndarray, " t"], periods: float) -> tuple[float, float]:
    """Intercept (per year) and slope of the regression of one excess return on another."""
    spread = market - market.mean()
    beta = float(ratio((spread * excess).mean(), np.square(spread).mean()))
    return float(excess.mean() - beta * market.mean()) * periods, beta


def exposure(weights: Float[np.ndarray, "d n"]) -> float:
    """Mean of the gross weight: 1 is fully invested."""
    return float(np.abs(weights).sum(-1).mean())


def herfindahl(weights: Float[np.ndarray, "d n"]) -> float:
    """Mean sum of squared shares of the invested part: 1/N for equal weights, 1 for one asset, NaN for none."""
    gross = np.abs(weights).sum(-1)
    invested = gross > _STILL
    if not invested.any():
        return float("nan")
    shares = weights[invested] / gross[invested, None]
    return float(np.square(shares).sum(-1).mean())


def rolling_sharpe(excess: Float[np.ndarray, " t"], window: int, periods: float) -> Float[np.ndarray, " t"]:
    """Sharpe ratio of the last `window` bars at each bar, NaN before there are so many."""
    value = np.full(len(excess), np.nan)
    if len(excess) >= window:
        value[window - 1 :] = sharpe(np.lib.stride_tricks.sliding_window_view(excess, window), periods)
    return value


def ratio(numerator: Any, denominator: Any) -> Value:
    """Quotient; 0 where both are nil, NaN where only the denominator is."""
    numerator, denominator = np.asarray(numerator, float), np.asarray(denominator, float)
    still = np.abs(denominator) < _STILL
    nothing = np.where(np.abs(numerator) < _STILL, 0.0, np.nan)
    return np.where(still, nothing, numerator / np.where(still, 1.0, denominator))
