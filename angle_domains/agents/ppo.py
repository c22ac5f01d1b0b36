"""Proximal policy optimisation.

Schulman, Wolski, Dhariwal, Radford and Klimov (2017), "Proximal Policy Optimization Algorithms", arXiv:1707.06347; the
details are those of Huang, Dossa, Raffin, Kanervisto and Wang (2022), "The 37 Implementation Details of Proximal
Policy Optimization".

Differs from the paper:
- Values are clipped like ratios (detail 9), the gradient's global norm is held at 0.5 (detail 11), advantages are
  normalised in each minibatch (detail 7): code of the authors, not text.
- The value at a truncation is bootstrapped from the final observation; the rows in which streams reset are left out.
- A window is learned before its last percept is decided, so no row is decided by a policy older than its window's.
- Raw actions of a bounded box are scaled so that -1 and 1 are its edges (`networks.heads.GaussianHead`).
- Observation moments move once per window instead of at every step: stored log-probabilities stay true.
"""

from collections.abc import Iterator
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from angle_domains.actor_critic import ActorCritic, Samples, Sequences
from angle_domains.losses.policy import approximate_kl, clipped, clipped_surrogate, normalised
from angle_domains.losses.value import clipped_value_loss, explained_variance, squared
from angle_domains.networks import HeadKind, NetworkConfig
from angle_domains.optim import descend, set_learning_rate
from angle_domains.schedule import Span, linear, progress
from angle_domains.types import Decision, LearnResult, Percept, Window
from feeds.base import FeedSpec

_LOGGED = (
    "loss/policy",
    "loss/value",
    "policy/entropy",
    "policy/approximate_kl",
    "policy/clipped",
    "optimiser/gradient_norm",
)


class PPOConfig(BaseModel):
    """Defaults are those of Huang et al. for classic control."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig = NetworkConfig()
    head: HeadKind = "auto"
    log_std: float = 0.0  # of continuous actions, where training starts
    horizon: PositiveInt = 128  # ticks of a window
    epochs: PositiveInt = 4
    minibatches: PositiveInt = 4  # in each epoch
    gamma: float = Field(default=0.99, ge=0, le=1)
    lambda_: float = Field(default=0.95, ge=0, le=1)
    learning_rate: PositiveFloat = 2.5e-4
    learning_rate_end: NonNegativeFloat = 0.0
    clip: PositiveFloat = 0.2
    clip_end: PositiveFloat | None = None  # None: the clip stays as it is
    anneal_steps: Span = None  # environment steps to the end of the schedules; "run": training.steps; None: none
    clip_value: bool = True  # by the same clip, in units of the reward: for rewards that are normalised or small
    normalise_advantage: bool = True
    entropy_weight: float = 0.01
    value_weight: NonNegativeFloat = 0.5  # of half the squared error
    max_grad_norm: PositiveFloat = 0.5
    target_kl: PositiveFloat | None = None  # an epoch beyond it is the last of its window
    normalise_observation: bool = False
    normalise_reward: bool = False


class PPO:
    """Learns from windows of `horizon` ticks of all streams, each used for `epochs` passes."""

    def __init__(self, config: PPOConfig, spec: FeedSpec, *, streams: int, seed: int, device: str) -> None:
        self.config, self.streams = config, streams
        self.core = ActorCritic(config, spec, streams=streams, seed=seed, device=device)
        self.optimizer = torch.optim.Adam(self.core.parameters, lr=config.learning_rate, eps=1e-5, fused=True)
        self.updates = 0  # windows learned

    @property
    def horizon(self) -> int:
        return self.config.horizon

    @property
    def rows(self) -> int:
        """Ticks of experience to keep: a window and the percept that ends it."""
        return self.config.horizon + 1

    def act(self, percept: Percept, memory: Any = None, *, explore: bool) -> Decision:
        return self.core.act(percept, memory, explore=explore)

    def loss(self, batch: Samples, clip: float) -> tuple[Tensor, list[Tensor]]:
        """The loss of a minibatch, and what is logged of it in the order of `_LOGGED` less the last."""
        config = self.config
        distribution, value = self.core.model.evaluate(batch.obs, batch.mask, batch.past)
        log_prob, entropy = distribution.log_prob(batch.raw), distribution.entropy().mean()
        advantage = normalised(batch.advantage) if config.normalise_advantage else batch.advantage
        policy_loss = clipped_surrogate(log_prob, batch.log_prob, advantage, clip).mean()
        if config.clip_value:
            value_loss = clipped_value_loss(value, batch.value, batch.target, clip).mean()
        else:
            value_loss = squared(value, batch.target).mean()
        loss = policy_loss - config.entropy_weight * entropy + config.value_weight * value_loss
        with torch.no_grad():
            kl = approximate_kl(log_prob, batch.log_prob).mean()
            beyond = clipped(log_prob, batch.log_prob, clip).mean()
        return loss, [policy_loss.detach(), value_loss.detach(), entropy.detach(), kl, beyond]

    def learn(self, window: Window) -> LearnResult:
        """All epochs over one window; TrainingError where a loss or gradient is not finite.

        A window in which all streams were resetting teaches nothing: no metrics, but the schedules go on.
        """
        config = self.config
        self.core.weigh_rewards(window)
        samples, real = self.core.samples(window)
        done = progress(self.updates, config.horizon * self.streams, config.anneal_steps)
        learning_rate = linear(config.learning_rate, config.learning_rate_end, done)
        clip = config.clip if config.clip_end is None else linear(config.clip, config.clip_end, done)
        set_learning_rate(self.optimizer, learning_rate)
        logged = self._passes(samples, real, clip) if len(real) else []
        self.core.weigh_observations(window)
        self.updates += 1
        if not logged:
            return LearnResult({})
        metrics = dict(zip(_LOGGED, torch.stack(logged).mean(0).tolist(), strict=True))
        foreseen = explained_variance(*samples.judged(real)).item()
        return LearnResult(metrics | {"value/explained_variance": foreseen, "optimiser/learning_rate": learning_rate})

    def _passes(self, samples: Samples | Sequences, real: Tensor, clip: float) -> list[Tensor]:
        """Steps down the loss of every minibatch of every epoch; what was logged of each."""
        logged: list[Tensor] = []
        for _ in range(self.config.epochs):
            epoch = len(logged)
            for index in self._minibatches(real):
                loss, parts = self.loss(samples.take(index), clip)
                norm = descend(loss, self.optimizer, self.core.parameters, self.config.max_grad_norm)
                logged.append(torch.stack([*parts, norm]))
            if self.config.target_kl is not None:
                kl = torch.stack(logged[epoch:])[:, _LOGGED.index("policy/approximate_kl")].mean()
                if kl > self.config.target_kl:
                    break
        return logged

    def _minibatches(self, real: Tensor) -> Iterator[Tensor]:
        """The taken actions, or with a memory the streams, in random order, in parts of nearly equal size."""
        order = torch.randperm(len(real), generator=self.core.generator, device=real.device)
        yield from real[order].tensor_split(min(self.config.minibatches, len(real)))

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


def build(config: PPOConfig, spec: FeedSpec, *, streams: int, seed: int, device: str) -> PPO:
    """A PPO for the observations and actions of a feed; ConfigError where network or head do not fit them."""
    return PPO(config, spec, streams=streams, seed=seed, device=device)
