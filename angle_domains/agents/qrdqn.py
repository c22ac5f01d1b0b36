"""Quantile-regression DQN: the distribution of returns as quantiles, greedy on their mean.

Dabney, Rowland, Bellemare and Munos (2018), "Distributional Reinforcement Learning with Quantile Regression",
arXiv:1710.10044.

Differs from the paper:
- Double action choice, dueling networks, n-step returns and prioritised replay are there as switches, off by default.
- The gradient's global norm is held at 10.
- The value at a truncation is bootstrapped from the final observation.
- Actions that the environment forbids are neither explored nor bootstrapped from.
- Without exploration the policy is greedy; the paper plays its evaluations with an epsilon of 0.001.
"""

from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from angle_domains.losses.distributional import quantile_huber
from angle_domains.losses.value import greedy, of_action
from angle_domains.networks import NetworkConfig
from angle_domains.networks.q import QHead
from angle_domains.optim import descend
from angle_domains.replay import ReplayConfig, beside
from angle_domains.schedule import Span
from angle_domains.transitions import Transitions
from angle_domains.types import Decision, LearnResult, Percept, Window
from angle_domains.value_based import Exploration, ValueBased
from feeds.base import FeedSpec

_REPLAY = ReplayConfig(warm_up=50_000)


class QRDQNConfig(BaseModel):
    """Defaults are those of Dabney et al. for Atari, steps counted after frame skip."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig = NetworkConfig()
    scale_observation: bool = False  # entries that have bounds to the range from -1 to 1; images have their own scale
    head_hidden: tuple[PositiveInt, ...] = ()  # layers between the torso and the quantiles
    quantiles: PositiveInt = 200
    kappa: NonNegativeFloat = 1.0  # the error up to which the loss is squared; 0: the plain quantile loss
    double: bool = False
    dueling: bool = False
    n_step: PositiveInt = 1
    gamma: float = Field(default=0.99, ge=0, le=1)
    learning_rate: PositiveFloat = 5e-5
    anneal_steps: Span = None  # environment steps by which the learning rate falls to nothing; "run": training.steps
    adam_epsilon: PositiveFloat = 0.01 / 32
    max_grad_norm: PositiveFloat = 10.0
    target_every: PositiveInt = 10_000  # environment steps between copies to the target network
    epsilon: float = Field(default=1.0, ge=0, le=1)  # share of random actions, until the replay is warm
    epsilon_end: float = Field(default=0.01, ge=0, le=1)
    epsilon_steps: PositiveInt = 1_000_000  # environment steps from one to the other
    zeta: float | None = Field(default=None, gt=1)  # random actions last, the longer the smaller this is; None: a tick
    replay: Annotated[ReplayConfig, beside(_REPLAY)] = _REPLAY


class QRDQN:
    """Learns, for every action, quantiles of the return."""

    def __init__(self, config: QRDQNConfig, spec: FeedSpec, *, seed: int, device: str) -> None:
        self.config, self.replay, self.length = config, config.replay, config.n_step
        head = QHead(config.quantiles, config.head_hidden, config.dueling)
        exploration = Exploration(config.epsilon, config.epsilon_end, config.epsilon_steps, config.zeta)
        self.core = ValueBased(config, spec, head, exploration=exploration, expectation=_mean, seed=seed, device=device)
        self.optimizer = torch.optim.Adam(
            self.core.parameters, lr=config.learning_rate, eps=config.adam_epsilon, fused=True
        )

    def act(self, percept: Percept, memory: Any = None, *, explore: bool) -> Decision:
        return self.core.act(percept, memory, explore=explore)

    def loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The loss of a batch, what is logged of it, and the priority of each sample."""
        quantiles = of_action(self.core.online(batch.obs), batch.action)
        each = quantile_huber(quantiles, self.target(batch), self.config.kappa)
        loss = (batch.weight * each).mean()
        return loss, {"loss/q": loss.detach(), "value/mean": quantiles.detach().mean()}, each.detach()

    @torch.no_grad()
    def target(self, batch: Transitions) -> Tensor:
        """`[B, quantiles]`: n-step returns, bootstrapped from each quantile of the best next action."""
        quantiles = self.core.target(batch.next_obs)
        judge = self.core.online(batch.next_obs) if self.config.double else quantiles
        best = of_action(quantiles, greedy(_mean(judge), batch.next_mask))
        return batch.reward.unsqueeze(-1) + batch.discount.unsqueeze(-1) * best

    def learn(self, window: Window) -> LearnResult:
        """One step of the optimiser; TrainingError where loss or gradient are not finite."""
        batch = self.core.transitions(window)
        loss, logged, priority = self.loss(batch)
        self.core.anneal(self.optimizer, self.config.learning_rate, self.config.anneal_steps)
        norm = descend(loss, self.optimizer, self.core.parameters, self.config.max_grad_norm)
        self.core.count_update(batch)
        metrics: dict[str, float | Tensor] = {**logged, "optimiser/gradient_norm": norm}
        metrics["exploration/epsilon"] = self.core.epsilon
        return LearnResult(metrics, priority if self.replay.prioritised else None)

    def worth(self, obs: Tensor) -> Tensor:
        return self.core.worth(obs)

    def portrait(self) -> dict[str, Tensor]:
        return self.core.portrait()

    def state_dict(self) -> dict[str, Any]:
        return {"core": self.core.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.core.load_state_dict(state["core"])
        self.optimizer.load_state_dict(state["optimizer"])


def _mean(quantiles: Tensor) -> Tensor:
    """The expected return of each action."""
    return quantiles.mean(-1)


def build(config: QRDQNConfig, spec: FeedSpec, *, streams: int, seed: int, device: str) -> QRDQN:
    """A QR-DQN for the observations and actions of a feed; ConfigError where the network does not fit them."""
    return QRDQN(config, spec, seed=seed, device=device)
