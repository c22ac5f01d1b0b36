"""How fast a run's meta-learner adapts to what it never saw: another asset, another hospital.

For growing supports the error on later rows, against staying at the last value, beside ridge regression that begins
from nothing. Tasks overlap nowhere, so that the spread over them is what luck with a task can do.
"""

import re
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from angle_domains.errors import ConfigError
from angle_domains.evaluation.scores import intervals
from angle_domains.interval import Interval
from angle_domains.outlook.walk import Walk
from metalearn.inner import ridge
from metalearn.meta_learner import MetaLearner
from metalearn.tasks import Examples
from metalearn.trainer import FEWEST_TASKS, MetaLearnerTrainer

_WORDS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_UNITS = {"m": 1 / 60, "h": 1.0, "d": 24.0, "w": 168.0}  # hours
_FRACTIONS = (0.0, 0.125, 0.25, 0.5, 1.0)  # of the support
_MOST_TASKS = 200
_PENALTY = 10.0  # of ridge that begins from nothing: that of the forecaster's default
_QUERY_EPISODES = 5  # at least


class Support(NamedTuple):
    """How much there is to adapt to."""

    amount: float
    unit: str  # "rows", "episodes", or of time: m, h, d, w


class Point(NamedTuple):
    """Errors against the last value's over all tasks, at one size of the support."""

    rows: int  # of a task's support, on average
    learned: Interval
    scratch: Interval


class Curve(NamedTuple):
    unit: str
    sizes: tuple[float, ...]  # in the unit
    points: tuple[Point, ...]
    tasks: int
    untaught: bool = False  # the run met too few tasks to learn from: ridge that begins from nothing adapts instead

    @property
    def sentence(self) -> str:
        """Whether adapting helped, in words."""
        before, after = self.points[0].learned, self.points[-1].learned
        size = f"{self.sizes[-1]:g} {self.unit}"
        if self.tasks < FEWEST_TASKS:
            return f"{self.tasks} tasks are too few to say how fast the models adapt: give more data or less support"
        whose = ""
        if self.untaught:
            whose = f"the run met fewer than {FEWEST_TASKS} tasks to learn from, ridge regression adapts in its stead; "
        if after.high < 1.0:
            told = f"after {size} its error is {after.estimate:.3f} of the last value's"
            return f"{whose}it adapts: {told}, {before.estimate:.3f} before"
        bounds = f"[{after.low:.3f}, {after.high:.3f}]"
        return f"{whose}no skill: after {size} its error is {after.estimate:.3f} {bounds} of the last value's"


