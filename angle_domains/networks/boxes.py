"""Between the actions of a box and their place in it, where -1 and 1 are the edges."""

from typing import Any

import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Generator, Tensor, nn

from angle_domains.errors import ConfigError


class BoxScale(nn.Module):
    """`action` of a place and `place` of an action; ConfigError where there is no box with edges and one axis."""

    low: Tensor
    high: Tensor
    centre: Tensor
    reach: Tensor

    def __init__(self, space: spaces.Space[Any]) -> None:
        super().__init__()
        if not isinstance(space, spaces.Box):
            raise ConfigError(f"actions in {space} are no point of a box")
        if len(space.shape) != 1:
            raise ConfigError(f"actions of shape {space.shape} are not supported: flatten them to one axis")
        if not space.is_bounded():
            raise ConfigError(f"actions in {space} have no bounds, and this agent scales them by their bounds: use ppo")
        low, high = (torch.as_tensor(bound, dtype=torch.float32) for bound in (space.low, space.high))
        parts = {"low": low, "high": high, "centre": (low + high) / 2, "reach": (high - low) / 2}
        for name, value in parts.items():
            self.register_buffer(name, value, persistent=False)

    def action(self, place: Float[Tensor, "*b a"]) -> Float[Tensor, "*b a"]:
        """Beyond the edges clipped to them."""
        return torch.addcmul(self.centre, self.reach, place).clamp(self.low, self.high)

    def place(self, action: Float[Tensor, "*b a"]) -> Float[Tensor, "*b a"]:
        return (action - self.centre) / self.reach

    def uniform(self, streams: int, generator: Generator) -> Float[Tensor, "b a"]:
        """Actions, each of the box as likely as another."""
        chance = torch.rand(streams, len(self.reach), generator=generator, device=self.reach.device)
        return self.action(2.0 * chance - 1.0)
