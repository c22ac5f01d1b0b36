"""Advantage actor-critic, the synchronous form of A3C.

Mnih, Badia, Mirza, Graves, Lillicrap, Harley, Silver and Kavukcuoglu (2016), "Asynchronous Methods for Deep
Reinforcement Learning", arXiv:1602.01783.

Differs from the paper:
- All streams step together and one update takes them all in: no asynchronous workers.
- The gradient's global norm is held at 0.5 and RMSprop's epsilon stands inside the root (OpenAI Baselines).
- `lambda_` below 1 replaces returns by generalised advantages; 1 is the paper.
- The value at a truncation is bootstrapped from the final observation; the rows in which streams reset are left out.
"""

from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from angle_domains.actor_critic import ActorCritic, Samples
from angle_domains.losses.policy import normalised, policy_gradient
from angle_domains.losses.value import explained_variance, squared
from angle_domains.networks import HeadKind, NetworkConfig
from angle_domains.optim import RMSpropTF, descend, set_learning_rate
from angle_domains.schedule import Span, linear, progress
from angle_domains.types import Decision, LearnResult, Percept, Window
from feeds.base import FeedSpec

_LOGGED = ("loss/policy", "loss/value", "policy/entropy", "optimiser/gradient_norm")


class A2CConfig(BaseModel):
    """Defaults are those of the paper, with the learning rate of its synchronous form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig = NetworkConfig()
    head: HeadKind = "auto"
    log_std: float = 0.0  # of continuous actions, where training starts
    horizon: PositiveInt = 5  # ticks of a window
    gamma: float = Field(default=0.99, ge=0, le=1)
    lambda_: float = Field(default=1.0, ge=0, le=1)
    learning_rate: PositiveFloat = 7e-4
    learning_rate_end: NonNegativeFloat = 0.0
    anneal_steps: Span = None  # environment steps to the end of the schedule; "run": training.steps; None: none
    alpha: float = Field(default=0.99, gt=0, lt=1)  # of RMSprop
    epsilon: PositiveFloat = 1e-5  # of RMSprop, inside the root
    normalise_advantage: bool = False
    entropy_weight: float = 0.01
    value_weight: NonNegativeFloat = 0.5  # of half the squared error
    max_grad_norm: PositiveFloat = 0.5
    normalise_observation: bool = False
    normalise_reward: bool = False


class A2C:
    """Learns once from each window of `horizon` ticks of all streams."""

    def __init__(self, config: A2CConfig, spec: FeedSpec, *, streams: int, seed: int, device: str) -> None:
        self.config, self.streams = config, streams
        self.core = ActorCritic(config, spec, streams=streams, seed=seed, device=device)
        self.optimizer = RMSpropTF(self.core.parameters, config.learning_rate, config.alpha, config.epsilon)
        self.updates = 0

    @property
    def horizon(self) -> int:
        return self.config.horizon

    @property
    def rows(self) -> int:
        """Ticks of experience to keep: a window and the percept that ends it."""
        return self.config.horizon + 1

    def act(self, percept: Percept, memory: Any = None, *, explore: bool) -> Decision:
        return self.core.act(percept, memory, explore=explore)

    def loss(self, batch: Samples) -> tuple[Tensor, list[Tensor]]:
        """The loss of all samples, and what is logged of it in the order of `_LOGGED` less the last."""
        config = self.config
        distribution, value = self.core.model.evaluate(batch.obs, batch.mask, batch.past)
        advantage = normalised(batch.advantage) if config.normalise_advantage else batch.advantage
        policy_loss = policy_gradient(distribution.log_prob(batch.raw), advantage).mean()
        value_loss, entropy = squared(value, batch.target).mean(), distribution.entropy().mean()
        loss = policy_loss - config.entropy_weight * entropy + config.value_weight * value_loss
        return loss, [policy_loss.detach(), value_loss.detach(), entropy.detach()]

    def learn(self, window: Window) -> LearnResult:
        """One step of the optimiser; TrainingError where loss or gradient are not finite.

        A window in which all streams were resetting teaches nothing: no metrics, but the schedule goes on.
        """
        config = self.config
        self.core.weigh_rewards(window)
        samples, real = self.core.samples(window)
        taken = samples.take(real)
        done = progress(self.updates, config.horizon * self.streams, config.anneal_steps)
        learning_rate = linear(config.learning_rate, config.learning_rate_end, done)
        set_learning_rate(self.optimizer, learning_rate)
        logged = self._step(taken) if len(real) else None
        self.core.weigh_observations(window)
        self.updates += 1
        if logged is None:
            return LearnResult({})
        metrics = dict(zip(_LOGGED, logged.tolist(), strict=True))
        foreseen = explained_variance(taken.value, taken.target).item()
        return LearnResult(metrics | {"value/explained_variance": foreseen, "optimiser/learning_rate": learning_rate})

    def _step(self, taken: Samples) -> Tensor:
        """One step down the loss; what was logged of it."""
        loss, parts = self.loss(taken)
        norm = descend(loss, self.optimizer, self.core.parameters, self.config.max_grad_norm)
        return torch.stack([*parts, norm])

    def worth(self, obs: Tensor) -> Tensor:
        return self.core.worth(obs)

    def portrait(self) -> dict[str, Tensor]:
        return self.core.portrait()

    def state_dict(self) -> dict[str, Any]:
        return {"core": self.core.state_dict(), "optimizer": self.optimizer.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.core.load_state_dict(state["core"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.updates = state["updates"]


def build(config: A2CConfig, spec: FeedSpec, *, streams: int, seed: int, device: str) -> A2C:
    """An A2C for the observations and actions of a feed; ConfigError where network or head do not fit them."""
    return A2C(config, spec, streams=streams, seed=seed, device=device)