def parse_support(text: str) -> Support:
    """`24` rows, `20e` episodes (patients), `14d` of time; ConfigError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdwe]?)", text.strip())
    if found is None or float(found[1]) <= 0:
        raise ConfigError(
            f"--support {text}: write rows as 24, episodes or patients as 20e, or time as 90m, 36h, 14d, 2w"
        )
    return Support(float(found[1]), {"": "rows", "e": "episodes"}.get(found[2], found[2]))


def adapt(trainer: MetaLearnerTrainer, walk: Walk, support: Support, *, query: int | None = None) -> Curve:
    """The curve over as many tasks as the walk has room for; ConfigError where it has none, or nothing was learned."""
    if trainer.forecast.scaler is None:
        raise ConfigError("this run learned nothing that could adapt: models begin to learn at meta.warm_up")
    states = walk.states
    standard = states._replace(observation=trainer.forecast.scaler.apply(states.observation))
    places = _by_episode(walk, support) if support.unit == "episodes" else _by_row(trainer, walk, support, query)
    if not places:
        raise ConfigError(
            f"--support {support.amount:g}{support.unit[0] if len(support.unit) == 1 else ' ' + support.unit}: "
            f"{states.rows:,} rows in {int(states.first.sum()):,} episodes hold no task of that size: give less"
        )
    errors = {share: [] for share in _FRACTIONS}  # type: dict[float, list[tuple[int, float, float]]]
    for rows, asked in places[:_MOST_TASKS]:
        whole = trainer.sampler.examples(standard, trainer.forecast.typical, asked.unsqueeze(0))
        still = whole.error(torch.zeros_like(whole.y)).clamp(min=1e-9)
        for share in _FRACTIONS:
            few = rows[len(rows) - round(share * len(rows)) :]  # those nearest to what is asked
            given = trainer.sampler.examples(standard, trainer.forecast.typical, few.unsqueeze(0))
            learned = whole.error(_learned(trainer.learner, given, whole.x)) / still
            scratch = whole.error(_scratch(given, whole.x)) / still
            errors[share].append((len(few), float(learned), float(scratch)))
    return Curve(
        _WORDS.get(support.unit, support.unit),
        tuple(share * support.amount for share in _FRACTIONS),
        tuple(_point(errors[share]) for share in _FRACTIONS),
        len(places[:_MOST_TASKS]),
        untaught=not trainer.learner.updates,
    )


def _point(found: list[tuple[int, float, float]]) -> Point:
    columns = np.array(found, dtype=np.float64)
    learned, scratch = (intervals([columns[:, place]])["mean"] for place in (1, 2))
    return Point(round(float(columns[:, 0].mean())), learned, scratch)


def _learned(learner: MetaLearner, given: Examples, x: Float[Tensor, "k n i"]) -> Float[Tensor, "k n o"]:
    """What the learner foresees after adapting; with nothing to adapt to, as it begins. One that never learned is as
    good as its first random weights: ridge takes its place."""
    if not learner.updates:
        return _scratch(given, x)
    weights = learner.adapt(given) if given.x.shape[1] else learner.network.for_tasks(len(x))
    with torch.no_grad():
        return learner.predict(x, weights)


def _scratch(given: Examples, x: Float[Tensor, "k n i"]) -> Float[Tensor, "k n o"]:
    """Ridge regression on the same numbers that knows no other task: without examples it stays at the last value."""
    if not given.x.shape[1]:
        return torch.zeros(*x.shape[:2], given.y.shape[-1])
    nothing = torch.zeros(1, x.shape[-1], given.y.shape[-1]), torch.zeros(1, 1, given.y.shape[-1])
    slope, shift = ridge(given.x, given, nothing, torch.tensor(_PENALTY).log())
    return x @ slope + shift


def _by_row(
    trainer: MetaLearnerTrainer, walk: Walk, support: Support, query: int | None
) -> list[tuple[Tensor, Tensor]]:
    """Rows to adapt to and rows to be judged by, an embargo between them, stretch after stretch of each episode."""
    first, found = walk.states.first.numpy(), []
    starts = np.flatnonzero(first)
    sampler = trainer.sampler
    for start, stop in zip(starts, np.append(starts[1:], len(first)), strict=True):
        at = int(start)
        while at < stop:
            end = at + int(support.amount) if support.unit == "rows" else _after(walk, at, int(stop), support)
            asked = end + sampler.embargo
            until = asked + (query or sampler.query)
            if end <= at or until + sampler.horizon > stop:
                break
            found.append((torch.arange(at, end), torch.arange(asked, until)))
            at = until + sampler.embargo
    return found


def _after(walk: Walk, at: int, stop: int, support: Support) -> int:
    """The first row that lies the support's time behind row `at`."""
    hours = support.amount * _UNITS[support.unit]
    if walk.when.dtype.kind == "M":
        limit = walk.when[at] + np.timedelta64(round(hours * 3_600), "s")
    else:
        limit = walk.when[at] + hours
    later = np.flatnonzero(walk.when[at:stop] >= limit)
    return at + int(later[0]) if len(later) else stop


def _by_episode(walk: Walk, support: Support) -> list[tuple[Tensor, Tensor]]:
    """Whole episodes to adapt to, and others to be judged by; no episode is in two tasks."""
    first = walk.states.first.numpy()
    episode = np.cumsum(first) - 1
    given = int(support.amount)
    size = given + max(_QUERY_EPISODES, given)
    order = np.random.default_rng(0).permutation(int(episode[-1]) + 1)
    found = []
    for start in range(0, len(order) - size + 1, size):
        ours, theirs = order[start : start + given], order[start + given : start + size]
        rows, asked = (torch.from_numpy(np.flatnonzero(np.isin(episode, part))) for part in (ours, theirs))
        found.append((rows, asked))
    return found
