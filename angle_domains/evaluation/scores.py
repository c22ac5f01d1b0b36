"""Scores of many episodes: their centre by three measures, each with an interval that keeps to its strata.

Episodes of one stratum (a seed, a run, a game) are resampled among themselves, so that the spread between strata that
were chosen, not drawn, is no noise. The interquartile mean follows Agarwal et al. (2021), "Deep Reinforcement Learning
at the Edge of the Statistical Precipice", arXiv:2108.13264.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from angle_domains.evaluation.bootstrap import LEVEL, Interval

Strata = Sequence[Float[np.ndarray, " e"]]  # the scores of each stratum
RESAMPLES = 2_000


def mean(scores: Float[np.ndarray, "*r e"]) -> Float[np.ndarray, "*r"]:
    return scores.mean(-1)


def median(scores: Float[np.ndarray, "*r e"]) -> Float[np.ndarray, "*r"]:
    return np.median(scores, -1)


def interquartile_mean(scores: Float[np.ndarray, "*r e"]) -> Float[np.ndarray, "*r"]:
    """The mean of the middle half; a quarter that is no whole number is rounded down."""
    count = scores.shape[-1]
    cut = count // 4
    return np.sort(scores, -1)[..., cut : count - cut].mean(-1)


MEASURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": mean,
    "median": median,
    "iqm": interquartile_mean,
}


def intervals(strata: Strata, *, seed: int = 0, count: int = RESAMPLES) -> dict[str, Interval]:
    """Every measure of all scores together, with its percentile interval over `count` stratified resamples."""
    drawn = resample(strata, np.random.default_rng(seed), count)
    whole = np.concatenate(list(strata))
    return {name: _interval(float(measure(whole)), measure(drawn)) for name, measure in MEASURES.items()}


def difference(strata: Strata, others: Strata, *, seed: int = 0, count: int = RESAMPLES) -> Interval:
    """The mean less that of scores of others: two independent samples."""
    generator = np.random.default_rng(seed)
    drawn = [mean(resample(sample, generator, count)) for sample in (strata, others)]
    estimate = np.concatenate(list(strata)).mean() - np.concatenate(list(others)).mean()
    return _interval(float(estimate), drawn[0] - drawn[1])


def resample(strata: Strata, generator: np.random.Generator, count: int) -> Float[np.ndarray, "r e"]:
    """`count` samples, each as large as all strata together, drawn with replacement within each stratum."""
    parts = [scores[generator.integers(len(scores), size=(count, len(scores)))] for scores in strata]
    return np.concatenate(parts, 1)


def _interval(estimate: float, drawn: Float[np.ndarray, " r"]) -> Interval:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(estimate, float(low), float(high), float((drawn > 0.0).mean()))
