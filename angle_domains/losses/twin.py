"""What twin critics learn from (Fujimoto, van Hoof and Meger 2018)."""

import torch
from jaxtyping import Float
from torch import Tensor


def td_target(
    reward: Float[Tensor, " b"], discount: Float[Tensor, " b"], value: Float[Tensor, " b"]
) -> Float[Tensor, " b"]:
    """What an action was worth; `discount` is 0 where the task ended, `value` that of where the action led."""
    return torch.addcmul(reward, discount, value)


def twin_error(q: Float[Tensor, "2 b"], target: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """Half the squared errors of both critics, summed."""
    return 0.5 * (q - target).square().sum(0)


def smoothed(place: Float[Tensor, "b a"], noise: Float[Tensor, "b a"], clip: float) -> Float[Tensor, "b a"]:
    """Places in the box stirred by noise that is cut at `clip`, kept in the box: target policy smoothing (eq. 14)."""
    return (place + noise.clamp(-clip, clip)).clamp(-1.0, 1.0)
