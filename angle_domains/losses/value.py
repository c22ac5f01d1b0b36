"""How far values are from their targets, one number a sample."""

import torch
from jaxtyping import Float
from torch import Tensor


def squared(value: Float[Tensor, " n"], target: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Half the squared error."""
    return 0.5 * (value - target).square()


def clipped_value_loss(
    value: Float[Tensor, " n"], old_value: Float[Tensor, " n"], target: Float[Tensor, " n"], clip: float
) -> Float[Tensor, " n"]:
    """Half the larger of two squared errors: of the value, and of the value kept within `clip` of the old one.

    Not in the PPO paper but in its code (Huang et al. 2022, detail 9).
    """
    near = old_value + (value - old_value).clamp(-clip, clip)
    return torch.maximum(squared(value, target), squared(near, target))


def explained_variance(value: Float[Tensor, " n"], target: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """1 where the values foresee every target, 0 where a constant does as well; 0 where the targets are constant."""
    variance = target.var(correction=0)
    unexplained = (target - value).var(correction=0)
    return torch.where(variance > 0, 1.0 - unexplained / variance, torch.zeros_like(variance))
