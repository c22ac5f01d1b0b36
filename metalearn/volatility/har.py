"""Tomorrow's variance, in logs, from those of the last day, week and month, in closed form.

HAR: Corsi (2009), "A Simple Approximate Long-Memory Model of Realized Volatility". That falls raise it more than rises,
at the same three spans: Corsi and Reno (2012), "Discrete-Time Volatility Forecasting with Persistent Leverage Effect".
Differs from them: logs throughout, ranges in place of prices within the day, ridge in place of least squares.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from metalearn.volatility.range_variance import Days

SPANS = (1, 5, 22)  # days: a day, a week, a month
MONTH = SPANS[-1]
_SEEN = MONTH // 2  # days of the last month that must have been traded


def features(days: Days, *, leverage: bool) -> Float[Tensor, "t n f"]:
    """What is known at the close of each day of the next one; NaN on days without trade or with too short a past.

    The mean log variance of each span and 1; with leverage also the mean return of each span and the last day's
    absolute one, in units of the month's root mean square return.
    """
    log = days.variance.log()
    columns = [_mean(log, span) for span in SPANS] + [torch.ones_like(log)]
    if leverage:
        usual = _mean(days.change.square(), MONTH).sqrt().clamp(min=1e-3)  # per cent: prices may have stood still
        columns += [_mean(days.change, span) / usual for span in SPANS] + [days.change.abs() / usual]
    known = ~days.change.isnan() & (_count(days.change, MONTH) >= _SEEN)
    return torch.where(known.unsqueeze(-1), torch.stack(columns, -1), torch.nan)


class LogHar:
    """Ridge for each asset, from running sums; drawn towards the mean of the three spans, which it is without data."""

    def __init__(self, assets: int, *, leverage: bool = True, penalty: float = 10.0) -> None:
        self.leverage, self.penalty = leverage, penalty
        width = 2 * len(SPANS) + 2 if leverage else len(SPANS) + 1
        self.gram = torch.zeros(assets, width, width, dtype=torch.float64)
        self.moment = torch.zeros(assets, width, dtype=torch.float64)
        self.prior = torch.zeros(width, dtype=torch.float64)
        self.prior[: len(SPANS)] = 1.0 / len(SPANS)
        self.weights = self.prior.expand(assets, width)

    def take(self, rows: Float[Tensor, "t n f"], came: Float[Tensor, "t n"]) -> None:
        """Days of which features and the variance that followed are known count; the weights stay until `fit`."""
        seen = ~(rows.isnan().any(-1) | came.isnan())
        rows = torch.where(seen.unsqueeze(-1), rows, 0.0)
        self.gram = self.gram + torch.einsum("tnf,tng->nfg", rows, rows)
        self.moment = self.moment + torch.einsum("tnf,tn->nf", rows, torch.where(seen, came.log(), 0.0))

    def fit(self) -> None:
        """The constant is hardly drawn, as the level of variance is the asset's own."""
        penalty = torch.full_like(self.prior, self.penalty)
        penalty[len(SPANS)] = 1e-3
        wanted = (self.moment + penalty * self.prior).unsqueeze(-1)
        self.weights = torch.linalg.solve(self.gram + penalty.diag(), wanted).squeeze(-1)

    def __call__(self, rows: Float[Tensor, "t n f"]) -> Float[Tensor, "t n"]:
        """The exponential of the mean log variance: less than the variance, by a factor that the caller has to find."""
        return torch.einsum("tnf,nf->tn", rows, self.weights).exp()

    def state_dict(self) -> dict[str, Any]:
        return {"gram": self.gram, "moment": self.moment, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.gram, self.moment = state["gram"].clone(), state["moment"].clone()
        self.weights = state["weights"].clone()


def _windows(numbers: Float[Tensor, "t n"], span: int) -> Float[Tensor, "t n w"]:
    """The last `span` days of each day; NaN before the first."""
    before = torch.full_like(numbers[:1], torch.nan).expand(span - 1, -1)
    return torch.cat([before, numbers]).unfold(0, span, 1)


def _mean(numbers: Float[Tensor, "t n"], span: int) -> Float[Tensor, "t n"]:
    """Over the days of the span that were traded."""
    return _windows(numbers, span).nanmean(-1)


def _count(numbers: Float[Tensor, "t n"], span: int) -> Float[Tensor, "t n"]:
    return (~_windows(numbers, span).isnan()).double().sum(-1)
