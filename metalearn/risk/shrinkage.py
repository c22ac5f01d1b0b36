"""Logistic regression from few labels: weights are drawn to 0, least along the axes on which rows differ most.

Ridge regression shrinks directions of little variance harder than others, principal components regression drops them;
Frank and Friedman (1993), "A Statistical View of Some Chemometrics Regression Tools", Technometrics 35, see one family
in both, of which this is a member: the prior variance of a weight along an axis is a power of the axis' own variance.
To know the axes takes no labels. With many labels the penalty, chosen by cross-validation, is small: all axes count.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

PENALTIES = (
    1e5,
    1e4,
    3e3,
    1e3,
    300.0,
    100.0,
    30.0,
    10.0,
    3.0,
    1.0,
    0.3,
)  # strong ones first: each starts from the one before
POWERS = (2.0, 0.0)  # of an axis' variance, in the prior of a weight along it; 0 is plain ridge regression
_GAIN = 0.01  # by which the loss on rows held out must fall before another than the first is believed
_LEAST = 1e-3  # variance of an axis, against that of the largest
_PATIENCE = 2  # penalties in a row that are worse than the best, after which weaker ones are not tried
_MOST = 128  # axes: beyond it a fit would no longer be cheap
_STEPS, _LONGEST = 12, 3.0  # of Newton's method, and how far one may go along an axis

Fold = tuple[Bool[Tensor, " n"], Bool[Tensor, " n"]]  # rows to fit on, rows to be judged by


class Axes(NamedTuple):
    """Principal axes of standardised features, in units of the prior."""

    mean: Float[Tensor, " f"]
    turn: Float[Tensor, "f k"]

    @classmethod
    def fitted(cls, features: Float[Tensor, "n f"], trust: Float[Tensor, " f"], power: float = POWERS[0]) -> "Axes":
        """`trust` is how large features count against one another; what does not vary counts for nothing."""
        mean, deviation = features.mean(0), features.std(0, correction=0)
        share = torch.where(deviation > 1e-6, trust / deviation.clamp(min=1e-6), 0.0)
        standard = (features - mean) * share
        variance, axis = torch.linalg.eigh(standard.T @ standard / len(features))
        variance, axis = variance[-_MOST:], axis[:, -_MOST:]
        prior = variance.clamp(min=_LEAST * float(variance[-1].clamp(min=1e-12))) ** power
        return cls(mean, share.unsqueeze(-1) * axis * (prior / prior.mean()).sqrt())

    def apply(self, features: Float[Tensor, "n f"]) -> Float[Tensor, "n k"]:
        return (features - self.mean) @ self.turn


class Line(NamedTuple):
    """A weight for each axis, and what is added."""

    weight: Float[Tensor, " k"]
    shift: Float[Tensor, ""]

    def __call__(self, rows: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        return rows @ self.weight + self.shift

    def of_features(self, axes: Axes) -> tuple[Float[Tensor, " f"], Float[Tensor, ""]]:
        """The same line in features."""
        weight = axes.turn @ self.weight
        return weight, self.shift - axes.mean @ weight


def fit(
    rows: Float[Tensor, "n k"],
    label: Float[Tensor, " n"],
    weight: Float[Tensor, " n"],
    penalty: float,
    start: Line | None = None,
) -> Line:
    """By Newton's method on the weighted sum of losses and half the penalty times the squared weights."""
    rows = torch.cat([rows, torch.ones_like(rows[:, :1])], 1)
    ridge = torch.full_like(rows[0], penalty)
    ridge[-1] = 1e-3  # next to nothing, but finite where all labels are alike
    at = torch.zeros_like(ridge)
    if start is not None:
        at = torch.cat([start.weight, start.shift.unsqueeze(0)])
    for _ in range(_STEPS):
        chance = torch.sigmoid(rows @ at)
        slope = rows.T @ (weight * (chance - label)) + ridge * at
        bend = (rows * (weight * chance * (1.0 - chance)).unsqueeze(-1)).T @ rows + ridge.diag()
        step = torch.linalg.solve(bend, slope)
        at = at - step / (step.abs().max() / _LONGEST).clamp(min=1.0)
        if step.abs().max() < 1e-3:  # what is left is of the order of its square
            break
    return Line(at[:-1], at[-1])


def cross_fitted(
    rows: Float[Tensor, "n k"], label: Float[Tensor, " n"], weight: Float[Tensor, " n"], folds: Sequence[Fold]
) -> tuple[float, Float[Tensor, " n"], float]:
    """The penalty of the least loss on rows held out, what these were given before the shift, else 0, and that loss.

    Shifts are left out since the fewer events a fold was fitted to, the more it holds out: put together, its shift
    would speak against what came.
    """
    lines: list[Line | None] = [None] * len(folds)
    chosen, least, score, worse = PENALTIES[0], torch.inf, torch.zeros_like(label), 0
    for penalty in PENALTIES:
        made, loss = torch.zeros_like(label), 0.0
        for place, (fitted, held) in enumerate(folds):
            lines[place] = line = fit(rows[fitted], label[fitted], weight[fitted], penalty, lines[place])
            made[held] = rows[held] @ line.weight
            loss += float(
                binary_cross_entropy_with_logits(line(rows[held]), label[held], weight[held], reduction="sum")
            )
        worse = 0 if loss < least else worse + 1
        if loss < least:
            chosen, least, score = penalty, loss, made
        if worse == _PATIENCE:
            break
    return chosen, score, float(least)


def learned(
    features: Float[Tensor, "n f"],
    label: Float[Tensor, " n"],
    weight: Float[Tensor, " n"],
    folds: Sequence[Fold],
    trust: Float[Tensor, " f"],
) -> tuple[Axes, Line, Float[Tensor, " n"]]:
    """Axes and the line along them, of the prior and penalty that do best on rows held out; and `cross_fitted` scores.

    Mostly what differs most tells most, but not always: of some illnesses a small sign tells the end.
    """
    fitted = torch.stack([rows for rows, _ in folds]).any(0)
    least = torch.inf
    for power in POWERS:
        axes = Axes.fitted(features[fitted], trust, power)
        along = axes.apply(features)
        penalty, score, loss = cross_fitted(along, label, weight, folds)
        if loss < least * (1.0 - _GAIN):
            least, chosen = loss, (axes, fit(along[fitted], label[fitted], weight[fitted], penalty), score)
    return chosen
