"""A forecaster of variance that learns day by day, and says of every day what it had foreseen before it learns."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from metalearn.forecasting.quantiles import LEVELS
from metalearn.settings import VolatilityConfig
from metalearn.volatility.filtered import Filtered, Forecast
from metalearn.volatility.har import MONTH, LogHar, features
from metalearn.volatility.measures import qlike
from metalearn.volatility.range_variance import Days


class VolatilityForecaster:
    """The variance of the next day's return and its quantiles, of N assets."""

    def __init__(self, config: VolatilityConfig, assets: int) -> None:
        self.config = config
        self.har = LogHar(assets, leverage=config.leverage, penalty=config.penalty)
        self.filtered = Filtered(assets, rate=config.rate, least=config.least)
        self.recent = Days.unknown(MONTH, assets)
        self.taken = 0  # days

    @property
    def ready(self) -> bool:
        """Whether its weights were ever fitted; quantiles need as many days again."""
        return self.taken >= self.config.least

    def update(self, days: Days) -> dict[str, float]:
        """Learns from days that follow those taken in before; how what was foreseen of them did."""
        made = self.follow(days)
        known = ~(made.variance.isnan() | days.change.isnan())
        told = {"volatility/rows": float(known.sum())}
        if not known.any():
            return told
        came, quantiles = days.change[known], made.quantiles[known]
        inside = (came >= quantiles[:, 1]) & (came <= quantiles[:, -2])
        return told | {
            "volatility/qlike": float(qlike(made.variance[known], came).mean()),
            "volatility/below_05": float((came < quantiles[:, 0]).double().mean()),
            "volatility/coverage_80": float(inside.double().mean()),
        }

    def follow(self, days: Days) -> Forecast:
        """What was foreseen of each day at the close of the day before, as the days are taken in one by one."""
        made = []
        while len(days.change):
            due = self.config.refit - self.taken % self.config.refit
            made.append(self._follow(days.cut(0, due)))
            days = days.cut(due)
            if self.ready and self.taken % self.config.refit == 0:
                self.har.fit()
        return Forecast(*(torch.cat(parts) for parts in zip(*made, strict=True)))

    def variance(self) -> Float[Tensor, " n"]:
        """Of the day after the last one taken in, in per cent squared; NaN where nothing can be said."""
        return self._tomorrow().variance

    def quantiles(self) -> Float[Tensor, "n q"]:
        """Of that day's log return, in per cent, at `LEVELS`."""
        return self._tomorrow().quantiles

    def _tomorrow(self) -> Forecast:
        return self.filtered.forecast(self._guesses(features(self.recent, leverage=self.config.leverage)[-1:])[0])

    def _guesses(self, rows: Float[Tensor, "t n f"]) -> Float[Tensor, "t n"]:
        """None before the first fit: what the prior says would not be of one kind with what comes later."""
        made = self.har(rows)
        return made if self.ready else torch.full_like(made, torch.nan)

    def _follow(self, days: Days) -> Forecast:
        """Days between which nothing is fitted."""
        joined = self.recent.joined(days)
        before = features(joined, leverage=self.config.leverage)[MONTH - 1 : -1]  # of each day: at the close before it
        made = self.filtered.follow(self._guesses(before), days.change)
        self.har.take(before, days.variance)
        self.recent, self.taken = joined.cut(-MONTH), self.taken + len(days.change)
        return made

    def state_dict(self) -> dict[str, Any]:
        return {
            "har": self.har.state_dict(),
            "filtered": self.filtered.state_dict(),
            "recent": self.recent._asdict(),
            "taken": self.taken,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.har.load_state_dict(state["har"])
        self.filtered.load_state_dict(state["filtered"])
        self.recent, self.taken = Days(**state["recent"]), state["taken"]


assert LEVELS[0] == 0.05
assert (LEVELS[1], LEVELS[-2]) == (0.1, 0.9)  # the interval of 80 %
