"""What a detector of risk is worth at the bedside and on paper: curves, bins, alarms and the time that they leave.

Curves: Fawcett (2006), "An introduction to ROC analysis". Net benefit: Vickers and Elkin (2006). Nothing is fitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from sklearn.metrics import precision_recall_curve, roc_curve
from torch import Tensor

from metalearn.risk.labels import event_within
from metalearn.risk.measures import (
    Measures,
    auroc,
    bins_of,
    highest_before,
    lead_times,
    measure,
    net_benefit,
    threshold_at_recall,
)

THRESHOLDS = tuple(step / 100 for step in range(1, 51))  # chances at which one might act
TELLS = 0.98  # AUROC at which something knows what it cannot


class Foretold(NamedTuple):
    """Rows of episodes, one after another, with the chance of an event within the horizon that each was told."""

    chance: Float[Tensor, " n"]
    event: Bool[Tensor, " n"]
    first: Bool[Tensor, " n"]
    ended: Bool[Tensor, " n"]  # the task ended in this row: nothing can come after it
    hours: Float[Tensor, " n"]  # since the row before; 0 in first rows


class Bin(NamedTuple):
    """Rows of neighbouring chances."""

    rows: int
    told: float  # mean chance
    came: float  # share of events


class Benefit(NamedTuple):
    """Net benefit at one threshold, as a share of all rows; never to raise an alarm has 0."""

    threshold: float
    model: float
    always: float


class Alarms(NamedTuple):
    """What it takes to announce a share of the events."""

    threshold: float
    recall: float  # share of events that an alarm came before, within the horizon
    precision: float  # share of alarms that an event followed within the horizon
    per_day: float  # alarms in a day of a patient; each row above the threshold is one
    lead: Float[Tensor, " e"]  # hours from the first alarm of an episode to its event, where there was one


@dataclass(frozen=True)
class RiskJudgement:
    """Of rows of which it is known whether an event came within the horizon."""

    measures: Measures
    events: int
    # curves have no points where all rows are of one kind
    roc: Float[Tensor, "k 2"]  # share of false alarms among rows without, share of rows before events that are found
    precision_recall: Float[Tensor, "j 2"]  # recall falling, precision
    reliability: tuple[Bin, ...]  # of equal numbers of rows
    decision: tuple[Benefit, ...]
    alarms: Alarms | None  # None without events


def judge_risk(foretold: Foretold, horizon: int, *, recall: float = 0.8, bins: int = 10) -> RiskJudgement:
    """Curves and alarms of chances that were told for the next `horizon` rows; rows with an event tell nothing."""
    label, known, event = event_within(foretold.event, foretold.first, foretold.ended, horizon)
    kept = (known > 0) & ~_last(foretold.first)
    chance, came = foretold.chance[kept], label[kept]
    roc, precision_recall = _curves(chance, came)
    always = [net_benefit(torch.ones_like(chance), came, threshold) for threshold in THRESHOLDS]
    model = [net_benefit(chance, came, threshold) for threshold in THRESHOLDS]
    return RiskJudgement(
        measures=measure(chance, came),
        events=len(event[kept][came > 0].unique()),
        roc=roc,
        precision_recall=precision_recall,
        reliability=tuple(Bin(*each) for each in bins_of(chance, came, bins)),
        decision=tuple(Benefit(*each) for each in zip(THRESHOLDS, model, always, strict=True)),
        alarms=_alarms(foretold, kept, label, event, recall) if bool((came > 0).any()) else None,
    )


def _curves(
    chance: Float[Tensor, " n"], came: Float[Tensor, " n"]
) -> tuple[Float[Tensor, "k 2"], Float[Tensor, "j 2"]]:
    if not 0 < came.sum() < len(came):
        return torch.zeros(0, 2, dtype=torch.float64), torch.zeros(0, 2, dtype=torch.float64)
    false, found, _ = roc_curve(came, chance)
    precision, reached, _ = precision_recall_curve(came, chance)
    return torch.from_numpy(np.stack([false, found], 1)), torch.from_numpy(np.stack([reached, precision], 1))


def _alarms(
    foretold: Foretold,
    kept: Bool[Tensor, " n"],
    label: Float[Tensor, " n"],
    event: Int[Tensor, " n"],
    recall: float,
) -> Alarms:
    """At the highest threshold that announces so many events: one by one row at least."""
    highest = highest_before(foretold.chance[kept], label[kept], event[kept])
    threshold = threshold_at_recall(highest, torch.ones_like(highest), recall)
    watched = ~foretold.event & ~_last(foretold.first)  # rows in which an alarm is of use
    alarm = watched & (foretold.chance >= threshold)
    later = torch.cat([foretold.hours[1:], foretold.hours.new_zeros(1)])
    days = float(later[watched].double().sum()) / 24.0
    episode = foretold.first.long().cumsum(0) - 1
    clock = _since_begin(foretold.hours, foretold.first)
    raised = alarm & kept
    return Alarms(
        threshold=threshold,
        recall=float((highest >= threshold).double().mean()),
        precision=float(label[raised].double().mean()),
        per_day=float(alarm.sum()) / days if days > 0 else float("nan"),
        lead=lead_times(alarm.float(), episode, foretold.event.float(), clock),
    )


def _last(first: Bool[Tensor, " n"]) -> Bool[Tensor, " n"]:
    return torch.cat([first[1:], torch.ones(1, dtype=torch.bool)])


def _since_begin(hours: Float[Tensor, " n"], first: Bool[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Hours since the first row of each episode."""
    total = hours.double().cumsum(0)
    starts = first.nonzero().squeeze(-1)
    return (total - total[starts][first.long().cumsum(0) - 1]).to(hours)


def telltales(
    features: Float[Tensor, "n f"], label: Float[Tensor, " n"], names: Sequence[str], *, most: float = TELLS
) -> dict[str, float]:
    """Features that tell events from the rest all by themselves, either way round: look whether they are known in time.

    A label that was shifted, an outcome among the columns and a value of the future all show so; what tells less than
    that may still leak.
    """
    found = {name: auroc(features[:, place], label) for place, name in enumerate(names)}
    return {name: max(area, 1.0 - area) for name, area in found.items() if max(area, 1.0 - area) > most}
