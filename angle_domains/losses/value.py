"""How far values are from their targets, one number a sample."""

import torch
from jaxtyping import Bool, Float, Int
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


def huber(value: Float[Tensor, " n"], target: Float[Tensor, " n"], delta: float = 1.0) -> Float[Tensor, " n"]:
    """Half the squared error up to `delta`, beyond it linear: its gradient is the error clipped (Mnih et al. 2015)."""
    return torch.nn.functional.huber_loss(value, target, reduction="none", delta=delta)


def greedy(q: Float[Tensor, "b n"], mask: Bool[Tensor, "b n"] | None = None) -> Int[Tensor, " b"]:
    """The allowed action of the highest value, the first of equals."""
    return (q if mask is None else q.masked_fill(~mask, -torch.inf)).argmax(-1)


def of_action(q: Float[Tensor, "b n *k"], action: Int[Tensor, " b"]) -> Float[Tensor, "b *k"]:
    """What belongs to the action chosen: its value, or its row of atoms or quantiles."""
    return q[torch.arange(len(action), device=q.device), action]
