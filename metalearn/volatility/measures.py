"""What forecasts of variance and of quantiles are worth, against what came.

QLIKE: Patton (2011), "Volatility Forecast Comparison Using Imperfect Volatility Proxies": it ranks forecasts as the
true variance would. Hits: Kupiec (1995), "Techniques for Verifying the Accuracy of Risk Measurement Models", and
Christoffersen (1998), "Evaluating Interval Forecasts". Comparison: Diebold and Mariano (1995), "Comparing Predictive
Accuracy", with the variance of Newey and West (1987).
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from scipy.stats import chi2, norm
from torch import Tensor


def qlike(variance: Float[Tensor, "*b"], change: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """log h + r^2 / h, against returns."""
    return variance.log() + change.square() / variance


def qlike_of_proxy(variance: Float[Tensor, "*b"], proxy: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """v / h - log(v / h) - 1, against a variance that was measured; 0 where the two agree."""
    share = proxy / variance
    return share - share.log() - 1.0


def pinball_at(level: float, quantile: Float[Tensor, "*b"], came: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """max(tau u, (tau - 1) u), u = came - quantile."""
    over = came - quantile
    return torch.maximum(level * over, (level - 1.0) * over)


class Backtest(NamedTuple):
    """Days on which a loss went beyond the value at risk, and how likely as many, and so close together, are."""

    share: float  # of days
    kupiec: float  # p of that share, were the level right
    independence: float  # p of how often one follows another, were each day alike
    conditional: float  # p of both at once


def backtest(hit: Bool[Tensor, " n"], level: float) -> Backtest:
    """Days in their order; likelihood ratios, against chi squared with 1, 1 and 2 degrees of freedom.

    Independence leaves out the first day, as Christoffersen does; the conditional ratio is the sum of the other two.
    """
    hits, rows = int(hit.sum()), len(hit)
    coverage = 2.0 * (_likelihood(hits, rows, hits / rows) - _likelihood(hits, rows, level))
    before, after = hit[:-1], hit[1:]
    apart = sum(_best(after[before == kind]) for kind in (False, True))
    alike = max(2.0 * (apart - _best(after)), 0.0)  # a rounding below 0 is none
    return Backtest(
        hits / rows, float(chi2.sf(coverage, 1)), float(chi2.sf(alike, 1)), float(chi2.sf(coverage + alike, 2))
    )


def _likelihood(hits: int, rows: int, chance: float) -> float:
    """The log of it; 0 log 0 is 0."""
    terms = ((hits, chance), (rows - hits, 1.0 - chance))
    return sum(count * math.log(share) for count, share in terms if count)


def _best(hit: Bool[Tensor, " n"]) -> float:
    """The log likelihood at the share that was seen."""
    hits, rows = int(hit.sum()), len(hit)
    return _likelihood(hits, rows, hits / rows) if rows else 0.0


class Comparison(NamedTuple):
    """Of two forecasts of the same rows."""

    difference: float  # mean loss of the first less that of the second: below 0 the first is better
    statistic: float  # in standard errors
    p: float  # two-sided, were they equally good


def diebold_mariano(loss: Float[Tensor, " n"], other: Float[Tensor, " n"], lags: int | None = None) -> Comparison:
    """Rows in order of time; by default floor(4 (n / 100)^(2/9)) lags. Losses that never differ are equally good."""
    apart = (loss - other).double()
    lags = int(4.0 * (len(apart) / 100.0) ** (2.0 / 9.0)) if lags is None else lags
    error = newey_west(apart, lags)
    difference = float(apart.mean())
    statistic = difference / error if error > 0.0 else 0.0
    return Comparison(difference, statistic, float(2.0 * norm.sf(abs(statistic))))


def newey_west(numbers: Float[Tensor, " n"], lags: int) -> float:
    """The standard error of the mean of numbers that depend on those before, Bartlett's weights on `lags` of them."""
    rows = len(numbers)
    centred = numbers - numbers.mean()
    total = float(centred @ centred)
    for lag in range(1, min(lags, rows - 1) + 1):
        total += 2.0 * (1.0 - lag / (lags + 1.0)) * float(centred[lag:] @ centred[:-lag])
    return math.sqrt(max(total, 0.0)) / rows
