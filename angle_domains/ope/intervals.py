"""How sure an estimate is: resampling patients, never their hours, and the influence function.

Rows of one patient depend on each other; patients do not. So whole patients are drawn with replacement. Every
estimator here is made of sums over patients (`Ratios`), so a resample is a matrix product of how often each was drawn.
Percentile and BCa: Efron (1987), DiCiccio and Efron (1996). One drawing serves all estimates, which makes differences
between policies paired.

Weights are skewed, and what a sample lacks no resampling can show. Of 240 samples of 1,000 patients of the self-test's
near policy (effective sample size 300) 95 % intervals held the truth in

              t      percentile   BCa
    WIS      .94        .93       .89
    DR       .95        .92       .86
    WDR      .94        .93       .85
    CWPDIS   .87        .86       .87

BCa's acceleration, a third moment, is itself hostage to the few who weigh most.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from angle_domains.interval import LEVEL, Interval
from angle_domains.ope.estimators import Ratios

Method = Literal["bca", "percentile", "t"]
Draws = Mapping[str, Float[np.ndarray, " r"]]
_ELEMENTS = 8_000_000  # counts held at once


def resample(
    parts: Mapping[str, Ratios], patient: np.ndarray, *, count: int = 1_000, generator: np.random.Generator
) -> dict[str, Float[np.ndarray, " r"]]:
    """Each estimate in `count` resamples of patients, the same for all; NaN where a resample has none."""
    summed = {name: ratios.by(patient) for name, ratios in parts.items()}
    found: dict[str, list[np.ndarray]] = {name: [] for name in parts}
    for times in _times(len(np.unique(patient)), count, generator):
        for name, ratios in summed.items():
            found[name].append(ratios.of(times @ ratios.numerator, times @ ratios.denominator))
    return {name: np.concatenate(drawn) for name, drawn in found.items()}


def _times(patients: int, count: int, generator: np.random.Generator) -> Iterator[Float[np.ndarray, "r p"]]:
    """How often each patient is drawn, for as many resamples at a time as memory likes."""
    batch = max(1, _ELEMENTS // patients)
    for start in range(0, count, batch):
        size = min(batch, count - start)
        drawn = generator.integers(patients, size=(size, patients)) + patients * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * patients).reshape(size, patients).astype(np.float64)


def jackknife(ratios: Ratios, patient: np.ndarray) -> Float[np.ndarray, " p"]:
    """The estimate without each patient in turn."""
    summed = ratios.by(patient)
    return summed.of(summed.numerator.sum(0) - summed.numerator, _left(summed.denominator))


def _left(denominator: Float[np.ndarray, "p k"]) -> Float[np.ndarray, "p k"]:
    """Sums without each row; what rounding leaves of a column that one row held alone is nothing."""
    total = denominator.sum(0)
    left = total - denominator
    return np.where(left > 1e-12 * total, left, 0.0)


def standard_error(ratios: Ratios, patient: np.ndarray) -> float:
    """Root of the variance that the influence function gives; for DR that of Jiang and Li, by patient."""
    influence = ratios.by(patient).influence()
    if len(influence) < 2:
        return float("nan")
    return float(influence.std(ddof=1) / np.sqrt(len(influence)))


def percentile(estimate: float, drawn: Float[np.ndarray, " r"], level: float = LEVEL) -> Interval:
    """Quantiles of the resamples; those in which the estimate does not exist are left out."""
    return _between(estimate, drawn, (1.0 - level) / 2, (1.0 + level) / 2)


def bca(
    estimate: float, drawn: Float[np.ndarray, " r"], without: Float[np.ndarray, " p"], level: float = LEVEL
) -> Interval:
    """Bias-corrected and accelerated: quantiles moved for a median beside the estimate and for skewness.

    `without` are the jackknife's values. Where all resamples lie on one side, and where nothing varies, there is no
    correction to be had and the percentile interval stands.
    """
    kept = drawn[np.isfinite(drawn)]
    below = ((kept < estimate).sum() + 0.5 * (kept == estimate).sum()) / max(len(kept), 1)
    spread = np.nanmean(without) - without if np.isfinite(without).any() else np.zeros(1)
    spread = spread[np.isfinite(spread)]
    size = np.square(spread).sum()
    if not 0.0 < below < 1.0 or not size > 0.0:
        return percentile(estimate, drawn, level)
    bias = ndtri(below)
    acceleration = np.power(spread, 3).sum() / (6.0 * size**1.5)
    ends = []
    for share in ((1.0 - level) / 2, (1.0 + level) / 2):
        reach = bias + ndtri(share)
        ends.append(float(ndtr(bias + reach / (1.0 - acceleration * reach))))
    return _between(estimate, drawn, min(ends), max(ends))


def t_interval(estimate: float, error: float, patients: int, level: float = LEVEL) -> Interval:
    """Student's, with one degree of freedom less than there are patients."""
    if patients < 2 or not np.isfinite(error):
        return Interval(estimate, float("nan"), float("nan"), float("nan"))
    reach = float(stdtrit(patients - 1, (1.0 + level) / 2)) * error
    above = float(stdtr(patients - 1, estimate / error)) if error > 0.0 else float(estimate > 0.0)
    return Interval(estimate, estimate - reach, estimate + reach, above)


def interval(
    ratios: Ratios, patient: np.ndarray, drawn: Float[np.ndarray, " r"], *, method: Method, level: float = LEVEL
) -> Interval:
    """That of one estimate, from its resamples or its influence function."""
    makers: dict[str, Callable[[], Interval]] = {
        "bca": lambda: bca(ratios.value(), drawn, jackknife(ratios, patient), level),
        "percentile": lambda: percentile(ratios.value(), drawn, level),
        "t": lambda: t_interval(ratios.value(), standard_error(ratios, patient), len(np.unique(patient)), level),
    }
    return makers[method]()


def difference(estimate: float, drawn: Float[np.ndarray, " r"], level: float = LEVEL) -> Interval:
    """Of a paired difference: of `draws[one] - draws[other]` from one call of `resample`."""
    return percentile(estimate, drawn, level)


def _between(estimate: float, drawn: Float[np.ndarray, " r"], low: float, high: float) -> Interval:
    kept = drawn[np.isfinite(drawn)]
    if not len(kept):
        return Interval(estimate, float("nan"), float("nan"), float("nan"))
    ends = np.quantile(kept, [low, high])
    return Interval(estimate, float(ends[0]), float(ends[1]), float((kept > 0.0).mean()))
