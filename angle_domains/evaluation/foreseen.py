"""What a model of patients foresees for a policy: a value beside the others, with what its members disagree on."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from angle_domains.evaluation.cohort import chances, told
from angle_domains.ope.episodes import from_rows, returns
from angle_domains.ope.estimators import Ratios
from angle_domains.ope.intervals import standard_error
from angle_domains.types import Agent, Percept
from feeds.base import FeedSpec, LoggedFeed, Rows
from metalearn.foresight import Scene, World, play_out, recorded_choice
from metalearn.patient_model import PatientModel
from metalearn.settings import PatientModelConfig

_SUPPORT = 1e-3  # of the recorded decisions in such states: rarer ones count as forbidden, where records have masks
_ERRORS = 3.0  # standard errors by which a model that is believed may miss what the recorded decisions earned
_APART = 7_919  # added to the seed: no policy practised in the very model that judges it


@dataclass(frozen=True)
class Foreseen:
    """The model is fitted to training patients; stays begin as those of the part that is judged."""

    by_stay: Float[np.ndarray, " e"] = field(repr=False)  # mean return of each stay, over members and repeats
    members: tuple[float, ...]  # the value by each member
    cut_share: float  # of the foreseen stays, which were still going on when the longest recorded one was over
    recorded: float  # what it foresees for the recorded decisions
    observed: float  # what these earned
    error: float  # standard error of that, by patients
    spread: float = 0.0  # standard deviation over members of what each foresees for the recorded decisions

    @property
    def value(self) -> float:
        return float(self.by_stay.mean())

    @property
    def disagreement(self) -> float:
        """Standard deviation of the members' values: what is unknown of the model, as far as it knows itself."""
        return float(np.std(self.members, ddof=1)) if len(self.members) > 1 else 0.0

    @property
    def credible(self) -> bool:
        """Whether it foresees what is known: that the recorded decisions earned what they did.

        How far members are apart on the policy that is valued excuses nothing: who knows least would be believed.
        """
        return abs(self.recorded - self.observed) <= _ERRORS * np.hypot(self.error, self.spread)

    def words(self) -> str:
        held = f"of the recorded decisions, which earned {self.observed:.4g}, it foresees {self.recorded:.4g}"
        if not self.credible:
            return f"the model of patients is not believed: {held}"
        low, high = min(self.members), max(self.members)
        cut = f"; {self.cut_share:.0%} of its stays never ended" if self.cut_share > 0.005 else ""
        return (
            f"{len(self.members)} models say {low:.4g} to {high:.4g} (SD {self.disagreement:.2g}), "
            f"which the interval over patients does not hold; {held}{cut}"
        )


@dataclass(frozen=True)
class Foresight:
    """How much is played out, and in which model."""

    config: PatientModelConfig
    repeats: int = 2  # of each stay in each member
    epsilon: float = 0.0  # random decisions of a greedy agent
    known: Float[np.ndarray, "s d"] | None = field(default=None, repr=False)  # all states, where they are few
    seed: int = 0
    split: str = "test"  # the part that the rows are of


def foresee(feed: LoggedFeed, agent: Agent, rows: Rows, gamma: float, wanted: Foresight) -> Foreseen:
    """Of stays that begin as those in `rows`, by a model that no policy practised in; discrete actions."""
    changed = {"pessimism": 0.0, "support": _SUPPORT, "seed": wanted.config.seed + _APART}
    model = PatientModel(feed, wanted.config.model_copy(update=changed))
    known = None if wanted.known is None else torch.as_tensor(wanted.known, dtype=torch.float64)
    world = World(model, rows.mask is not None, known)
    begun = rows.starts[rows.stops - rows.starts > 1]  # stays that hold a decision, as estimators count them
    starts = torch.as_tensor(rows.observation[begun]).flatten(1)
    doses = None if model.dosing is None else model.dosing.starts[wanted.split][rows.stops - rows.starts > 1]
    again = None if doses is None else doses.repeat(wanted.repeats, 1)
    actor = _Actor(agent, feed.spec, wanted.epsilon, model.hours, np.random.default_rng(wanted.seed))
    played = play_out(world, starts.repeat(wanted.repeats, 1), actor.choose, gamma, seed=wanted.seed, doses=again)
    usual = play_out(world, starts, recorded_choice(model, seed=wanted.seed), gamma, seed=wanted.seed, doses=doses)
    parts = played.returns.numpy().reshape(model.config.members, wanted.repeats, -1)
    members = tuple(float(value) for value in parts.mean((1, 2)))
    seen = from_rows(rows, np.ones(len(rows)), behaviour=np.ones(len(rows)))
    earned = returns(seen, gamma)
    each = usual.returns.mean(1)  # of each member
    return Foreseen(
        parts.mean((0, 1)), members, float(played.cut.double().mean()), float(usual.returns.mean()),
        float(earned.mean()), standard_error(Ratios(earned[:, None], np.ones((len(earned), 1))), seen.patient),
        float(each.std()) if len(each) > 1 else 0.0,
    )  # fmt: skip


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
