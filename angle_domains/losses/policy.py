"""How far a policy is from what its advantages ask for, one number a sample."""

import torch
from jaxtyping import Float
from torch import Tensor


def policy_gradient(log_prob: Float[Tensor, " n"], advantage: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The loss whose gradient is that of REINFORCE (Williams 1992); no gradient flows into the advantage."""
    return -log_prob * advantage.detach()


def clipped_surrogate(
    log_prob: Float[Tensor, " n"],
    old_log_prob: Float[Tensor, " n"],
    advantage: Float[Tensor, " n"],
    clip: float,
) -> Float[Tensor, " n"]:
    """The negated clipped objective (Schulman et al. 2017, eq. 7)."""
    ratio = (log_prob - old_log_prob).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1.0 - clip, 1.0 + clip) * advantage)


def approximate_kl(log_prob: Float[Tensor, " n"], old_log_prob: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """An estimate of KL(old, new) from samples of the old policy, never negative: (r - 1) - log r (Schulman 2020)."""
    log_ratio = log_prob - old_log_prob
    return log_ratio.expm1() - log_ratio


def clipped(log_prob: Float[Tensor, " n"], old_log_prob: Float[Tensor, " n"], clip: float) -> Float[Tensor, " n"]:
    """1 where the ratio of probabilities lies beyond the clip, else 0."""
    return ((log_prob - old_log_prob).expm1().abs() > clip).to(log_prob.dtype)


def normalised(advantage: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Mean 0 and standard deviation 1 (with Bessel's correction); a single sample stays as it is."""
    if len(advantage) < 2:
        return advantage
    return (advantage - advantage.mean()) / (advantage.std() + 1e-8)
