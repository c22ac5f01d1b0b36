"""Windows as transitions of one or several steps, for agents whose critics judge single actions."""

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
    action: Tensor  # [B, *act] of the environment
    reward: Float[Tensor, " b"]  # discounted sum
    discount: Float[Tensor, " b"]  # of the value of `next_obs`; 0 where the task ended
    next_obs: Tensor  # [B, *obs]
    next_mask: Bool[Tensor, "b n"] | None
    weight: Float[Tensor, " b"]


class Sight:
    """Observations `[B, *obs]` as networks read them: images as they are, all else flat and float."""

    def __init__(self, network: NetworkConfig, device: str) -> None:
        self.device, self.images = torch.device(device), network.images

    def __call__(self, obs: Tensor) -> Tensor:
        obs = obs.to(self.device)
        return obs if self.images else obs.flatten(1).to(torch.float32)


@torch.no_grad()
def read(window: Window, gamma: float, see: Sight) -> Transitions:
    """The transitions of a window, its length the most steps that one spans."""
    found = n_step(window.reward, gamma * window.discount, window.real)
    each = torch.arange(len(found.steps), device=found.steps.device)
    mask = window.percept.mask
    return Transitions(
        obs=see(window.obs[0]),
        mask=None if mask is None else mask[0].to(see.device),
        action=window.action[0].to(see.device),
        reward=found.reward.to(see.device),
        discount=found.discount.to(see.device),
        next_obs=see(window.obs[found.steps, each]),
        next_mask=None if mask is None else mask[found.steps, each].to(see.device),
        weight=window.weight.to(see.device),
    )
