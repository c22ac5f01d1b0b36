"""Observations as short codes."""

from jaxtyping import Float
from torch import Generator, Tensor, nn

from angle_domains.networks.config import NetworkConfig
from angle_domains.networks.layers import VALUE_GAIN, linear
from angle_domains.networks.torsos import TORSOS
from feeds.base import FeedSpec


class Projection(nn.Module):
    """A torso and a dense layer of `size` numbers, without an activation behind it."""

    def __init__(self, spec: FeedSpec, config: NetworkConfig, size: int, generator: Generator) -> None:
        super().__init__()
        self.torso = TORSOS[config.kind](spec, config, generator)
        self.out = linear(self.torso.whole_size, size, generator, VALUE_GAIN)

    def forward(self, obs: Tensor) -> Float[Tensor, "*b n"]:
        return self.out(self.torso(obs).whole)
