"""Value iteration over a log: exact where states are few and come back, and only over actions that were taken often.

The process is that of the log's frequencies; an action counts where it was taken at least `least` times. Compare
Laroche, Trichelair and Tachet des Combes (2019), "Safe Policy Improvement with Baseline Bootstrapping",
arXiv:1712.06924, and Fujimoto, Meger and Precup (2019), "Off-Policy Deep Reinforcement Learning without Exploration",
arXiv:1812.02900, section 4, whose tabular form this is.

Differs from the papers:
- Where no action was taken often enough the one taken most often counts alone.
- Values are drawn towards what the actions of their state led to on average, the fewer times taken the more: the best
  of many estimates is else the luckiest. `prior: 0` leaves them as they are.
- A state in which nothing was ever decided is worth what the states of the log are on average.
"""

from typing import Any

import torch
from gymnasium import spaces
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt
from torch import Tensor

from angle_domains.errors import CheckpointError, ConfigError
from angle_domains.networks import NetworkConfig
from angle_domains.replay import RecordedConfig
from angle_domains.support import Support, at, or_best
from angle_domains.transitions import Sight
from angle_domains.types import Decision, LearnResult, Percept, Window
from feeds.base import FeedSpec

_OUT = -1e6  # below every value; finite, so that the one taken most often is found where a mask forbids the others
_SMALL = 1e-9  # instead of no count at all


class VIConfig(BaseModel):
    """A step is a sweep over all states."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gamma: float = Field(default=0.99, ge=0, le=1)
    least: PositiveInt = 10  # times that an action was taken
    share: float = Field(default=0.0, ge=0, lt=1)  # least part of a state's decisions, too: it grows with the log
    prior: NonNegativeFloat = 40.0  # times more that each action counts, with what those of its state led to on average


class VI:
    """A table of values, each sweep nearer to the best that supported actions can do."""

    replay, length = RecordedConfig(batch=1), 1  # sweeps take all rows: what is drawn does not matter

    def __init__(self, config: VIConfig, spec: FeedSpec, *, seed: int, device: str) -> None:
        space = spec.action_space
        if not isinstance(space, spaces.Discrete):
            raise ConfigError(f"a table of values needs a Discrete action space, actions of {spec.name} are {space}")
        self.config, self.actions, self.first = config, int(space.n), int(space.start)
        self.see = Sight(NetworkConfig(), device)
        self.support = Support(self.actions, device)
        self.q = torch.zeros(0, self.actions, dtype=torch.float64, device=device)  # of each state
        self.value = torch.zeros(0, dtype=torch.float64, device=device)
        self.process: dict[str, Tensor] = {}  # sums over the log, which no state holds

    def study(self, window: Window) -> None:
        """Takes the process of a log, in place of another; what is known of its values stays.

        ConfigError where hardly an observation comes twice.
        """
        taken = torch.cat([window.real[:, 0] > 0, torch.zeros(1, dtype=torch.bool, device=window.real.device)])
        action = torch.where(taken[:-1], window.action[:, 0] - self.first, -1)
        action = torch.cat([action, action.new_full((1,), -1)]).to(self.see.device)
        place = self.support.count(self.see(window.obs[:, 0]), action)
        rows = taken.nonzero().squeeze(-1).to(self.see.device)
        reward, discount = (
            column[:, 0].to(self.see.device, torch.float64)[rows]
            for column in (window.reward * window.paid(self.config.gamma), window.discounted(self.config.gamma))
        )
        pair, states = place[rows] * self.actions + action[rows], len(self.support.counts)
        if 2 * states > len(taken):
            raise ConfigError(
                f"a table of values needs states that come back, and {len(taken):,} rows of the log hold "
                f"{states:,} different observations: use cql, iql or bcq"
            )
        moves, which = (pair * states + place[rows + 1]).unique(return_inverse=True)
        self.process = {
            "pair": moves // states,
            "next": moves % states,
            "discount": discount.new_zeros(len(moves)).index_add_(0, which, discount),
            "reward": reward.new_zeros(states * self.actions).index_add_(0, pair, reward),
        }
        if len(self.q) != len(self.support.counts):
            self.q = self.q.new_zeros(self.support.counts.shape)
            self.value = self.q.new_zeros(len(self.q))

    @torch.no_grad()
    def act(self, percept: Percept, memory: Any = None, *, explore: bool) -> Decision:
        """The best supported action, with or without `explore`; in an unknown state the first that is allowed."""
        place = self.support.find(self.see(percept.obs))
        held = self._supported(at(self.q, place), at(self.support.counts, place))
        mask = percept.mask
        best = held if mask is None else held.masked_fill(~mask.to(held.device), -torch.inf)
        return Decision(self.first + best.argmax(-1), None, {} if explore else {"q": held.to(torch.float32)})

    def learn(self, window: Window) -> LearnResult:
        """One sweep."""
        if not self.process:
            raise ValueError("the log was not studied: value iteration sweeps over all of it")
        counts, before = self.support.counts, self.value
        further = self.process["discount"] * before[self.process["next"]]
        total = self.process["reward"].index_add(0, self.process["pair"], further)
        total, prior = total.view_as(self.q), self.config.prior
        visits = counts.sum(-1).to(torch.float64)
        usual = total.sum(-1) / visits.clamp(min=1.0)
        self.q = (total + prior * usual.unsqueeze(-1)) / (counts + prior).clamp(min=_SMALL)
        value = self._supported(self.q, counts).amax(-1)
        mean = (visits * value).sum() / visits.sum()
        self.value = torch.where(visits > 0, value, mean)
        change = (self.value - before).abs().amax()
        return LearnResult({"loss/change": change.to(torch.float32), "value/mean": mean.to(torch.float32)})

    def portrait(self) -> dict[str, Tensor]:
        """The values of all states."""
        return {"value/states": self.value.to(torch.float32)} if len(self.value) else {}

    def state_dict(self) -> dict[str, Any]:
        return {"q": self.q, "value": self.value, "support": self.support.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it belongs to other actions."""
        if state["q"].shape[1] != self.actions:
            raise CheckpointError(f"the checkpoint has {state['q'].shape[1]} actions, not {self.actions}")
        self.q, self.value = state["q"].to(self.q.device), state["value"].to(self.q.device)
        self.support.load_state_dict(state["support"])

    def _supported(self, q: Float[Tensor, "b n"], counts: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
        often = (counts >= self.config.least) & (counts >= self.config.share * counts.sum(-1, keepdim=True))
        return torch.where(or_best(often, counts), q, _OUT + counts)


def build(config: VIConfig, spec: FeedSpec, *, streams: int, seed: int, device: str) -> VI:
    """A VI for the observations and actions of a feed; ConfigError where actions are no choices."""
    return VI(config, spec, seed=seed, device=device)
