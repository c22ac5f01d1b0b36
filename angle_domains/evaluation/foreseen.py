"""What a model of patients foresees for a policy: a value beside the others, with what its members disagree on."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from angle_domains.evaluation.cohort import chances, told
from angle_domains.types import Agent, Percept
from feeds.base import FeedSpec, LoggedFeed, Rows
from metalearn.foresight import Scene, play_out
from metalearn.patient_model import PatientModel
from metalearn.settings import PatientModelConfig

_SUPPORT = 1e-3  # of the recorded decisions in such states: rarer ones count as forbidden, where records have masks
_APART = 7_919  # added to the seed: no policy practised in the very model that judges it


@dataclass(frozen=True)
class Foreseen:
    """The model is fitted to training patients; stays begin as those of the part that is judged."""

    by_stay: Float[np.ndarray, " e"] = field(repr=False)  # mean return of each stay, over members and repeats
    members: tuple[float, ...]  # the value by each member
    cut_share: float  # of the foreseen stays, which were still going on when the longest recorded one was over

    @property
    def value(self) -> float:
        return float(self.by_stay.mean())

    @property
    def disagreement(self) -> float:
        """Standard deviation of the members' values: what is unknown of the model, as far as it knows itself."""
        return float(np.std(self.members, ddof=1)) if len(self.members) > 1 else float("nan")

    def words(self) -> str:
        low, high = min(self.members), max(self.members)
        cut = f"; {self.cut_share:.0%} of its stays never ended" if self.cut_share > 0.005 else ""
        return (
            f"{len(self.members)} models say {low:.4g} to {high:.4g} (SD {self.disagreement:.2g}), "
            f"which the interval over patients does not hold{cut}"
        )


def foresee(
    feed: LoggedFeed,
    agent: Agent,
    rows: Rows,
    gamma: float,
    *,
    config: PatientModelConfig,
    epsilon: float = 0.0,
    repeats: int = 2,
    seed: int = 0,
) -> Foreseen:
    """Of stays that begin as those in `rows` and are played out `repeats` times in each member of a model."""
    settings = config.model_copy(update={"pessimism": 0.0, "support": _SUPPORT, "seed": config.seed + _APART})
    model = PatientModel(feed, settings)
    starts = torch.as_tensor(rows.observation[_begun(rows)]).repeat(repeats, *[1] * (rows.observation.ndim - 1))
    actor = _Actor(agent, feed.spec, epsilon, model.hours, np.random.default_rng(seed))
    played = play_out(model, starts, actor.choose, gamma, seed=seed, masked=rows.mask is not None)
    returns = played.returns.numpy().reshape(settings.members, repeats, -1)
    members = tuple(float(value) for value in returns.mean((1, 2)))
    return Foreseen(returns.mean((0, 1)), members, float(played.cut.double().mean()))


def _begun(rows: Rows) -> np.ndarray:
    """First rows of the stays that hold a decision, as estimators count them."""
    return rows.starts[rows.stops - rows.starts > 1]


@dataclass
class _Actor:
    """An agent among foreseen patients; its decisions are drawn from the policy that is valued."""

    agent: Agent
    spec: FeedSpec
    epsilon: float
    hours: float
    generator: np.random.Generator
    memory: Any = None
    before: Tensor | None = None

    def choose(self, scene: Scene) -> Tensor:
        count, first = len(scene.obs), scene.tick == 0
        shape = self.spec.observation_space.shape or (-1,)
        blank = torch.zeros((count, *(self.spec.action_space.shape or ())), dtype=torch.int64)
        percept = Percept(
            obs=scene.obs.reshape(count, *shape),
            action=blank if self.before is None else self.before,
            reward=scene.reward,
            discount=torch.ones(count),
            first=torch.full((count,), first),
            last=torch.zeros(count, dtype=torch.bool),
            mask=scene.allowed,
            elapsed=torch.full((count,), 0.0 if first else self.hours),
        )
        decision = self.agent.act(percept, self.memory, explore=False)
        self.memory = decision.memory
        allowed = None if scene.allowed is None else scene.allowed.numpy()
        policy = chances(told(decision), allowed, self.spec, self.epsilon)
        self.before = decision.action if policy is None else torch.from_numpy(self._drawn(policy))
        return self.before

    def _drawn(self, policy: Float[np.ndarray, "b a"]) -> np.ndarray:
        upto = np.cumsum(policy, 1)
        return (self.generator.random((len(policy), 1)) * upto[:, -1:] >= upto).sum(1)
