"""Soft actor-critic, of continuous actions and of choices.

Haarnoja, Zhou, Hartikainen, Tucker, Ha, Tan, Kumar, Zhu, Gupta, Abbeel and Levine (2018), "Soft Actor-Critic
Algorithms and Applications", arXiv:1812.05905. Choices: Christodoulou (2019), "Soft Actor-Critic for Discrete Action
Settings", arXiv:1910.07207.

Differs from the papers:
- The critics read actions scaled by the box to places from -1 to 1; densities, and so the target of the entropy, are
  those of the places. Layers begin orthogonal, those of both critics are computed together.
- Targets follow by `tau` for choices too, where the paper copies them every 8,000 steps.
- Where actions are forbidden the target of the entropy is that of the actions allowed.
- The value at a truncation is bootstrapped from the final observation. `n_step` above 1 sums more rewards first,
  without correction for the older policy that earned them or for the entropy on the way.
"""

import math
from typing import Annotated, Any, Protocol

import torch
from gymnasium import spaces
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Generator, Tensor

from angle_domains.acting import decide
from angle_domains.chance import seeded
from angle_domains.distributions import Categorical
from angle_domains.losses.soft import soft_expectation, soft_value, temperature_loss
from angle_domains.losses.twin import td_target
from angle_domains.networks import HeadKind, NetworkConfig, PolicyModel
from angle_domains.networks.boxes import BoxScale
from angle_domains.networks.loading import load_network
from angle_domains.optim import descend, gradients
from angle_domains.q_learning import QLearning
from angle_domains.replay import ReplayConfig, beside
from angle_domains.transitions import Sight, Transitions, read
from angle_domains.types import Decision, LearnResult, Percept, Window
from feeds.base import FeedSpec

_NETWORK = NetworkConfig(hidden=(256, 256), activation="relu")
_REPLAY = ReplayConfig(warm_up=10_000, learn_every=1, batch=256)


