"""Implicit Q-learning: values as expectiles over what was done, so that nothing else is ever asked what it is worth.

Kostrikov, Nair and Levine (2021), "Offline Reinforcement Learning with Implicit Q-Learning", arXiv:2110.06169.

Differs from the paper:
- Choices too, by the likelihood of the logged one; forbidden ones have probability 0, unless the log holds them.
- Value, policy and critics take their steps side by side, each by what the others were before.
- No cosine schedule and no dropout. Layers begin orthogonal, those of both critics are computed together.
"""

import math
from typing import Annotated, Any, Literal

import torch
from gymnasium import spaces
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from angle_domains.acting import decide
from angle_domains.chance import seeded
from angle_domains.losses.offline import advantage_weight, expectile_loss, with_taken
from angle_domains.losses.twin import td_target
from angle_domains.networks import NetworkConfig, PolicyModel
from angle_domains.networks.loading import load_network
from angle_domains.optim import descend, gradients
from angle_domains.q_learning import QLearning
from angle_domains.replay import RecordedConfig, beside
from angle_domains.transitions import Sight, Transitions, read
from angle_domains.types import Decision, LearnResult, Percept, Window
from feeds.base import FeedSpec

_NETWORK = NetworkConfig(hidden=(256, 256), activation="relu")
_REPLAY = RecordedConfig(batch=256)


class IQLConfig(BaseModel):
    """Defaults are those of the authors' code for locomotion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig = _NETWORK
    head: Literal["gaussian", "squashed"] = "gaussian"  # of continuous actions
    log_std: float = -0.5  # where training starts, of a spread that does not depend on what is seen
    n_step: PositiveInt = 1
    gamma: float = Field(default=0.99, ge=0, le=1)
    expectile: float = Field(default=0.7, gt=0, lt=1)
    beta: NonNegativeFloat = 3.0  # how much better an action must have been to be imitated more; 0: behaviour cloning
    most_weight: PositiveFloat = 100.0  # of an action that is imitated
    learning_rate: PositiveFloat = 3e-4
    tau: float = Field(default=0.005, gt=0, le=1)  # share of the way that targets go to their networks at a time
    replay: Annotated[RecordedConfig, beside(_REPLAY)] = _REPLAY


class IQL:
    """Twin critics that look at logged actions alone, and a policy that imitates the better ones."""

    def __init__(self, config: IQLConfig, spec: FeedSpec, *, seed: int, device: str) -> None:
        config.network.check_no_memory()
        self.config, self.replay, self.length = config, config.replay, config.n_step
        self.see = Sight(config.network, device)
        self.choices = isinstance(spec.action_space, spaces.Discrete)
        made, rate = seeded(seed, "network"), config.learning_rate
        head = "auto" if self.choices else config.head
        self.q = QLearning(spec, config.network, learning_rate=rate, tau=config.tau, generator=made, device=device)
        self.model = PolicyModel(spec, config.network, head, log_std=config.log_std, generator=made).to(device)
        self.parameters = list(self.model.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=rate, fused=True)
        self.generator = seeded(seed, "decisions", device)
        self.learned: Transitions | None = None  # the last batch

    def act(self, percept: Percept, memory: Any = None, *, explore: bool) -> Decision:
        """A sampled action; without `explore` the policy's mode."""
        return decide(self.model, self.see, percept, self.generator if explore else None)

    @torch.no_grad()
    def target(self, batch: Transitions) -> Tensor:
        """`[B]`: the return, bootstrapped from the value of where it led."""
        return td_target(batch.reward, batch.discount, self.model.value(batch.next_obs))

    def loss(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """`[B]` of the value and `[B]` of the policy. No side effect."""
        held = self.q.Q_future_function(batch.obs, batch.action)
        error = held - self.model.value(batch.obs)
        weight = advantage_weight(error.detach(), self.config.beta, self.config.most_weight)
        raw = self.model.head.raw(batch.action)
        mask = with_taken(batch.mask, raw) if self.choices else None
        log_prob = self.model(batch.obs, mask).log_prob(raw)
        return expectile_loss(error, self.config.expectile), -weight * log_prob

    def learn(self, window: Window) -> LearnResult:
        """One step of value, policy and critics; TrainingError where a loss or gradient is not finite."""
        batch = self.learned = read(window, self.config.gamma, self.see)
        target = self.target(batch)
        value_loss, policy_loss = ((batch.weight * each).mean() for each in self.loss(batch))
        q_loss, q = self.q.loss(batch.obs, batch.action, target, batch.weight)
        norm = self.q.learn(q_loss)
        descend(value_loss + policy_loss, self.optimizer, self.parameters, math.inf)
        self.q.follow()
        metrics = {
            "loss/q": q_loss.detach(),
            "loss/value": value_loss.detach(),
            "loss/policy": policy_loss.detach(),
            "value/mean": q.mean(),
            "optimiser/gradient_norm": norm,
        }
        return LearnResult(metrics, (target - q).abs().mean(0) if self.replay.prioritised else None)

    def worth(self, obs: Tensor) -> Float[Tensor, "b 1"]:
        return self.model.value(self.see(obs)).unsqueeze(-1)

    def portrait(self) -> dict[str, Tensor]:
        """The critics' values of the last batch, and the gradients of critics, value and policy."""
        if self.learned is None:
            return {}
        critics = self.q.portrait(self.learned.obs, self.learned.action)
        return critics | gradients(self.model, "gradient/policy")

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": dict(self.model.state_dict()),
            "q": self.q.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it belongs to another network."""
        load_network(self.model, state["model"])
        self.q.load_state_dict(state["q"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())


def build(config: IQLConfig, spec: FeedSpec, *, streams: int, seed: int, device: str) -> IQL:
    """An IQL for the observations and actions of a feed; ConfigError where network or actions do not fit."""
    return IQL(config, spec, seed=seed, device=device)
