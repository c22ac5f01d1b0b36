"""Lower bounds that hold with a stated probability at any sample size, without resampling or normality.

Thomas, Theocharous and Ghavamzadeh (2015), "High-confidence off-policy evaluation". They need known propensities,
independent patients, returns within bounds that were known beforehand, and a level for the weights chosen beforehand.
Weighted returns, moved to be at least 0, are cut at that level: that can only lower their mean, so a lower bound on the
mean of what is left is one on the policy's value.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from angle_domains.errors import ConfigError
from angle_domains.ope.episodes import Episodes, returns
from angle_domains.ope.weights import log_weights


@dataclass(frozen=True)
class LowerBounds:
    """One-sided, each of them alone holds with probability `level`; below `low` they say nothing more than that."""

    level: float
    hoeffding: float
    bernstein: float
    anderson: float


def lower_bounds(
    episodes: Episodes, gamma: float, *, low: float, high: float, cut: float, level: float = 0.95
) -> LowerBounds:
    """Of the target's value, by importance sampling of returns known to lie between `low` and `high`.

    `cut` is the level of the weights. With several episodes of a patient the bound is on the mean over patients of
    the mean over their episodes, as patients are what is independent.
    """
    if not 0.5 <= level < 1.0 or not cut > 0.0:
        raise ConfigError(
            f"a lower bound needs a level of at least .5 and below 1, and a cut above 0: {level:g}, {cut:g}"
        )
    gained = returns(episodes, gamma)
    slack = 1e-9 * (high - low)
    if not low < high or gained.min() < low - slack or gained.max() > high + slack:
        raise ConfigError(
            f"returns lie between {gained.min():g} and {gained.max():g}: bounds of {low:g} and {high:g} do not hold"
        )
    scaled = np.clip((gained - low) / (high - low), 0.0, 1.0)
    heavy = np.exp(log_weights(episodes, cut)[:, -1]) * scaled
    value, risk = _by_patient(heavy, episodes.patient), 1.0 - level
    found = hoeffding(value, cut, risk), empirical_bernstein(value, cut, risk), anderson(value, risk)
    return LowerBounds(level, *(low + (high - low) * max(0.0, bound) for bound in found))


def hoeffding(values: Float[np.ndarray, " n"], most: float, risk: float) -> float:
    """Of the mean of independent values between 0 and `most`; wrong with probability `risk` (Hoeffding 1963)."""
    return float(values.mean() - most * np.sqrt(np.log(1.0 / risk) / (2.0 * len(values))))


def empirical_bernstein(values: Float[np.ndarray, " n"], most: float, risk: float) -> float:
    """Likewise, narrower where the sample variance is small (Maurer and Pontil 2009, theorem 4)."""
    count, log = len(values), np.log(2.0 / risk)
    if count < 2:
        return -np.inf
    return float(
        values.mean() - np.sqrt(2.0 * values.var(ddof=1) * log / count) - 7.0 * most * log / (3.0 * (count - 1))
    )


def anderson(values: Float[np.ndarray, " n"], risk: float) -> float:
    """Of the mean of values of at least 0, by the one-sided band around their distribution function.

    Anderson (1969) with the constant of Massart (1990), for a risk of at most one half; no upper limit enters.
    """
    count = len(values)
    band = np.sqrt(np.log(1.0 / risk) / (2.0 * count))
    gaps = np.diff(np.sort(values), prepend=0.0)
    return float((gaps * np.maximum(0.0, 1.0 - np.arange(count) / count - band)).sum())


def _by_patient(values: Float[np.ndarray, " e"], patient: np.ndarray) -> Float[np.ndarray, " p"]:
    _, number = np.unique(patient, return_inverse=True)
    return np.bincount(number, values) / np.bincount(number)
