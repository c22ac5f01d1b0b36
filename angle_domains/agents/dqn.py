"""Deep Q-networks, with double and dueling networks, n-step returns and prioritised replay as switches.

Mnih, Kavukcuoglu, Silver, Rusu, Veness et al. (2015), "Human-level control through deep reinforcement learning",
Nature 518. Double: van Hasselt, Guez and Silver (2016), arXiv:1509.06461. Dueling: Wang, Schaul, Hessel et al. (2016),
arXiv:1511.06581. Prioritised: Schaul, Quan, Antonoglou and Silver (2016), arXiv:1511.05952.

Differs from the paper:
- Adam on the squared error instead of RMSProp on the clipped one, the better pair (Obando-Ceron and Castro 2021,
  arXiv:2011.14826), with the learning rate of Rainbow; `loss: huber` is the paper's.
- The gradient's global norm is held at 10 (Wang et al.).
- The value at a truncation is bootstrapped from the final observation.
- Actions that the environment forbids are neither explored nor bootstrapped from.
- Without exploration the policy is greedy; the paper plays its evaluations with an epsilon of 0.05.
"""

from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt
from torch import Tensor

from angle_domains.losses.value import greedy, huber, of_action, squared
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
_LOSSES = {"squared": squared, "huber": huber}


class DQNConfig(BaseModel):
    """Defaults are those of Mnih et al. for Atari, steps counted after frame skip, but for the optimiser's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig = NetworkConfig()
    scale_observation: bool = False  # entries that have bounds to the range from -1 to 1; images have their own scale
    head_hidden: tuple[PositiveInt, ...] = ()  # layers between the torso and the action values
    double: bool = False
    dueling: bool = False
    n_step: PositiveInt = 1
    gamma: float = Field(default=0.99, ge=0, le=1)
    loss: Literal["squared", "huber"] = "squared"
    learning_rate: PositiveFloat = 6.25e-5
    anneal_steps: Span = None  # environment steps by which the learning rate falls to nothing; "run": training.steps
    adam_epsilon: PositiveFloat = 1.5e-4
    max_grad_norm: PositiveFloat = 10.0
    target_every: PositiveInt = 10_000  # environment steps between copies to the target network
    epsilon: float = Field(default=1.0, ge=0, le=1)  # share of random actions, until the replay is warm
    epsilon_end: float = Field(default=0.1, ge=0, le=1)
    epsilon_steps: PositiveInt = 1_000_000  # environment steps from one to the other
    zeta: float | None = Field(default=None, gt=1)  # random actions last, the longer the smaller this is; None: a tick
    replay: Annotated[ReplayConfig, beside(_REPLAY)] = _REPLAY


class DQN:
    """Learns the value of every action from its own best guess of what follows."""

    def __init__(self, config: DQNConfig, spec: FeedSpec, *, seed: int, device: str) -> None:
        self.config, self.replay, self.length = config, config.replay, config.n_step
        head = QHead(hidden=config.head_hidden, dueling=config.dueling)
        exploration = Exploration(config.epsilon, config.epsilon_end, config.epsilon_steps, config.zeta)
        self.core = ValueBased(
            config, spec, head, exploration=exploration, expectation=_single, seed=seed, device=device
        )
        self.optimizer = torch.optim.Adam(
            self.core.parameters, lr=config.learning_rate, eps=config.adam_epsilon, fused=True
        )

    def act(self, percept: Percept, memory: Any = None, *, explore: bool) -> Decision:
        return self.core.act(percept, memory, explore=explore)

    def loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The loss of a batch, what is logged of it, and the priority of each sample."""
        value = of_action(_single(self.core.online(batch.obs)), batch.action)
        target = self.target(batch)
        each = _LOSSES[self.config.loss](value, target)
        loss = (batch.weight * each).mean()
        priority = (target - value.detach()).abs()
        return loss, {"loss/q": loss.detach(), "value/mean": value.detach().mean()}, priority

    @torch.no_grad()
    def target(self, batch: Transitions) -> Tensor:
        """`[B]`: the n-step return, bootstrapped from the target network's value of the best next action."""
        q = _single(self.core.target(batch.next_obs))
        judge = _single(self.core.online(batch.next_obs)) if self.config.double else q
        return batch.reward + batch.discount * of_action(q, greedy(judge, batch.next_mask))

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


def _single(output: Tensor) -> Tensor:
    """The one number of each action."""
    return output.squeeze(-1)


def build(config: DQNConfig, spec: FeedSpec, *, streams: int, seed: int, device: str) -> DQN:
    """A DQN for the observations and actions of a feed; ConfigError where the network does not fit them."""
    return DQN(config, spec, seed=seed, device=device)
