"""Indicators of price and volume as panels `[T, N]`: the value at t follows from bars up to t.

It is NaN while history is short. None of them changes when all prices of an asset are multiplied by one number, so
that a later split, which rescales the whole adjusted history, leaves them as they were.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from feeds.errors import FeedError, nearest
from feeds.market.bars import Bars

_FAST, _SLOW = 12, 26  # bars of the two averages of MACD (Appel 1979)
_STILL = 1e-9  # a deviation of log volume below this is none


@dataclass(frozen=True)
class History:
    """What indicators are computed from."""

    bars: Bars

    @cached_property
    def log_close(self) -> np.ndarray:
        return np.log(self.bars.close)

    @cached_property
    def log_return(self) -> np.ndarray:
        """Of one bar; 0 while halted, since the price is carried."""
        return self.log_close - delayed(self.log_close, 1)


@dataclass(frozen=True)
class Indicator:
    """A parsed feature name."""

    name: str
    lookback: int  # bars before t that the value needs
    compute: Callable[[History], np.ndarray]  # [T, N] float64


def delayed(values: np.ndarray, bars: int) -> np.ndarray:
    """The values of `bars` bars ago; NaN where there was none."""
    late = np.full(values.shape, np.nan)
    if bars < len(values):
        late[bars:] = values[: len(values) - bars]
    return late


def rolling(values: np.ndarray, bars: int, combine: np.ufunc) -> np.ndarray:
    """`combine` (an associative ufunc such as np.add) over the last `bars` values; NaN while there are fewer.

    Works by doubling, so each value follows from its own bars alone: no running total carries rounding along.
    """
    result, covered, block, width = None, 0, values, 1
    while True:
        if bars & width:
            result = block if result is None else combine(result, delayed(block, covered))
            covered += width
        if covered == bars:
            assert result is not None
            return result
        block = combine(block, delayed(block, width))
        width *= 2


def smoothed(values: np.ndarray, alpha: float, warm: int) -> np.ndarray:
    """Exponential average whose weights add up to 1 from each asset's first value on; NaN for its first `warm` - 1."""
    result = np.full(values.shape, np.nan)
    total, weight, count = (np.zeros(values.shape[1]) for _ in range(3))
    for t, row in enumerate(values):
        there = ~np.isnan(row)
        total = np.where(there, (1 - alpha) * total + alpha * row, total)
        weight = np.where(there, (1 - alpha) * weight + alpha, weight)
        count += there
        ready = there & (count >= warm)
        result[t, ready] = total[ready] / weight[ready]
    return result


def _deviation(values: np.ndarray, bars: int) -> tuple[np.ndarray, np.ndarray]:
    """Rolling mean and sample deviation."""
    mean = rolling(values, bars, np.add) / bars
    variance = (rolling(values * values, bars, np.add) - bars * mean * mean) / (bars - 1)
    return mean, np.sqrt(np.maximum(variance, 0.0))


def _log_return(history: History, bars: int) -> np.ndarray:
    return history.log_close - delayed(history.log_close, bars)


def _volatility(history: History, bars: int) -> np.ndarray:
    """Sample deviation of the last log returns of one bar, per bar."""
    return _deviation(history.log_return, bars)[1]


def _momentum(history: History, bars: int) -> np.ndarray:
    """Log return from `bars` ago to a twelfth of that ago: with 252 daily bars, twelve months less the newest."""
    return delayed(history.log_close, bars // 12) - delayed(history.log_close, bars)


def _drawdown(history: History, bars: int) -> np.ndarray:
    """The close against the highest of the last `bars` closes, from -1 to 0."""
    return history.bars.close / rolling(history.bars.close, bars, np.maximum) - 1.0


def _rsi(history: History, bars: int) -> np.ndarray:
    """Relative strength (Wilder 1978) from 0 to 1, with his smoothing; one half where nothing moved."""
    up = smoothed(np.maximum(history.log_return, 0.0), 1 / bars, bars)
    down = smoothed(np.maximum(-history.log_return, 0.0), 1 / bars, bars)
    moved = up + down
    return np.where(moved == 0.0, 0.5, up / np.where(moved == 0.0, 1.0, moved))


def _macd(history: History, bars: int) -> np.ndarray:
    """The average of 12 bars over that of 26, less 1."""
    fast, slow = (smoothed(history.bars.close, 2 / (span + 1), bars) for span in (_FAST, _SLOW))
    return fast / slow - 1.0


def _volume_z(history: History, bars: int) -> np.ndarray:
    """Log volume less its mean over the last bars, in their deviations; 0 where it does not move."""
    if history.bars.volume is None:
        raise FeedError(f"feature 'volume_z_{bars}' needs volumes, and {history.bars.source or 'the table'} has none")
    volume = np.log1p(history.bars.volume)
    mean, deviation = _deviation(volume, bars)
    return np.where(deviation < _STILL, 0.0, (volume - mean) / np.maximum(deviation, _STILL))


@dataclass(frozen=True)
class _Family:
    compute: Callable[[History, int], np.ndarray]
    least: int  # bars
    more: int  # lookback less bars


_FAMILIES = {
    "log_return": _Family(_log_return, 1, 0),
    "volatility": _Family(_volatility, 2, 0),
    "momentum": _Family(_momentum, 2, 0),
    "drawdown": _Family(_drawdown, 1, -1),
    "rsi": _Family(_rsi, 2, 0),
    "volume_z": _Family(_volume_z, 2, -1),
}


def parse(name: str) -> Indicator:
    """The indicator of a name such as log_return_5; raises FeedError with the nearest name where there is none."""
    if name == "macd":
        return Indicator(name, _SLOW - 1, lambda history: _macd(history, _SLOW))
    match = re.fullmatch(r"([a-z_]+)_([1-9]\d*)", name)
    family = _FAMILIES.get(match[1]) if match else None
    if match is None or family is None:
        number = re.search(r"\d+", name)
        likely = [f"{known}_{number[0] if number else 20}" for known in _FAMILIES]
        raise FeedError(f"feed.features: no feature is called '{name}': {nearest(name, [*likely, 'macd'])}")
    bars = int(match[2])
    if bars < family.least:
        raise FeedError(f"feed.features: '{name}' needs at least {family.least} bars: '{match[1]}_{family.least}'")
    return Indicator(name, bars + family.more, lambda history: family.compute(history, bars))
