"""Windows as transitions of one or several steps, for agents that learn what single actions are worth."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from angle_domains.losses.returns import n_step
from angle_domains.networks import NetworkConfig
from angle_domains.types import Window


class Transitions(NamedTuple):
    """What the first action of each window led to within its episode, up to n actions later."""

    obs: Tensor  # [B, *obs]
    mask: Bool[Tensor, "b n"] | None  # what was allowed there
    action: Tensor  # [B, *act] as the environment names it, or counted from 0
    reward: Float[Tensor, " b"]  # discounted sum
    discount: Float[Tensor, " b"]  # of the value of `next_obs`; 0 where the task ended
    next_obs: Tensor  # [B, *obs]
    next_mask: Bool[Tensor, "b n"] | None
    weight: Float[Tensor, " b"]


class Sight:
    """Observations `[B, *obs]` as networks read them: images as they are, all else flat and float.

    What is not an image may have a `scale`: the middle of every entry and half its width, which becomes 1.
    """

    def __init__(self, network: NetworkConfig, device: str, scale: Float[Tensor, "2 d"] | None = None) -> None:
        self.device, self.images = torch.device(device), network.images
        self.scale = None if scale is None else scale.to(self.device)

    def __call__(self, obs: Tensor) -> Tensor:
        obs = obs.to(self.device)
        if self.images:
            return obs
        flat = obs.flatten(1).to(torch.float32)
        return flat if self.scale is None else (flat - self.scale[0]) / self.scale[1]


@torch.no_grad()
def read(window: Window, gamma: float, see: Sight, *, first: int = 0) -> Transitions:
    """The transitions of a window, its length the most steps that one spans; actions are counted from `first`."""
    found = n_step(window.reward * window.paid(gamma), window.discounted(gamma), window.real)
    each = torch.arange(len(found.steps), device=found.steps.device)
    mask = window.percept.mask
    return Transitions(
        obs=see(window.obs[0]),
        mask=None if mask is None else mask[0].to(see.device),
        action=window.action[0].to(see.device) - first,
        reward=found.reward.to(see.device),
        discount=found.discount.to(see.device),
        next_obs=see(window.obs[found.steps, each]),
        next_mask=None if mask is None else mask[found.steps, each].to(see.device),
        weight=window.weight.to(see.device),
    )
