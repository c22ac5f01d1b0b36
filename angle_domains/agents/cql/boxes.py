"""Conservative Q-learning in boxes: a soft actor-critic whose critics hold down what was not done.

Kumar, Zhou, Tucker and Levine (2020), "Conservative Q-Learning for Offline Reinforcement Learning", arXiv:2006.04779:
CQL(H) with importance sampling (appendix F), targets without entropy as in the authors' code.

Differs from the paper:
- Where alpha is tuned (`gap`) it takes the place of a fixed weight, and stays below a million.
- The policy climbs the critics from the first update on; it does not begin as a copy of the log.
- Critics read actions scaled by the box to places from -1 to 1; densities are those of the places.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from angle_domains.acting import decide
from angle_domains.agents.cql.config import CQLConfig
from angle_domains.chance import seeded
from angle_domains.losses.offline import sampled_gap
from angle_domains.losses.soft import soft_value, temperature_loss
from angle_domains.losses.twin import td_target
from angle_domains.networks import PolicyModel
from angle_domains.networks.boxes import BoxScale
from angle_domains.networks.loading import load_network
from angle_domains.optim import descend, gradients
from angle_domains.q_learning import QLearning
from angle_domains.transitions import Sight, Transitions, read
from angle_domains.types import Decision, LearnResult, Percept, Window
from feeds.base import FeedSpec

_MOST_ALPHA = 1e6


class BoxCQL:
    """A policy that climbs the lesser of two critics, which are sure of logged actions alone."""

    def __init__(self, config: CQLConfig, spec: FeedSpec, *, seed: int, device: str) -> None:
        self.config, self.replay, self.length = config, config.replay, config.n_step
        self.see, self.scale = Sight(config.network, device), BoxScale(spec.action_space).to(device)
        made = seeded(seed, "network")
        self.actor = PolicyModel(spec, config.network, "squashed", log_std=0.0, generator=made, values=False).to(device)
        rate = 3e-4 if config.learning_rate is None else config.learning_rate
        tau = 0.005 if config.tau is None else config.tau
        self.q = QLearning(spec, config.network, learning_rate=rate, tau=tau, generator=made, device=device)
        alpha = 5.0 if config.alpha is None else config.alpha
        self.alpha = torch.tensor(alpha, device=device)
        self.log_alpha = torch.tensor(math.log(max(alpha, 1e-9)), device=device, requires_grad=config.gap is not None)
        self.log_temperature = torch.tensor(math.log(config.temperature), device=device)
        self.log_temperature.requires_grad_(config.tune_temperature)
        tuned = [number for number in (self.log_alpha, self.log_temperature) if number.requires_grad]
        self.parameters = [*self.actor.parameters(), *tuned]  # Adam keeps them apart: one step serves all losses
        self.optimizer = torch.optim.Adam(self.parameters, lr=config.policy_learning_rate, fused=True)
        self.generator = seeded(seed, "decisions", device)
        self.learned: Transitions | None = None  # the last batch

    def act(self, percept: Percept, memory: Any = None, *, explore: bool) -> Decision:
        """A sampled action; without `explore` the policy's mode."""
        return decide(self.actor, self.see, percept, self.generator if explore else None)

    @torch.no_grad()
    def target(self, batch: Transitions, generator: Generator) -> Tensor:
        """`[B]`: the return, bootstrapped from the lesser critic's value of what the policy would do next."""
        action, _ = self._sample(batch.next_obs, generator)
        target = td_target(batch.reward, batch.discount, self.q.Q_future_function(batch.next_obs, action))
        return target if self.config.bounds is None else target.clamp(*self.config.bounds)

    def gap(self, batch: Transitions, generator: Generator) -> Tensor:
        """`[B]`, with a gradient for the critics: how far other actions are held above the logged ones, of both summed.

        Others are even over the box, or what the policy would do here and, unless the task ended, where that led.
        """
        k = self.config.samples
        with torch.no_grad():
            even = self.scale.uniform(k * len(batch.obs), generator)
            log_even = torch.full((len(even),), -math.log(2.0) * even.shape[-1], device=even.device)
            here, log_here = self._sample(batch.obs.repeat(k, 1), generator)
            beyond = torch.where((batch.discount > 0).unsqueeze(-1), batch.next_obs, batch.obs)
            there, log_there = self._sample(beyond.repeat(k, 1), generator)
            density = torch.cat([log_even, log_here, log_there]).unflatten(0, (3 * k, -1))
        q = self.q.Q_function(batch.obs.repeat(3 * k, 1), torch.cat([even, here, there])).unflatten(-1, (3 * k, -1))
        return sampled_gap(q, density, self.q.Q_function(batch.obs, batch.action))

    def loss(self, batch: Transitions, generator: Generator) -> tuple[Tensor, Tensor]:
        """Of the policy and of the temperature."""
        action, log_prob = self._sample(batch.obs, generator)
        q = self.q.Q_function(batch.obs, action).amin(0)
        value = soft_value(q, log_prob, self.log_temperature.detach().exp())
        wanted = torch.tensor(-float(action.shape[-1]), device=action.device)
        tuning = temperature_loss(self.log_temperature, -log_prob.detach(), wanted)
        return -value.mean(), tuning.mean()

    def learn(self, window: Window) -> LearnResult:
        """One step of critics, policy, temperature and alpha; TrainingError where a loss or gradient is not finite."""
        batch = self.learned = read(window, self.config.gamma, self.see)
        target, wanted = self.target(batch, self.generator), self.config.gap
        q_loss, q = self.q.loss(batch.obs, batch.action, target, batch.weight)
        gap = (batch.weight * self.gap(batch, self.generator)).mean()
        alpha = self.alpha if wanted is None else self.log_alpha.detach().exp().clamp(max=_MOST_ALPHA)
        norm = self.q.learn(q_loss + alpha * gap)
        with self.q.held():
            policy_loss, tuning = self.loss(batch, self.generator)
            if wanted is not None:
                tuning = tuning - self.log_alpha.exp().clamp(max=_MOST_ALPHA) * (gap.detach() - wanted)
            descend(policy_loss + tuning, self.optimizer, self.parameters, math.inf)
        self.q.follow()
        metrics = {
            "loss/q": q_loss.detach(),
            "loss/gap": gap.detach(),
            "loss/policy": policy_loss.detach(),
            "value/mean": q.mean(),
            "policy/temperature": self.log_temperature.detach().exp(),
            "policy/alpha": alpha,
            "optimiser/gradient_norm": norm,
        }
        return LearnResult(metrics, (target - q).abs().mean(0) if self.replay.prioritised else None)

    def worth(self, obs: Tensor) -> Float[Tensor, "b 1"]:
        """The lesser target critic's value of what the policy would do."""
        seen = self.see(obs)
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
            "log_alpha": self.log_alpha.detach(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it belongs to another network."""
        load_network(self.actor, state["actor"])
        self.q.load_state_dict(state["q"])
        self.optimizer.load_state_dict(state["optimizer"])
        with torch.no_grad():
            self.log_temperature.copy_(state["log_temperature"])
            self.log_alpha.copy_(state["log_alpha"])
        self.generator.set_state(state["generator"].cpu())

    def _sample(self, obs: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Actions of the policy and the logarithms of their densities, with a gradient."""
        distribution = self.actor(obs)
        raw = distribution.sample(generator)
        return self.actor.head.action(raw), distribution.log_prob(raw)
