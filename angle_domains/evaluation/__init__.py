"""Judging policies: what they earned, how sure that is, and what doing nothing clever would have earned."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from angle_domains.ope.settings import JudgingConfig
from angle_domains.showing import EPISODE_LIMIT
from metalearn.settings import PatientModelConfig

if TYPE_CHECKING:
    from angle_domains.evaluation.skill import Trials


@dataclass(frozen=True)
class Verdict:
    """What a judge found on one part of the data. Every feed's judge returns this; `detail` is the feed's own."""

    split: str
    score: float  # higher is better, always finite: checkpoints are chosen by it
    metrics: dict[str, float]  # stable keys
    lines: tuple[str, ...]  # for a terminal: a table and the verdict in one sentence
    detail: Any = field(default=None, repr=False)  # None where the judge was quick
    ranked: bool = True  # False: the score says nothing, and of checkpoints without one the last is kept
    by: str = ""  # what the score is, or why there is none; empty where the metrics tell
    tags: dict[str, str] = field(default_factory=dict)  # what a store should say of it in words


@dataclass(frozen=True)
class Terms:
    """What every judge is asked: `judge(feed, agent, terms)`. It heeds those that its kind of world knows."""

    split: str
    full: bool = True  # False: the agent alone, quickly, for choosing checkpoints
    seed: int = 0  # of the run: of resampling, and of episodes where `seeds` names no others
    trials: "Trials | int | None" = None  # runs that were tried, this one included: a Sharpe ratio is deflated by them
    episodes: int | None = None  # of games: whole ones for each seed; None: what the judge holds enough
    seeds: tuple[int, ...] = ()  # of games: those of the episodes; each is a stratum of the intervals
    epsilon: float = 0.0  # of games: how often an action is drawn at random
    episode_limit: int = EPISODE_LIMIT  # of games: steps after which an episode that does not end is cut
    judging: JudgingConfig = field(default_factory=JudgingConfig)  # of recorded patients: how policies are valued
    model: PatientModelConfig = field(
        default_factory=PatientModelConfig
    )  # likewise: of the patient model among the estimators


__all__ = ["Terms", "Verdict"]
