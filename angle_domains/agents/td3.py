"""Twin delayed deep deterministic policy gradient.

Fujimoto, van Hoof and Meger (2018), "Addressing Function Approximation Error in Actor-Critic Methods",
arXiv:1802.09477.

Differs from the paper:
- Actions are scaled by the box: noise is in units of half its range, and the critics read places from -1 to 1.
- Layers begin orthogonal, those of both critics are computed together.
- The value at a truncation is bootstrapped from the final observation. `n_step` above 1 sums more rewards first,
  without correction for the older policy that earned them.
- The first steps are random over the whole box; they are counted in environment steps over all streams.
"""

import copy
import math
from typing import Annotated, Any

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from angle_domains.chance import seeded
from angle_domains.losses.twin import smoothed, td_target
from angle_domains.networks import NetworkConfig, PolicyModel
from angle_domains.networks.boxes import BoxScale
from angle_domains.networks.loading import load_network
from angle_domains.optim import descend, follow, gradients
from angle_domains.q_learning import QLearning
from angle_domains.replay import ReplayConfig, beside
from angle_domains.transitions import Sight, Transitions, read
from angle_domains.types import Decision, LearnResult, Percept, Window
from feeds.base import FeedSpec

_NETWORK = NetworkConfig(hidden=(256, 256), activation="relu")
_REPLAY = ReplayConfig(warm_up=25_000, learn_every=1, batch=256)


class TD3Config(BaseModel):
    """Defaults are those of the authors' code, for locomotion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig = _NETWORK
    n_step: PositiveInt = 1
    gamma: float = Field(default=0.99, ge=0, le=1)
    learning_rate: PositiveFloat = 3e-4
    tau: float = Field(default=0.005, gt=0, le=1)  # share of the way that targets go to their networks at a time
    policy_delay: PositiveInt = 2  # updates of the critics for each of the policy and of all targets
    exploration: PositiveFloat = 0.1  # deviation of the noise on actions, in units of half the box
    target_noise: NonNegativeFloat = 0.2  # on the target policy's actions, likewise
    target_noise_clip: NonNegativeFloat = 0.5
    start_random: NonNegativeInt = 25_000  # environment steps of random actions at first
    replay: Annotated[ReplayConfig, beside(_REPLAY)] = _REPLAY


class TD3:
    """A policy that climbs the first of two critics, which learn from the lesser of their targets."""

    def __init__(self, config: TD3Config, spec: FeedSpec, *, seed: int, device: str) -> None:
        self.config, self.replay, self.length = config, config.replay, config.n_step
        self.see, self.scale = Sight(config.network, device), BoxScale(spec.action_space).to(device)
        made, spread = seeded(seed, "network"), math.log(config.exploration)
        self.actor = PolicyModel(
            spec, config.network, "deterministic", log_std=spread, generator=made, values=False
        ).to(device)
        self.actor_target = copy.deepcopy(self.actor).requires_grad_(False)
        self.q = QLearning(
            spec, config.network, learning_rate=config.learning_rate, tau=config.tau, generator=made, device=device
        )
        self.parameters = list(self.actor.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=config.learning_rate, fused=True)
        self.generator = seeded(seed, "decisions", device)
        self.acted = 0  # rows decided while exploring
        self.learned: Transitions | None = None  # the last batch
        self.updates = 0

    @torch.no_grad()
    def act(self, percept: Percept, memory: Any = None, *, explore: bool) -> Decision:
        """The policy's action, with noise where it explores; at first a random one."""
        if not explore:
            return Decision(self.actor.head.action(self.actor(self.see(percept.obs)).mode()))
        random = self.acted < self.config.start_random
        self.acted += len(percept.obs)
        if random:
            return Decision(self.scale.uniform(len(percept.obs), self.generator))
        return Decision(self.actor.head.action(self.actor(self.see(percept.obs)).sample(self.generator)))

    @torch.no_grad()
    def target(self, batch: Transitions, noise: Tensor) -> Tensor:
        """`[B]`: the return, bootstrapped from what the target policy would do, stirred by `noise`."""
        place = self.actor_target(batch.next_obs).mode()
        action = self.scale.action(smoothed(place, noise, self.config.target_noise_clip))
        return td_target(batch.reward, batch.discount, self.q.Q_future_function(batch.next_obs, action))

    def loss(self, obs: Tensor) -> Tensor:
        """Of the policy: the first critic's value of what it does, negated."""
        return -self.q.first_critic(obs, self.actor.head.action(self.actor(obs).mode())).mean()

    def learn(self, window: Window) -> LearnResult:
        """One step of the critics, and at every `policy_delay`-th update one of the policy and of all targets.

        Raises TrainingError where a loss or gradient is not finite.
        """
        batch = self.learned = read(window, self.config.gamma, self.see)
        size = (len(batch.obs), len(self.scale.reach))
        noise = torch.randn(size, generator=self.generator, device=self.see.device) * self.config.target_noise
        target = self.target(batch, noise)
        loss, q = self.q.loss(batch.obs, batch.action, target, batch.weight)
        metrics = {"loss/q": loss.detach(), "value/mean": q.mean(), "optimiser/gradient_norm": self.q.learn(loss)}
        self.updates += 1
        if self.updates % self.config.policy_delay == 0:
            metrics["loss/policy"] = self._improve(batch.obs)
        return LearnResult(metrics, (target - q).abs().mean(0) if self.replay.prioritised else None)

    def _improve(self, obs: Tensor) -> Tensor:
        """One step of the policy, after which all targets follow; gives the loss."""
        with self.q.held():
            loss = self.loss(obs)
            descend(loss, self.optimizer, self.parameters, math.inf)
        self.q.follow()
        follow(self.actor_target, self.actor, self.config.tau)
        return loss.detach()

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
            "actor_target": dict(self.actor_target.state_dict()),
            "q": self.q.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "acted": self.acted,
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it belongs to another network."""
        load_network(self.actor, state["actor"])
        load_network(self.actor_target, state["actor_target"])
        self.q.load_state_dict(state["q"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.acted, self.updates = state["acted"], state["updates"]


def build(config: TD3Config, spec: FeedSpec, *, streams: int, seed: int, device: str) -> TD3:
    """A TD3 for the observations and actions of a feed; ConfigError where network or actions do not fit."""
    return TD3(config, spec, seed=seed, device=device)
