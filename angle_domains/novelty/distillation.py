"""How new an observation is over all of training: what a network foresees badly (Burda et al. 2019, arXiv:1810.12894).

A predictor learns what a random network, which stays as it is, makes of observations: it errs where it saw little.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from angle_domains.networks.config import NetworkConfig
from angle_domains.networks.loading import load_network
from angle_domains.normalise import RunningMoments
from angle_domains.novelty.projection import Projection
from feeds.base import FeedSpec


class Distillation:
    """The errors of a predictor, and how they stand out; their moments stand still between calls of `take_in`."""

    def __init__(
        self,
        spec: FeedSpec,
        config: NetworkConfig,
        *,
        size: int,
        generator: Generator,
        device: str | torch.device = "cpu",
    ) -> None:
        self.target = Projection(spec, config, size, generator).to(device).requires_grad_(False)
        self.predictor = Projection(spec, config, size, generator).to(device)
        self.moments = RunningMoments(1, device=str(device))

    def parameters(self) -> Iterator[nn.Parameter]:
        """What is to be trained."""
        return self.predictor.parameters()

    def error(self, obs: Tensor) -> Float[Tensor, "*b"]:
        """The squared distance of each observation's codes; the predictor learns by it."""
        return (self.predictor(obs) - self.target(obs)).square().sum(-1)

    @torch.no_grad()
    def take_in(self, error: Float[Tensor, "*b"]) -> None:
        """Adds errors to their moments."""
        self.moments.update(error.flatten().unsqueeze(-1))

    @torch.no_grad()
    def modulator(self, error: Float[Tensor, "*b"], most: float) -> Float[Tensor, "*b"]:
        """alpha = 1 + (error - mean) / deviation, from 1 to `most` (Badia et al. 2020, "Never Give Up", eq. 1)."""
        deviation = self.moments.variance.sqrt().clamp(min=torch.finfo(torch.float32).tiny)
        standing = (error - self.moments.mean) / deviation
        return (1.0 + standing).clamp(1.0, most).to(error.dtype)

    def state_dict(self) -> dict[str, Any]:
        return {
            "target": self.target.state_dict(),
            "predictor": self.predictor.state_dict(),
            "moments": self.moments.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        load_network(self.target, state["target"])
        load_network(self.predictor, state["predictor"])
        self.moments.load_state_dict(state["moments"])
