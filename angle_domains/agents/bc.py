"""Behaviour cloning: the most likely of what was done, and how likely each choice was.

Pomerleau (1991), "Efficient Training of Artificial Neural Networks for Autonomous Navigation", Neural Computation 3.
It is the control of every agent that learns from a log, and an estimate of who made it.

Differs from the paper:
- The log-likelihood of any distribution of actions instead of a squared error; forbidden choices have probability 0,
  unless the log holds them all the same.
"""

import math
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat
from torch import Tensor

from angle_domains.acting import decide
from angle_domains.chance import seeded
from angle_domains.losses.offline import with_taken
from angle_domains.networks import NetworkConfig, PolicyModel
from angle_domains.networks.loading import load_network
from angle_domains.optim import descend, gradients
from angle_domains.replay import RecordedConfig, beside
from angle_domains.transitions import Sight, Transitions, read
from angle_domains.types import Decision, LearnResult, Percept, Window
from feeds.base import FeedSpec

_NETWORK = NetworkConfig(hidden=(256, 256), activation="relu")
_REPLAY = RecordedConfig(batch=256)


class BCConfig(BaseModel):
    """Defaults are those of offline libraries (d3rlpy) for vectors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig = _NETWORK
    head: Literal["auto", "gaussian", "squashed", "logistic_normal"] = "auto"  # of continuous actions
    log_std: float = -0.5  # where training starts, of a spread that is learned but does not depend on what is seen
    learning_rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 0.0
    replay: Annotated[RecordedConfig, beside(_REPLAY)] = _REPLAY


class BC:
    """Does what was done."""

    def __init__(self, config: BCConfig, spec: FeedSpec, *, seed: int, device: str) -> None:
        config.network.check_no_memory()
        self.config, self.replay, self.length = config, config.replay, 1
        self.see = Sight(config.network, device)
        made = seeded(seed, "network")
        self.actor = PolicyModel(
            spec, config.network, config.head, log_std=config.log_std, generator=made, values=False
        ).to(device)
        self.parameters = list(self.actor.parameters())
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.generator = seeded(seed, "decisions", device)
        self.learned: Transitions | None = None  # the last batch

    def act(self, percept: Percept, memory: Any = None, *, explore: bool) -> Decision:
        """A sampled action; without `explore` the likeliest."""
        return decide(self.actor, self.see, percept, self.generator if explore else None)

    def loss(self, batch: Transitions) -> Tensor:
        """`[B]`: how surprising what was done is, in nats. No side effect."""
        raw = self.actor.head.raw(batch.action)
        mask = batch.mask if raw.is_floating_point() or raw.ndim > 1 else with_taken(batch.mask, raw)
        return -self.actor(batch.obs, mask).log_prob(raw)

    def learn(self, window: Window) -> LearnResult:
        """One step of the policy; TrainingError where the loss or its gradient is not finite."""
        batch = self.learned = read(window, 1.0, self.see)
        each = self.loss(batch)
        loss = (batch.weight * each).mean()
        norm = descend(loss, self.optimizer, self.parameters, math.inf)
        metrics = {"loss/policy": loss.detach(), "optimiser/gradient_norm": norm}
        return LearnResult(metrics, each.detach().clamp(min=0.0) if self.replay.prioritised else None)

    def portrait(self) -> dict[str, Tensor]:
        """The gradients of every part."""
        return {} if self.learned is None else gradients(self.actor, "gradient/policy")

    def state_dict(self) -> dict[str, Any]:
        return {
            "actor": dict(self.actor.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it belongs to another network."""
        load_network(self.actor, state["actor"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())


def build(config: BCConfig, spec: FeedSpec, *, streams: int, seed: int, device: str) -> BC:
    """A BC for the observations and actions of a feed; ConfigError where network or head do not fit them."""
    return BC(config, spec, seed=seed, device=device)
