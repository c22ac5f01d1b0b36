"""Conservative Q-learning of choices: a double DQN that holds down what was not done.

Kumar, Zhou, Tucker and Levine (2020), "Conservative Q-Learning for Offline Reinforcement Learning", arXiv:2006.04779.

Differs from the paper:
- A single number for each action instead of quantiles; the next action by the online network (double).
- The soft maximum is that over the allowed actions and the logged one.
- Targets may be held within `bounds`. The gap lifts what was done often above its target, by alpha times one less the
  share of the soft maximum that it has over that of the log; bootstrapped over a stay, that adds up to values beyond
  any return (on ICU-Sepsis 3.4 at an alpha of 1, where 1 is the most).
"""

from typing import Any

import torch
from torch import Tensor

from angle_domains.agents.cql.config import CQLConfig
from angle_domains.losses.offline import conservative_gap
from angle_domains.losses.value import greedy, huber, of_action, squared
from angle_domains.networks.q import QHead
from angle_domains.optim import descend
from angle_domains.transitions import Transitions
from angle_domains.types import Decision, LearnResult, Percept, Window
from angle_domains.value_based import Exploration, ValueBased
from feeds.base import FeedSpec

_LOSSES = {"squared": squared, "huber": huber}


class ChoiceCQL:
    """Learns the value of every action, and that of unseen ones no higher than it must."""

    def __init__(self, config: CQLConfig, spec: FeedSpec, *, seed: int, device: str) -> None:
        self.config, self.replay, self.length = config, config.replay, config.n_step
        self.alpha = 1.0 if config.alpha is None else config.alpha
        head = QHead(dueling=config.dueling)
        self.core = ValueBased(
            config, spec, head, exploration=Exploration(), expectation=_single, seed=seed, device=device
        )
        rate = 6.25e-5 if config.learning_rate is None else config.learning_rate
        self.optimizer = torch.optim.Adam(self.core.parameters, lr=rate, eps=config.adam_epsilon, fused=True)

    def act(self, percept: Percept, memory: Any = None, *, explore: bool) -> Decision:
        """The action of the highest value, with or without `explore`."""
        return self.core.act(percept, memory, explore=explore)

    def loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The loss of a batch, what is logged of it, and the priority of each sample. No side effect."""
        q = _single(self.core.online(batch.obs))
        value, target = of_action(q, batch.action), self.target(batch)
        gap = conservative_gap(q, batch.action, batch.mask)
        error = _LOSSES[self.config.loss](value, target)
        loss = (batch.weight * (error + self.alpha * gap)).mean()
        logged = {
            "loss/q": error.detach().mean(),
            "loss/gap": gap.detach().mean(),
            "value/mean": value.detach().mean(),
        }
        return loss, logged, (target - value.detach()).abs()

    @torch.no_grad()
    def target(self, batch: Transitions) -> Tensor:
        """`[B]`: the n-step return, bootstrapped from the target network's value of the best next action."""
        q = _single(self.core.target(batch.next_obs))
        judge = _single(self.core.online(batch.next_obs)) if self.config.double else q
        target = torch.addcmul(batch.reward, batch.discount, of_action(q, greedy(judge, batch.next_mask)))
        return target if self.config.bounds is None else target.clamp(*self.config.bounds)

    def learn(self, window: Window) -> LearnResult:
        """One step of the optimiser; TrainingError where loss or gradient are not finite."""
        batch = self.core.transitions(window)
        loss, logged, priority = self.loss(batch)
        norm = descend(loss, self.optimizer, self.core.parameters, self.config.max_grad_norm)
        self.core.count_update(batch, self.config.tau)
        metrics = logged | {"optimiser/gradient_norm": norm}
        return LearnResult(metrics, priority if self.replay.prioritised else None)

    def worth(self, obs: Tensor) -> Tensor:
        return self.core.worth(obs)

    def portrait(self) -> dict[str, Tensor]:
        return self.core.portrait()

    def state_dict(self) -> dict[str, Any]:
        return {"core": self.core.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it belongs to another network."""
        self.core.load_state_dict(state["core"])
        self.optimizer.load_state_dict(state["optimizer"])


def _single(output: Tensor) -> Tensor:
    """The one number of each action."""
    return output.squeeze(-1)
