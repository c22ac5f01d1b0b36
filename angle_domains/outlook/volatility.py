"""How far a market's prices will move tomorrow: foreseen day by day, beside the econometrician's forecast."""

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metalearn.settings import VolatilityConfig
from metalearn.volatility.filtered import Forecast
from metalearn.volatility.forecaster import VolatilityForecaster
from metalearn.volatility.garch import walk
from metalearn.volatility.measures import (
    Backtest,
    Comparison,
    backtest,
    diebold_mariano,
    pinball_at,
    qlike,
    qlike_of_proxy,
)
from metalearn.volatility.range_variance import Days

LEVEL = 0.05  # of the value at risk
_REFIT = 63  # days
_MOST = 6  # assets: GARCH is fitted anew every few weeks, which takes a second or two each
_DAILY = (20.0, 30.0)  # hours between bars
_LEAST = 250  # days of the part


class Model(NamedTuple):
    """One forecaster on one asset's days of the part."""

    name: str
    qlike: float  # against returns
    qlike_of_ranges: float  # against the variance from ranges
    pinball: float  # of the value at risk
    hits: Backtest
    against_garch: Comparison | None  # of QLIKE against ranges; None for GARCH itself


class Asset(NamedTuple):
    symbol: str
    days: int
    models: tuple[Model, ...]


def volatility(feed: Any, split: str) -> tuple[Asset, ...]:
    """Of the first assets of a market of daily bars with open, high and low, each listed throughout; else of none.

    Every forecast is made at the close of the day before, every fit sees earlier days alone.
    """
    bars = getattr(feed, "bars", None)
    if bars is None or bars.open is None or bars.high is None or bars.low is None:
        return ()
    apart = np.median(np.diff(bars.timestamp)) / np.timedelta64(1, "h")
    if not _DAILY[0] <= apart <= _DAILY[1]:
        return ()
    part = feed.parts[split]
    days = Days.of(bars)
    rows = slice(max(part.start - 1, 0), part.stop - 1)  # days are one fewer than bars
    whole = [n for n in range(days.change.shape[1]) if not days.change[: rows.stop, n].isnan().any()]
    if rows.stop - rows.start < _LEAST or rows.start < 2 * _LEAST:
        return ()
    return tuple(_asset(days, number, bars.symbols[number], rows) for number in whole[:_MOST])


def _asset(days: Days, number: int, symbol: str, rows: slice) -> Asset:
    one = Days(*(part[: rows.stop, number : number + 1] for part in days))
    change = one.change[:, 0]
    made = {
        "HAR with leverage (ours)": VolatilityForecaster(VolatilityConfig(refit=_REFIT), 1).follow(one),
        "HAR": VolatilityForecaster(VolatilityConfig(refit=_REFIT, leverage=False), 1).follow(one),
        "GARCH(1,1)-t": walk(change, asymmetric=False, refit=_REFIT, least=rows.start),
        "GJR-GARCH-t": walk(change, asymmetric=True, refit=_REFIT, least=rows.start),
    }
    came, ranges = change[rows], one.variance[rows, 0]
    base = qlike_of_proxy(made["GARCH(1,1)-t"].variance[rows, 0], ranges)
    return Asset(symbol, len(came), tuple(_model(name, each, rows, came, ranges, base) for name, each in made.items()))


def _model(
    name: str, made: Forecast, rows: slice, came: Float[Tensor, " t"], ranges: Float[Tensor, " t"], base: Tensor
) -> Model:
    variance, risk = made.variance[rows, 0], made.quantiles[rows, 0, 0]
    loss = qlike_of_proxy(variance, ranges)
    return Model(
        name=name,
        qlike=float(qlike(variance, came).mean()),
        qlike_of_ranges=float(loss.mean()),
        pinball=float(pinball_at(LEVEL, risk, came).mean()),
        hits=backtest(came < risk, LEVEL),
        against_garch=None if torch.equal(loss, base) else diebold_mariano(loss, base),
    )
