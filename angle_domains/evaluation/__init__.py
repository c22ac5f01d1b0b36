"""Judging policies: what they earned, how sure that is, and what doing nothing clever would have earned."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """What a judge found on one part of the data. Every feed's judge returns this; `detail` is the feed's own."""

    split: str
    score: float  # higher is better, always finite: checkpoints are chosen by it
    metrics: dict[str, float]  # stable keys, at most a dozen
    lines: tuple[str, ...]  # for a terminal: a table and the verdict in one sentence
    detail: Any = field(default=None, repr=False)  # None where the judge was quick


@dataclass(frozen=True)
class Draw:
    """Which episodes are judged where they are drawn: of games. A part of a market is one episode, nothing is drawn."""

    episodes: int | None = None  # whole ones, for each seed; None: what the judge holds enough
    seeds: tuple[int, ...] = ()  # empty: the seed of the run
    epsilon: float = 0.0  # how often an action is drawn at random


__all__ = ["Draw", "Verdict"]
