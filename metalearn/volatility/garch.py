"""The econometrician's forecast of variance, which any other has to beat.

Bollerslev (1986), "Generalized Autoregressive Conditional Heteroskedasticity", with the Student's t of Bollerslev
(1987); with an own term for falls, Glosten, Jagannathan and Runkle (1993). Fitted by `arch`, with a constant mean.
"""

import math
import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.stats import t as student
from torch import Tensor

from metalearn.forecasting.quantiles import LEVELS
from metalearn.volatility.filtered import Forecast


@dataclass(frozen=True)
class Garch:
    """A law that was fitted, and the variance it gave the last day of the fit."""

    mean: float  # per cent
    omega: float
    alpha: float
    gamma: float  # of falls, beside alpha
    beta: float
    freedom: float  # degrees, of the Student's t
    variance: float  # per cent squared

    @classmethod
    def fitted(cls, change: Float[Tensor, " t"], *, asymmetric: bool) -> "Garch":
        """By maximum likelihood, from returns in per cent."""
        from arch import arch_model  # a second to load

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an optimiser that stopped short: its best guess serves until the next
            law = arch_model(change.numpy(), vol="GARCH", p=1, o=int(asymmetric), q=1, dist="t", mean="Constant")
            found = law.fit(disp="off")
        told = found.params
        return cls(
            mean=float(told["mu"]),
            omega=float(told["omega"]),
            alpha=float(told["alpha[1]"]),
            gamma=float(told["gamma[1]"]) if asymmetric else 0.0,
            beta=float(told["beta[1]"]),
            freedom=float(told["nu"]),
            variance=float(found.conditional_volatility[-1]) ** 2,
        )

    def after(self, variance: float, change: float) -> float:
        """The variance of the day after one with that variance and that return."""
        over = change - self.mean
        return self.omega + (self.alpha + self.gamma * (over < 0.0)) * over**2 + self.beta * variance

    def quantiles(self, variance: Float[Tensor, " t"]) -> Float[Tensor, "t q"]:
        """Of returns, at `LEVELS`; Student's t brought to a variance of 1."""
        unit = math.sqrt((self.freedom - 2.0) / self.freedom)
        points = torch.tensor([unit * student.ppf(level, self.freedom) for level in LEVELS], dtype=torch.float64)
        return self.mean + variance.sqrt().unsqueeze(-1) * points


def walk(change: Float[Tensor, " t"], *, asymmetric: bool, refit: int = 63, least: int = 500) -> Forecast:
    """What was foreseen of each day of one asset at the close before, fitted anew every `refit` days on all before.

    NaN in the first `least` days.
    """
    variance = torch.full_like(change, torch.nan)
    quantiles = torch.full((len(change), len(LEVELS)), torch.nan, dtype=torch.float64)
    for start in range(least, len(change), refit):
        law = Garch.fitted(change[:start], asymmetric=asymmetric)
        now, days = law.variance, slice(start, min(start + refit, len(change)))
        for day in range(days.start, days.stop):
            now = law.after(now, float(change[day - 1]))
            variance[day] = now
        quantiles[days] = law.quantiles(variance[days])
    return Forecast(variance.unsqueeze(-1), quantiles.unsqueeze(1))
