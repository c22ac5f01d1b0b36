"""The reward for novelty of Never Give Up: that within the episode, raised by that over all of training.

Badia et al. (2020), "Never Give Up: Learning Directed Exploration Strategies", arXiv:2002.06038, section 2.

Differs from the paper:
- The moments of the predictor's errors are taken in with what is learned from (`take_in`), and stand still between
  updates: acting changes nothing but the episodic memory.
- The predictor reads observations as the agent does, without moments of their own.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import Generator, Tensor, nn

from angle_domains.networks.config import NetworkConfig
from angle_domains.networks.loading import load_network
from angle_domains.novelty import episodic
from angle_domains.novelty.distillation import Distillation
from angle_domains.novelty.embedding import Embedding
from angle_domains.novelty.episodic import Episodic, EpisodicConfig
from feeds.base import FeedSpec


class CuriosityConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig | None = None  # of each of the three that read observations; None: the agent's, no memory
    embedding: PositiveInt = 32  # numbers of a code of what can be controlled
    classifier: PositiveInt = 128  # units of the layer that tells the action from two codes
    distilled: PositiveInt = 128  # numbers that the random network makes of an observation
    most: float = Field(default=5.0, ge=1)  # how far novelty over training may raise the reward; 1: not at all
    episodic: EpisodicConfig = EpisodicConfig()


class Lessons(NamedTuple):
    """What is to be made small."""

    inverse: Float[Tensor, ""]  # cross-entropy of the actions, a mean over rows
    error: Float[Tensor, "*b"]  # of the predictor, of each row


class Curiosity:
    """Three networks and the moments of an error; what streams remember of their episodes is handed in and out."""

    def __init__(
        self,
        config: CuriosityConfig,
        spec: FeedSpec,
        actions: int,
        *,
        network: NetworkConfig,
        generator: Generator,
        device: str | torch.device = "cpu",
    ) -> None:
        self.config, self.device = config, device
        reads = config.network or network.model_copy(update={"recurrent": 0})
        self.embedding = Embedding(
            spec, reads, actions, size=config.embedding, hidden=config.classifier, generator=generator
        ).to(device)
        self.distillation = Distillation(spec, reads, size=config.distilled, generator=generator, device=device)

    def parameters(self) -> Iterator[nn.Parameter]:
        """What is to be trained; the random network is not."""
        yield from self.embedding.parameters()
        yield from self.distillation.parameters()

    def blank(self, streams: int) -> Episodic:
        """The memory of streams that saw nothing yet."""
        return episodic.blank(streams, self.config.embedding, self.device)

    @torch.no_grad()
    def look(self, obs: Tensor, memory: Episodic, first: Bool[Tensor, " b"]) -> tuple[Float[Tensor, " b"], Episodic]:
        """The reward for seeing observations `[B, *obs]`, r = episodic · alpha, and the memory that holds them."""
        reward, memory = episodic.look(self.config.episodic, memory, self.embedding(obs), first)
        alpha = self.distillation.modulator(self.distillation.error(obs), self.config.most)
        return reward * alpha, memory

    def lessons(self, obs: Tensor, action: Int[Tensor, "t b"], real: Float[Tensor, "t b"]) -> Lessons:
        """Of a window's observations `[T+1, B, *obs]` and its actions, counted from 0. No side effect."""
        return Lessons(self.embedding.loss(obs, action, real), self.distillation.error(obs))

    def take_in(self, error: Float[Tensor, "*b"]) -> None:
        """Adds the predictor's errors to the moments by which they are judged: once per update."""
        self.distillation.take_in(error)

    def state_dict(self) -> dict[str, Any]:
        return {"embedding": self.embedding.state_dict(), "distillation": self.distillation.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it belongs to other networks."""
        load_network(self.embedding, state["embedding"])
        self.distillation.load_state_dict(state["distillation"])
