"""Rainbow: double, dueling, prioritised, n-step, distributional (C51) and noisy Q-networks in one agent.

Hessel, Modayil, van Hasselt, Schaul, Ostrovski et al. (2018), "Rainbow: Combining Improvements in Deep Reinforcement
Learning", arXiv:1710.02298. The distribution is that of Bellemare, Dabney and Munos (2017), arXiv:1707.06887; the noise
that of Fortunato et al. (2018), arXiv:1706.10295.

Differs from the paper:
- Each part can be switched off, `n_step: 1` and `replay.prioritised: false` among them; without `noisy` exploration is
  epsilon-greedy, without `distributional` the loss is half the squared error, its size the priority.
- Streams that act side by side each draw noise of their own; updates share one draw over the batch, as in the paper.
- Noise is off without exploration, and the policy greedy on the means.
- The value at a truncation is bootstrapped from the final observation.
- Actions that the environment forbids are neither explored nor bootstrapped from.
"""

from typing import Annotated, Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from angle_domains.losses.distributional import cross_entropy, divergence, project
from angle_domains.losses.value import greedy, of_action, squared
from angle_domains.networks import NetworkConfig
from angle_domains.networks.q import Noise, QHead
from angle_domains.optim import descend
from angle_domains.replay import ReplayConfig, beside
from angle_domains.schedule import Span
from angle_domains.transitions import Transitions
from angle_domains.types import Decision, LearnResult, Percept, Window
from angle_domains.value_based import Exploration, ValueBased
from feeds.base import FeedSpec

_REPLAY = ReplayConfig(warm_up=20_000, prioritised=True, alpha=0.5, beta=0.4, beta_steps=50_000_000)


class RainbowConfig(BaseModel):
    """Defaults are those of Hessel et al. for Atari, steps counted after frame skip."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig = NetworkConfig()
    scale_observation: bool = False  # entries that have bounds to the range from -1 to 1; images have their own scale
    head_hidden: tuple[PositiveInt, ...] = (512,)  # of the streams of value and advantage
    double: bool = True
    dueling: bool = True
    distributional: bool = True
    noisy: bool = True
    n_step: PositiveInt = 3
    atoms: int = Field(default=51, ge=2)
    lowest: float = -10.0  # return that the first atom stands for
    highest: float = 10.0
    sigma: PositiveFloat = 0.5  # of the noise, where training starts
    gamma: float = Field(default=0.99, ge=0, le=1)
    learning_rate: PositiveFloat = 6.25e-5
    anneal_steps: Span = None  # environment steps by which the learning rate falls to nothing; "run": training.steps
    adam_epsilon: PositiveFloat = 1.5e-4
    max_grad_norm: PositiveFloat = 10.0
    target_every: PositiveInt = 8_000  # environment steps between copies to the target network
    epsilon: float = Field(default=1.0, ge=0, le=1)  # where there is no noise: share of random actions at first
    epsilon_end: float = Field(default=0.01, ge=0, le=1)
    epsilon_steps: PositiveInt = 250_000  # environment steps from one to the other
    replay: Annotated[ReplayConfig, beside(_REPLAY)] = _REPLAY

    @model_validator(mode="after")
    def _support(self) -> "RainbowConfig":
        if self.lowest >= self.highest:
            raise ValueError(f"lowest={self.lowest:g} must lie below highest={self.highest:g}")
        return self


class Noises(NamedTuple):
    """The noise of one update; None where the networks are not noisy."""

    online: Noise | None = None
    target: Noise | None = None
    choice: Noise | None = None  # of the online network as it chooses the next action


class Rainbow:
    """Learns, for every action, how likely each of `atoms` returns is."""

    def __init__(self, config: RainbowConfig, spec: FeedSpec, *, seed: int, device: str) -> None:
        self.config, self.replay, self.length = config, config.replay, config.n_step
        sigma = config.sigma if config.noisy else None
        head = QHead(config.atoms if config.distributional else 1, config.head_hidden, config.dueling, sigma)
        start = (config.epsilon, config.epsilon_end, config.epsilon_steps)
        exploration = Exploration() if config.noisy else Exploration(*start)
        self.support = torch.linspace(config.lowest, config.highest, config.atoms, device=device)
        self.core = ValueBased(
            config, spec, head, exploration=exploration, expectation=self.expectation, seed=seed, device=device
        )
        self.optimizer = torch.optim.Adam(
            self.core.parameters, lr=config.learning_rate, eps=config.adam_epsilon, fused=True
        )

    def expectation(self, output: Tensor) -> Tensor:
        """The expected return of each action."""
        if not self.config.distributional:
            return output.squeeze(-1)
        return torch.softmax(output, -1) @ self.support

    def act(self, percept: Percept, memory: Any = None, *, explore: bool) -> Decision:
        return self.core.act(percept, memory, explore=explore)

    def loss(self, batch: Transitions, noises: Noises) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The loss of a batch, what is logged of it, and the priority of each sample."""
        output = of_action(self.core.online(batch.obs, noises.online), batch.action)
        target = self.target(batch, noises)
        if self.config.distributional:
            each = cross_entropy(output, target)
            priority = divergence(each.detach(), target)
        else:
            each = squared(output.squeeze(-1), target)
            priority = (target - output.detach().squeeze(-1)).abs()
        loss = (batch.weight * each).mean()
        value = self.expectation(output.detach())
        return loss, {"loss/q": loss.detach(), "value/mean": value.mean(), "loss/priority": priority.mean()}, priority

    @torch.no_grad()
    def target(self, batch: Transitions, noises: Noises) -> Tensor:
        """The return's distribution `[B, atoms]` or its mean `[B]`, bootstrapped from the best next action."""
        output = self.core.target(batch.next_obs, noises.target)
        judge = self.core.online(batch.next_obs, noises.choice) if self.config.double else output
        best = of_action(output, greedy(self.expectation(judge), batch.next_mask))
        if not self.config.distributional:
            return batch.reward + batch.discount * best.squeeze(-1)
        place = batch.reward.unsqueeze(-1) + batch.discount.unsqueeze(-1) * self.support
        return project(torch.softmax(best, -1), place, self.support)

    def learn(self, window: Window) -> LearnResult:
        """One step of the optimiser; TrainingError where loss or gradient are not finite."""
        draw = [network.draw(self.core.generator) for network in (self.core.online, self.core.target, self.core.online)]
        batch = self.core.transitions(window)
        loss, logged, priority = self.loss(batch, Noises(*draw))
        self.core.anneal(self.optimizer, self.config.learning_rate, self.config.anneal_steps)
        norm = descend(loss, self.optimizer, self.core.parameters, self.config.max_grad_norm)
        self.core.count_update(batch)
        metrics: dict[str, float | Tensor] = {**logged, "optimiser/gradient_norm": norm}
        if not self.config.noisy:
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


def build(config: RainbowConfig, spec: FeedSpec, *, streams: int, seed: int, device: str) -> Rainbow:
    """A Rainbow for the observations and actions of a feed; ConfigError where the network does not fit them."""
    return Rainbow(config, spec, seed=seed, device=device)
