"""Importance weights of whole histories, as logarithms: products of hundreds of ratios overflow, sums do not.

The weight at step t is the product of target over behaviour up to and with decision t. Behind the end of an episode it
stays what it was: a patient who died at hour three still counts, with that weight, at hour fifty.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from angle_domains.errors import ConfigError
from angle_domains.ope.episodes import Episodes

CEILING = 300.0  # of a logarithm: beyond it nothing is estimable anyway, and squares must stay finite


@dataclass(frozen=True)
class Truncation:
    """What cutting the weights at a level did. Every weight above it counts as the level."""

    level: float
    share: float  # of the final weights that were cut
    lost: float  # mass that is missing: weights average 1, so 1 less the mean of what is left, not below 0
    bias: float | None = None  # of this estimate: with the cut less without

    def words(self) -> str:
        moved = "" if self.bias is None else f"; the estimate moved by {self.bias:+.4g}"
        return f"weights cut at {self.level:g} ({self.share:.1%} of episodes, {self.lost:.1%} of the mass lost{moved})"

    def moved(self, bias: float) -> "Truncation":
        return replace(self, bias=bias)


def log_ratios(episodes: Episodes) -> Float[np.ndarray, "e t"]:
    """Of single decisions; -inf where the target never takes what was taken."""
    with np.errstate(divide="ignore"):
        ratio = np.log(episodes.target) - np.log(episodes.behaviour)
    return np.where(episodes.real, ratio, 0.0)


def log_weights(episodes: Episodes, level: float | None = None) -> Float[np.ndarray, "e t"]:
    """Of the histories up to each step; cut at `level` where one is given, and at e^300 always.

    What is cut is the product, not its factors: a history that goes through a high weight and comes back keeps the
    weight it ends with.
    """
    if level is not None and not level > 0.0:
        raise ConfigError(f"the level at which weights are cut must be above 0, got {level:g}")
    ceiling = CEILING if level is None else min(CEILING, float(np.log(level)))
    return np.minimum(np.cumsum(log_ratios(episodes), 1), ceiling)


def truncation(episodes: Episodes, level: float) -> Truncation:
    """What the level cuts of the weights of whole episodes."""
    whole, cut = log_weights(episodes)[:, -1], log_weights(episodes, level)[:, -1]
    return Truncation(level, float((whole > cut).mean()), max(0.0, 1.0 - float(np.exp(cut).mean())))


def shifted(log_weight: Float[np.ndarray, "e t"]) -> Float[np.ndarray, "e t"]:
    """Weights but for a factor of each column, the largest being 1: all that a weighted mean needs."""
    top = log_weight.max(0)
    return np.exp(log_weight - np.where(np.isfinite(top), top, 0.0))


def effective_size(log_weight: Float[np.ndarray, "n *t"]) -> Float[np.ndarray, "*t"] | np.float64:
    """Kish's effective sample size along the first axis: (sum of w)² / sum of w²; 0 where all weights are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.exp(2.0 * logsumexp(log_weight, 0) - logsumexp(2.0 * log_weight, 0))
    return np.where(np.isneginf(log_weight).all(0), 0.0, size)