class SACConfig(BaseModel):
    """Defaults are those of the first paper."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig = _NETWORK
    n_step: PositiveInt = 1
    gamma: float = Field(default=0.99, ge=0, le=1)
    learning_rate: PositiveFloat = 3e-4
    tau: float = Field(default=0.005, gt=0, le=1)  # share of the way that targets go to their networks at a time
    temperature: PositiveFloat = 1.0  # worth of a nat of entropy, where training starts
    tune_temperature: bool = True  # so that the entropy comes to its target; else it stays
    target_entropy: float | None = None  # None: of continuous actions -1 for each, of choices by the scale below
    target_entropy_scale: float = Field(default=0.98, ge=0, le=1)  # of choices: share of the greatest entropy
    start_random: NonNegativeInt = 10_000  # environment steps of random actions at first
    replay: Annotated[ReplayConfig, beside(_REPLAY)] = _REPLAY


class Side(Protocol):
    """What differs between continuous actions and choices."""

    def random(self, streams: int, mask: Tensor | None, generator: Generator) -> Tensor: ...

    def future(self, batch: Transitions, temperature: Tensor, generator: Generator) -> Tensor:
        """`[B]`: the soft value of where each transition led, by the target critics."""
        ...

    def policy(self, batch: Transitions, temperature: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """`[B]`: the soft value of what the policy does, with a gradient, and its entropy."""
        ...

    def wanted(self, mask: Tensor | None) -> Tensor:
        """The target of the entropy, a number or one for each sample."""
        ...


class Continuous:
    """By one sampled action."""

    def __init__(self, config: SACConfig, spec: FeedSpec, actor: PolicyModel, q: QLearning, device: str) -> None:
        self.actor, self.q = actor, q
        self.scale = BoxScale(spec.action_space).to(device)
        wanted = config.target_entropy
        self.target = torch.tensor(-float(len(self.scale.reach)) if wanted is None else wanted, device=device)

    def random(self, streams: int, mask: Tensor | None, generator: Generator) -> Tensor:
        return self.scale.uniform(streams, generator)

    def future(self, batch: Transitions, temperature: Tensor, generator: Generator) -> Tensor:
        action, log_prob = self._sample(batch.next_obs, generator)
        return soft_value(self.q.Q_future_function(batch.next_obs, action), log_prob, temperature)

    def policy(self, batch: Transitions, temperature: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        action, log_prob = self._sample(batch.obs, generator)
        q = self.q.Q_function(batch.obs, action).amin(0)
        return soft_value(q, log_prob, temperature), -log_prob.detach()

    def wanted(self, mask: Tensor | None) -> Tensor:
        return self.target

    def _sample(self, obs: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        distribution = self.actor(obs)
        raw = distribution.sample(generator)
        return self.actor.head.action(raw), distribution.log_prob(raw)


class Choices:
    """By the expectation over all actions."""

    def __init__(self, config: SACConfig, spec: FeedSpec, actor: PolicyModel, q: QLearning, device: str) -> None:
        space = spec.action_space
        assert isinstance(space, spaces.Discrete)
        self.config, self.actor, self.q = config, actor, q
        self.actions, self.first = int(space.n), int(space.start)
        self.device = torch.device(device)

    def random(self, streams: int, mask: Tensor | None, generator: Generator) -> Tensor:
        even = torch.zeros(streams, self.actions, device=self.device)
        return Categorical(even, mask).sample(generator) + self.first

    def future(self, batch: Transitions, temperature: Tensor, generator: Generator) -> Tensor:
        log_probs = self.actor(batch.next_obs, batch.next_mask).log_probs
        return soft_expectation(self.q.Q_future_function(batch.next_obs), log_probs, temperature)

    def policy(self, batch: Transitions, temperature: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        distribution = self.actor(batch.obs, batch.mask)
        q = self.q.Q_function(batch.obs).detach().amin(0)
        return soft_expectation(q, distribution.log_probs, temperature), distribution.entropy().detach()

    def wanted(self, mask: Tensor | None) -> Tensor:
        if self.config.target_entropy is not None:
            return torch.tensor(self.config.target_entropy, device=self.device)
        allowed = torch.tensor(self.actions, device=self.device) if mask is None else mask.sum(-1).clamp(min=1)
        return self.config.target_entropy_scale * allowed.log()


class SAC:
    """A policy that climbs the lesser of two critics and keeps an entropy, for which it is paid by a temperature."""

    def __init__(self, config: SACConfig, spec: FeedSpec, *, seed: int, device: str) -> None:
        self.config, self.replay, self.length = config, config.replay, config.n_step
        self.see = Sight(config.network, device)
        continuous = isinstance(spec.action_space, spaces.Box)
        made, rate = seeded(seed, "network"), config.learning_rate
        head: HeadKind = "squashed" if continuous else "auto"
        self.actor = PolicyModel(spec, config.network, head, log_std=0.0, generator=made, values=False).to(device)
        self.q = QLearning(spec, config.network, learning_rate=rate, tau=config.tau, generator=made, device=device)
        self.side: Side = (Continuous if continuous else Choices)(config, spec, self.actor, self.q, device)
        self.log_temperature = torch.tensor(math.log(config.temperature), device=device)
        self.log_temperature.requires_grad_(config.tune_temperature)
        tuned = [self.log_temperature] if config.tune_temperature else []
        self.parameters = [*self.actor.parameters(), *tuned]  # Adam keeps them apart: one step serves both losses
        self.optimizer = torch.optim.Adam(self.parameters, lr=rate, fused=True)
        self.generator = seeded(seed, "decisions", device)
        self.acted = 0  # rows decided while exploring
        self.learned: Transitions | None = None  # the last batch

    @torch.no_grad()
    def act(self, percept: Percept, memory: Any = None, *, explore: bool) -> Decision:
        """A sampled action, at first a random one; without `explore` the policy's mode."""
        if explore:
            self.acted += len(percept.obs)
            if self.acted - len(percept.obs) < self.config.start_random:
                mask = None if percept.mask is None else percept.mask.to(self.see.device)
                return Decision(self.side.random(len(percept.obs), mask, self.generator))
        return decide(self.actor, self.see, percept, self.generator if explore else None)

    @torch.no_grad()
    def target(self, batch: Transitions, generator: Generator) -> Tensor:
        """`[B]`: the return, bootstrapped from the soft value of where it led."""
        value = self.side.future(batch, self.log_temperature.exp(), generator)
        return td_target(batch.reward, batch.discount, value)

    def loss(self, batch: Transitions, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Of the policy and of the temperature, and `[B]` the policy's entropy."""
        value, entropy = self.side.policy(batch, self.log_temperature.detach().exp(), generator)
        tuning = temperature_loss(self.log_temperature, entropy, self.side.wanted(batch.mask))
        return -value.mean(), tuning.mean(), entropy

    def learn(self, window: Window) -> LearnResult:
        """One step of critics, policy and temperature; TrainingError where a loss or gradient is not finite."""
        batch = self.learned = read(window, self.config.gamma, self.see)
        target = self.target(batch, self.generator)
        q_loss, q = self.q.loss(batch.obs, batch.action, target, batch.weight)
        norm = self.q.learn(q_loss)
        with self.q.held():
            policy_loss, tuning, entropy = self.loss(batch, self.generator)
            descend(policy_loss + tuning, self.optimizer, self.parameters, math.inf)
        self.q.follow()
        metrics = {
            "loss/q": q_loss.detach(),
            "loss/policy": policy_loss.detach(),
            "value/mean": q.mean(),
            "policy/entropy": entropy.mean(),
            "policy/temperature": self.log_temperature.detach().exp(),
            "optimiser/gradient_norm": norm,
        }
        return LearnResult(metrics, (target - q).abs().mean(0) if self.replay.prioritised else None)

    def worth(self, obs: Tensor) -> Float[Tensor, "b n"]:
        """The lesser target critic's values of all choices, or of what the policy would do in a box."""
        seen = self.see(obs)
        if isinstance(self.side, Choices):
            return self.q.worth(seen)
        return self.q.worth(seen, self.actor.head.action(self.actor(seen).mode())).unsqueeze(-1)

    def portrait(self) -> dict[str, Tensor]:
        """The critics' values of the last batch, and the gradients of critics and policy."""
        if self.learned is None:
            return {}
        critics = self.q.portrait(self.learned.obs, self.learned.action)
        return critics | gradients(self.actor, "gradient/policy")

    def state_dict(self) -> dict[str, Any]:
        return {
            "actor": dict(self.actor.state_dict()),
            "q": self.q.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "log_temperature": self.log_temperature.detach(),
            "generator": self.generator.get_state(),
            "acted": self.acted,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it belongs to another network."""
        load_network(self.actor, state["actor"])
        self.q.load_state_dict(state["q"])
        self.optimizer.load_state_dict(state["optimizer"])
        with torch.no_grad():
            self.log_temperature.copy_(state["log_temperature"])
        self.generator.set_state(state["generator"].cpu())
        self.acted = state["acted"]


def build(config: SACConfig, spec: FeedSpec, *, streams: int, seed: int, device: str) -> SAC:
    """A SAC for the observations and actions of a feed; ConfigError where network or actions do not fit."""
    return SAC(config, spec, seed=seed, device=device)
