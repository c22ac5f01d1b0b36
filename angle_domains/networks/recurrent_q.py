"""Action values of sequences: a torso, a memory, and a number for each action, with a value beside them or without."""

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Generator, Tensor, nn

from angle_domains.networks.config import NetworkConfig
from angle_domains.networks.q import QHead, Stream
from angle_domains.networks.recurrence import Past, Recurrence
from angle_domains.networks.torsos import TORSOS
from feeds.base import FeedSpec


class RecurrentQ(nn.Module):
    """What it reads beside observations, `extra` numbers a row, goes to the memory past the torso.

    Of the head it has the hidden layers and whether it is dueling.
    """

    def __init__(
        self, spec: FeedSpec, config: NetworkConfig, head: QHead, actions: int, extra: int, generator: Generator
    ) -> None:
        super().__init__()
        self.torso = TORSOS[config.kind](spec, config, generator)
        self.recurrence = Recurrence(self.torso.whole_size + extra, config.recurrent, generator)
        sizes = (config.recurrent, *head.hidden)
        self.advantage = Stream((*sizes, actions), config, None, generator)
        self.value = Stream((*sizes, 1), config, None, generator) if head.dueling else None

    def forward(
        self,
        obs: Shaped[Tensor, "t b *d"],  # numbers, or bytes of pictures
        extra: Float[Tensor, "t b e"],
        first: Bool[Tensor, "t b"],
        memory: Float[Tensor, "b 2 h"],
    ) -> tuple[Float[Tensor, "t b n"], Float[Tensor, "b 2 h"]]:
        """Values of all rows, and the memory after the last; it is blank where an episode begins."""
        seen = torch.cat([self.torso(obs).whole, extra], -1)
        read, memory = self.recurrence(seen, Past(first, memory))
        advantage = self.advantage(read, None)
        if self.value is None:
            return advantage, memory
        return self.value(read, None) + advantage - advantage.mean(-1, keepdim=True), memory
