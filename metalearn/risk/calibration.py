"""From scores to probabilities that hold, and from probabilities to thresholds that keep a promise.

Temperature: Guo, Pleiss, Sun and Weinberger (2017), arXiv:1706.04599, with a shift (Platt 1999). Isotonic regression:
Zadrozny and Elkan (2002). The threshold is that of conformal risk control: Angelopoulos,
Bates, Fisch, Lei and Schuster (2024), arXiv:2208.02814. Adaptive levels: Gibbs and Candes (2021), arXiv:2106.00170.

All are to be fitted on rows that the scores were not fitted on, unweighted whatever the loss was.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from sklearn.isotonic import IsotonicRegression
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

_LEAST = 1e-3  # slope
_STEPS = 50  # of Newton's method, which needs a handful


@dataclass(frozen=True)
class Temperature:
    """sigmoid(slope logit + shift), with a slope above 0."""

    slope: float = 1.0
    shift: float = 0.0

    @classmethod
    def fitted(cls, logit: Float[Tensor, " n"], label: Float[Tensor, " n"], prior: float = 1.0) -> "Temperature":
        """By maximum likelihood, drawn a little towards a slope of 1 and no shift, so that few rows do no harm."""
        rows = torch.stack([logit.double(), torch.ones_like(logit, dtype=torch.float64)], -1)
        start = torch.tensor([1.0, 0.0], dtype=torch.float64)
        found = start.clone()
        for _ in range(_STEPS):
            chance = torch.sigmoid(rows @ found)
            slope = rows.T @ (chance - label) + prior * (found - start)
            bend = (rows * (chance * (1.0 - chance)).unsqueeze(-1)).T @ rows + prior * torch.eye(2, dtype=torch.float64)
            step = torch.linalg.solve(bend, slope)
            found = _shortened(rows, label.double(), found, step, start, prior)
            if step.abs().max() < 1e-9:
                break
        return cls(max(float(found[0]), _LEAST), float(found[1]))  # never turned round by a few rows

    def __call__(self, logit: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return torch.sigmoid(self.slope * logit + self.shift)


def _shortened(rows: Tensor, label: Tensor, found: Tensor, step: Tensor, start: Tensor, prior: float) -> Tensor:
    """A step of Newton's method, halved until it does not make things worse."""

    def loss(at: Tensor) -> Tensor:
        return (
            binary_cross_entropy_with_logits(rows @ at, label, reduction="sum")
            + 0.5 * prior * (at - start).square().sum()
        )

    before, share = loss(found), 1.0
    while loss(found - share * step) > before and share > 1e-6:
        share *= 0.5
    return found - share * step


@dataclass(frozen=True)
class Isotonic:
    """Steps that only rise, between them straight lines."""

    score: Float[Tensor, " k"]
    chance: Float[Tensor, " k"]

    @classmethod
    def fitted(cls, score: Float[Tensor, " n"], label: Float[Tensor, " n"]) -> "Isotonic":
        """By least squares among all that rise."""
        made = IsotonicRegression().fit(score.double().cpu().numpy(), label.double().cpu().numpy())
        return cls(torch.as_tensor(made.X_thresholds_).to(score), torch.as_tensor(made.y_thresholds_).to(score))

    def __call__(self, score: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        if len(self.score) == 1:
            return self.chance.expand_as(score)
        right = torch.searchsorted(self.score, score).clamp(1, len(self.score) - 1)
        width = (self.score[right] - self.score[right - 1]).clamp(min=1e-12)
        share = ((score - self.score[right - 1]) / width).clamp(0.0, 1.0)
        return torch.lerp(self.chance[right - 1], self.chance[right], share)


def controlled_threshold(chance: Float[Tensor, " n"], label: Float[Tensor, " n"], most_missed: float) -> float:
    """The highest threshold at which the expected share of events that raise no alarm is at most `most_missed`.

    Of n events the k-th smallest chance serves where (k + 1) / (n + 1) <= most_missed, k missed; where even none missed
    would not do, with too few events, it is 0: an alarm always. It holds for rows exchangeable with these.
    """
    events = chance[label > 0].sort().values
    missed = int((len(events) + 1) * most_missed) - 1
    return float(events[missed]) if missed >= 0 and len(events) else 0.0


@dataclass
class AdaptiveLevel:
    """A level of miscoverage that follows what is seen, so that under drift the promise holds in the long run."""

    wanted: float
    rate: float = 0.01
    level: float | None = None

    @property
    def now(self) -> float:
        return self.wanted if self.level is None else self.level

    def update(self, missed: bool) -> float:
        self.level = self.now + self.rate * (self.wanted - float(missed))
        return self.level
