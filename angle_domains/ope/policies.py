"""Probabilities of the policy to be valued, from what an agent says of it: the policy itself, never a model of it."""

import numpy as np
from jaxtyping import Bool, Float

from angle_domains.errors import ConfigError


def greedy(
    q: Float[np.ndarray, "n a"], mask: Bool[np.ndarray, "n a"] | None = None, *, epsilon: float = 0.0
) -> Float[np.ndarray, "n a"]:
    """All on the best allowed action, ties to the first; `epsilon` of it spread evenly over what is allowed."""
    if not 0.0 <= epsilon <= 1.0:
        raise ConfigError(f"epsilon is between 0 and 1, got {epsilon:g}")
    allowed = np.ones(q.shape, bool) if mask is None else mask
    best = np.where(allowed, q, -np.inf).argmax(1)
    policy = epsilon * allowed / allowed.sum(1, keepdims=True)
    policy[np.arange(len(q)), best] += 1.0 - epsilon
    return policy


def soft(log_prob: Float[np.ndarray, "n a"], mask: Bool[np.ndarray, "n a"] | None = None) -> Float[np.ndarray, "n a"]:
    """A stochastic policy's own probabilities, on what is allowed; float32 leaves sums a little off 1."""
    chosen = log_prob if mask is None else np.where(mask, log_prob, -np.inf)
    share = np.exp(chosen - chosen.max(1, keepdims=True))
    return share / share.sum(1, keepdims=True)
