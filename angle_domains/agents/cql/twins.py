"""Conservative Q-learning of choices by two networks, of which the lesser is believed, as the vasopressor pipeline has
it (arXiv:2510.01508).

Kumar, Zhou, Tucker and Levine (2020), "Conservative Q-Learning for Offline Reinforcement Learning", arXiv:2006.04779;
two critics by Fujimoto, van Hoof and Meger (2018), arXiv:1802.09477.

Differs from the pipeline:
- A network gives a number for each action, where there it reads the action beside the state and gives one.
- Layers begin orthogonal instead of by Xavier's rule.
"""

from typing import Any

import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor

from angle_domains.agents.cql.config import CQLConfig
from angle_domains.chance import seeded
from angle_domains.errors import ConfigError
from angle_domains.losses.offline import conservative_gap
from angle_domains.losses.value import greedy, huber, of_action, squared
from angle_domains.optim import descend, gradients
from angle_domains.q_learning import QLearning
from angle_domains.transitions import Sight, Transitions, read
from angle_domains.types import Decision, LearnResult, Percept, Window
from feeds.base import FeedSpec

_LOSSES = {"squared": squared, "huber": huber}


class TwinCQL:
    """Learns the value of every action twice, and that of unseen ones no higher than it must."""

    def __init__(self, config: CQLConfig, spec: FeedSpec, *, seed: int, device: str) -> None:
        space = spec.action_space
        if not isinstance(space, spaces.Discrete):
            raise ConfigError(f"action values need a Discrete action space, actions of {spec.name} are {space}")
        self.config, self.replay, self.length = config, config.replay, config.n_step
        self.alpha = 1.0 if config.alpha is None else config.alpha
        self.see, self.first = Sight(config.network, device), int(space.start)
        rate = 6.25e-5 if config.learning_rate is None else config.learning_rate
        tau = 0.005 if config.tau is None else config.tau
        made = seeded(seed, "network")
        self.q = QLearning(spec, config.network, learning_rate=rate, tau=tau, generator=made, device=device)
        self.learned: Transitions | None = None  # the last batch

    @torch.no_grad()
    def act(self, percept: Percept, memory: Any = None, *, explore: bool) -> Decision:
        """The action whose lesser value is the highest, with or without `explore`."""
        mask = None if percept.mask is None else percept.mask.to(self.see.device)
        q = self.q.Q_function(self.see(percept.obs)).amin(0)
        return Decision(self.first + greedy(q, mask), None, {} if explore else {"q": q})

    def loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The loss of a batch, of both critics summed, what is logged of it, and the priority of each sample."""
        q, target = self.q.Q_function(batch.obs), self.target(batch)
        value = torch.stack([of_action(each, batch.action) for each in q])
        gap = torch.stack([conservative_gap(each, batch.action, batch.mask) for each in q])
        error = torch.stack([_LOSSES[self.config.loss](each, target) for each in value])
        loss = (batch.weight * (error + self.alpha * gap).sum(0)).mean()
        logged = {
            "loss/q": error.detach().mean(),
            "loss/gap": gap.detach().mean(),
            "value/mean": value.detach().mean(),
        }
        return loss, logged, (target - value.detach()).abs().mean(0)

    @torch.no_grad()
    def target(self, batch: Transitions) -> Tensor:
        """`[B]`: the n-step return, bootstrapped from the lesser target value of the best next action."""
        q = self.q.Q_future_function(batch.next_obs)
        judge = self.q.Q_function(batch.next_obs).amin(0) if self.config.double else q
        target = torch.addcmul(batch.reward, batch.discount, of_action(q, greedy(judge, batch.next_mask)))
        return target if self.config.bounds is None else target.clamp(*self.config.bounds)

    def learn(self, window: Window) -> LearnResult:
        """One step of the critics; TrainingError where loss or gradient are not finite."""
        batch = self.learned = read(window, self.config.gamma, self.see, first=self.first)
        loss, logged, priority = self.loss(batch)
        norm = descend(loss, self.q.optimizer, self.q.parameters, self.config.max_grad_norm)
        self.q.follow()
        metrics = logged | {"optimiser/gradient_norm": norm}
        return LearnResult(metrics, priority if self.replay.prioritised else None)

    def worth(self, obs: Tensor) -> Float[Tensor, "b n"]:
        """The lesser target critic's values of all choices."""
        return self.q.worth(self.see(obs))

    def portrait(self) -> dict[str, Tensor]:
        """The critics' values of the last batch, and their gradients."""
        if self.learned is None:
            return {}
        critics = self.q.portrait(self.learned.obs, self.first + self.learned.action)
        return critics | gradients(self.q.online.layers, "gradient/layers")

    def state_dict(self) -> dict[str, Any]:
        return {"q": self.q.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it belongs to other networks."""
        self.q.load_state_dict(state["q"])
