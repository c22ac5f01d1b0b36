"""Codes of what an agent can control: those from which the action between two observations is told.

Pathak et al. (2017), as Never Give Up has it (Badia et al. 2020, section 2): what no action has to do with does not
help, so nothing keeps it in the code.
"""

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from angle_domains.networks.config import NetworkConfig
from angle_domains.networks.layers import VALUE_GAIN, linear
from angle_domains.novelty.projection import Projection
from feeds.base import FeedSpec


class Embedding(nn.Module):
    """`forward` maps observations to codes; a classifier on two of them in turn learns which action led over."""

    def __init__(
        self, spec: FeedSpec, config: NetworkConfig, actions: int, *, size: int, hidden: int, generator: Generator
    ) -> None:
        super().__init__()
        self.code = Projection(spec, config, size, generator)
        self.classifier = nn.Sequential(
            linear(2 * size, hidden, generator), nn.ReLU(), linear(hidden, actions, generator, VALUE_GAIN)
        )

    def forward(self, obs: Tensor) -> Float[Tensor, "*b n"]:
        return self.code(obs)

    def loss(self, obs: Tensor, action: Int[Tensor, "t b"], real: Float[Tensor, "t b"]) -> Float[Tensor, ""]:
        """Cross-entropy of the actions taken, counted from 0, between observations `[T+1, B, *obs]`.

        The mean over rows that are real: from an episode's last observation to the next one's first no action leads.
        """
        code = self.code(obs)
        logits = self.classifier(torch.cat([code[:-1], code[1:]], -1))
        each = nn.functional.cross_entropy(logits.flatten(0, 1), action.flatten(), reduction="none")
        return (real.flatten() * each).sum() / real.sum().clamp(min=1.0)
