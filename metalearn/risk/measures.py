"""What chances of an event are worth, against what came. Rows `[n]` are those that are known."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from metalearn.risk.calibration import Temperature


class Measures(NamedTuple):
    rows: int
    prevalence: float
    auroc: float
    auprc: float  # to be read beside the prevalence, which is what chance gives
    brier: float
    brier_skill: float  # against telling everybody the prevalence
    ece: float
    slope: float  # of the calibration line; 1 is right, below 1 too extreme
    intercept: float


def measure(chance: Float[Tensor, " n"], label: Float[Tensor, " n"]) -> Measures:
    prevalence = float(label.mean())
    brier = float((chance - label).square().mean())
    line = Temperature.fitted(torch.logit(chance, eps=1e-6), label, prior=1e-6)
    flat = prevalence * (1.0 - prevalence)
    return Measures(
        rows=len(label),
        prevalence=prevalence,
        auroc=auroc(chance, label),
        auprc=auprc(chance, label),
        brier=brier,
        brier_skill=1.0 - brier / flat if flat > 0 else float("nan"),
        ece=calibration_error(chance, label),
        slope=line.slope,
        intercept=line.shift,
    )


def auroc(score: Float[Tensor, " n"], label: Float[Tensor, " n"]) -> float:
    """How often an event scores above a row without, ties a half; NaN where there is only one kind."""
    return float(roc_auc_score(label, score)) if 0 < label.sum() < len(label) else float("nan")


def auprc(score: Float[Tensor, " n"], label: Float[Tensor, " n"]) -> float:
    """Average precision: the mean over events of the precision at their score; NaN without events."""
    return float(average_precision_score(label, score)) if label.sum() > 0 else float("nan")


def calibration_error(chance: Float[Tensor, " n"], label: Float[Tensor, " n"], bins: int = 10) -> float:
    """The mean over bins of equal numbers of rows of how far the mean chance is from the share of events."""
    return sum(rows * abs(told - came) for rows, told, came in bins_of(chance, label, bins)) / len(label)


def bins_of(chance: Float[Tensor, " n"], label: Float[Tensor, " n"], bins: int) -> list[tuple[int, float, float]]:
    """Rows, mean chance and share of events of bins of equal numbers of rows, by rising chance."""
    _, group, count = chance.unique(return_inverse=True, return_counts=True)
    shared = torch.zeros(len(count), dtype=torch.float64).index_add_(0, group, label.double()) / count
    order = chance.argsort(stable=True)  # rows of one chance share their events, whatever their order
    parts = torch.tensor_split(
        torch.stack([chance[order].double(), shared[group][order]]), min(bins, len(label)), dim=1
    )
    return [(part.shape[1], float(part[0].mean()), float(part[1].mean())) for part in parts]


def net_benefit(chance: Float[Tensor, " n"], label: Float[Tensor, " n"], threshold: float) -> float:
    """True alarms less false ones, each false one at the odds of the threshold, as a share of all rows.

    Vickers and Elkin (2006), "Decision curve analysis".
    """
    alarm = chance >= threshold
    true, false = (alarm & (label > 0)).double().mean(), (alarm & (label == 0)).double().mean()
    return float(true - false * threshold / (1.0 - threshold))


def threshold_at_recall(chance: Float[Tensor, " n"], label: Float[Tensor, " n"], recall: float) -> float:
    """The highest threshold at which that share of events raises an alarm; NaN without events."""
    events = chance[label > 0].sort(descending=True).values
    if not len(events):
        return float("nan")
    place = min(len(events), max(1, int(torch.tensor(recall * len(events)).ceil())))
    return float(events[place - 1])


def lead_times(
    alarm: Float[Tensor, " n"], episode: Int[Tensor, " n"], event: Float[Tensor, " n"], hours: Float[Tensor, " n"]
) -> Float[Tensor, " e"]:
    """For each first event of an episode that an alarm came before: the time from the first alarm to it."""
    found = []
    for number in episode[event > 0].unique().tolist():
        rows = (episode == number).nonzero().squeeze(-1)
        at = int(rows[event[rows] > 0][0])
        early = rows[(alarm[rows] > 0) & (rows < at)]
        if len(early):
            found.append(float(hours[at] - hours[early[0]]))
    return torch.tensor(found)


def highest_before(
    chance: Float[Tensor, " m"], label: Float[Tensor, " m"], event: Int[Tensor, " m"]
) -> Float[Tensor, " e"]:
    """The highest chance of the rows before each event: rows before one are no events of their own."""
    before = [chance[(event == number) & (label > 0)] for number in event[label > 0].unique().tolist()]
    return torch.stack([rows.max() for rows in before])
