"""From a guess at the variance to the variance and to quantiles, by what returns were in units of earlier guesses.

Filtered historical simulation: Barone-Adesi, Giannopoulos and Vosper (1999), "VaR without Correlations for Portfolios
of Derivative Securities". Its levels follow what is seen (`AdaptiveLevel`), so that they hold in a crisis too.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from metalearn.forecasting.quantiles import LEVELS, MEDIAN
from metalearn.risk.calibration import AdaptiveLevel


class Forecast(NamedTuple):
    """Of the log returns of days, made at the close of the day before each; NaN where nothing can be said."""

    variance: Float[Tensor, "*t n"]  # per cent squared
    quantiles: Float[Tensor, "*t n q"]  # per cent, at `LEVELS`


class Filtered:
    """Standardised returns of N assets, the oldest of which make room.

    A guess may be wrong by any factor that stays: the variance is the guess times the mean square of earlier returns in
    units of its root, which is the factor of least QLIKE.
    """

    def __init__(self, assets: int, *, rate: float = 0.005, least: int = 250, capacity: int = 4_000) -> None:
        self.assets, self.least, self.capacity = assets, least, capacity
        self.standard = torch.full((capacity, assets), torch.nan, dtype=torch.float64)
        self.written = 0
        wanted = [level if place <= MEDIAN else 1.0 - level for place, level in enumerate(LEVELS)]
        self.levels = [[AdaptiveLevel(each, rate) for each in wanted] for _ in range(assets)]

    def follow(self, guess: Float[Tensor, "t n"], came: Float[Tensor, "t n"]) -> Forecast:
        """What is foreseen of each day, which is taken in before the next."""
        made = []
        for day, happened in zip(guess, came, strict=True):
            made.append(self.forecast(day))
            self.observe(day, made[-1], happened)
        return Forecast(*(torch.stack(parts) for parts in zip(*made, strict=True)))

    def forecast(self, guess: Float[Tensor, " n"]) -> Forecast:
        """From guesses at the variance of a day that is to come."""
        kept = self.standard[: min(self.written, self.capacity)]
        count = (~kept.isnan()).sum(0)
        enough = count >= self.least
        variance = guess * kept.square().nanmean(0) if len(kept) else torch.full_like(guess, torch.nan)
        if not enough.any():
            variance = torch.full_like(guess, torch.nan)
            return Forecast(variance, variance.unsqueeze(-1).expand(-1, len(LEVELS)))
        place = self._chances() * (count - 1).clamp(min=0).unsqueeze(-1)
        rising = kept.sort(0).values.mT  # [n, k], NaN last
        low, high = (rising.gather(1, at.long()) for at in (place.floor(), place.ceil()))
        quantiles = guess.sqrt().unsqueeze(-1) * torch.lerp(low, high, place.frac()).sort(-1).values
        enough = enough & ~guess.isnan()
        return Forecast(
            torch.where(enough, variance, torch.nan), torch.where(enough.unsqueeze(-1), quantiles, torch.nan)
        )

    def observe(self, guess: Float[Tensor, " n"], made: Forecast, came: Float[Tensor, " n"]) -> None:
        """Takes in the return of the day that was guessed at."""
        self.standard[self.written % self.capacity] = came / guess.sqrt()
        self.written += 1
        below, above = (came.unsqueeze(-1) < made.quantiles).tolist(), (came.unsqueeze(-1) > made.quantiles).tolist()
        known = (~(made.variance.isnan() | came.isnan())).tolist()
        for asset in range(self.assets):
            for place, level in enumerate(self.levels[asset] if known[asset] else []):
                level.update((below if place <= MEDIAN else above)[asset][place])

    def _chances(self) -> Float[Tensor, "n q"]:
        """Of a return below each quantile."""
        now = torch.tensor([[level.now for level in row] for row in self.levels], dtype=torch.float64)
        now[:, MEDIAN + 1 :] = 1.0 - now[:, MEDIAN + 1 :]
        return now.clamp(0.0, 1.0)

    def state_dict(self) -> dict[str, Any]:
        now = [[level.now for level in row] for row in self.levels]
        return {"standard": self.standard, "written": self.written, "levels": torch.tensor(now, dtype=torch.float64)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.standard, self.written = state["standard"].clone(), state["written"]
        for row, now in zip(self.levels, state["levels"].tolist(), strict=True):
            for level, found in zip(row, now, strict=True):
                level.level = found
