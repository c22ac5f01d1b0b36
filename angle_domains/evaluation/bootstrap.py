"""Intervals by the stationary bootstrap (Politis and Romano 1994), all portfolios resampled together.

One draw of bars serves every portfolio, so that differences are paired: what the market did cancels out. The mean
block length follows Politis and White (2004, corrected 2009).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from arch.bootstrap import StationaryBootstrap, optimal_block_length
from jaxtyping import Float, Int

from angle_domains.evaluation import measures
from angle_domains.interval import LEVEL, Interval

_ELEMENTS = 2_000_000  # resampled numbers held at once
_SHORTEST = 20  # bars from which a block length can be estimated


@dataclass(frozen=True)
class Resamples:
    """Every measure of S portfolios and of R resamples of them."""

    estimate: dict[str, Float[np.ndarray, " s"]]
    drawn: dict[str, Float[np.ndarray, "s r"]]
    block: float  # mean length in bars

    @property
    def count(self) -> int:
        return next(iter(self.drawn.values())).shape[1]

    def interval(self, measure: str, portfolio: int) -> Interval:
        """The measure of one portfolio."""
        return _interval(self.estimate[measure][portfolio], self.drawn[measure][portfolio])

    def difference(self, measure: str, portfolio: int, other: int) -> Interval:
        """The measure of one portfolio less that of another, paired."""
        estimate, drawn = self.estimate[measure], self.drawn[measure]
        return _interval(estimate[portfolio] - estimate[other], drawn[portfolio] - drawn[other])


def resample(
    log_return: Float[np.ndarray, "s t"],
    excess: Float[np.ndarray, "s t"],
    *,
    periods: float,
    generator: np.random.Generator,
    count: int = 2_000,
) -> Resamples:
    """Measures of the series and of `count` resamples; simple excess returns beside the log returns they go with."""
    block = block_length(excess)
    drawn: dict[str, list[np.ndarray]] = {}
    for index in draws(log_return.shape[1], block, count=count, portfolios=len(excess), generator=generator):
        for name, value in evaluate(log_return[:, index], excess[:, index], periods).items():
            drawn.setdefault(name, []).append(value)
    whole = {name: np.concatenate(parts, 1) for name, parts in drawn.items()}
    return Resamples(evaluate(log_return, excess, periods), whole, block)


def evaluate(
    log_return: measures.Series, excess: measures.Series, periods: float
) -> dict[str, Float[np.ndarray, "..."]]:
    """The measures that get intervals."""
    found = {
        "sharpe": measures.sharpe(excess, periods),
        "sortino": measures.sortino(excess, periods),
        "growth": measures.growth(log_return, periods),
        "cagr": measures.cagr(log_return, periods),
        "volatility": measures.volatility(np.expm1(log_return), periods),
        "max_drawdown": measures.max_drawdown(log_return),
        "calmar": measures.calmar(log_return, periods),
    }
    return {name: np.asarray(value) for name, value in found.items()}


def block_length(series: Float[np.ndarray, "s t"]) -> float:
    """Mean block length in bars, at least 1: the longest that the first series or its differences ask for."""
    length = series.shape[1]
    if length < _SHORTEST:
        return 1.0
    candidates = [row for row in (series[0], *(series[0] - series[1:])) if row.std() > 1e-12]
    wanted = [float(optimal_block_length(row)["stationary"].iloc[0]) for row in candidates]
    return float(np.clip(max(wanted, default=1.0), 1.0, length / 3))


def draws(
    length: int, block: float, *, count: int, portfolios: int, generator: np.random.Generator
) -> Iterator[Int[np.ndarray, "r t"]]:
    """Batches of resampled bar numbers, as many at a time as memory likes."""
    source = StationaryBootstrap(block, np.arange(length), seed=generator)
    batch = max(1, _ELEMENTS // (length * portfolios))
    for start in range(0, count, batch):
        yield np.stack([source.update_indices() for _ in range(min(batch, count - start))])


def _interval(estimate: float, drawn: Float[np.ndarray, " r"]) -> Interval:
    """Percentiles; draws where a measure does not exist are left out."""
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Interval(float(estimate), float("nan"), float("nan"), float("nan"))
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(estimate), float(low), float(high), float((drawn > 0.0).mean()))
