"""What can be foreseen of tomorrow on the S&P 500: how far it will move, and, as a control, where to.

Daily bars from 1999 on; every forecast is made at the close of the day before, every fit sees earlier days alone, and
all are judged by the same days from 2010 to 2018. `ours` is HAR with leverage; both HARs take their quantiles from
earlier standardised returns, at levels that adapt, both GARCHs from Student's t, or, `filtered`, as the HARs do. QLIKE
1 is against returns, QLIKE 2 against the variance from ranges; hits are days beyond the value at risk of 5 %; p of
Kupiec is of their number, p of Christoffersen of their independence and of both; DM compares QLIKE with that of
GARCH-t, t below 0 where it is better.

Of returns nothing is to be found: a verdict of skill by more than 5 % would mean that something leaked.
They are judged against drift, the mean of all earlier returns. Prints two tables.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when NumPy loads

import platform
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from feeds.market.config import MarketConfig
from feeds.market.read import read_bars
from metalearn.forecasting.histories import Future, History, cut
from metalearn.forecasting.quantiles import MEDIAN
from metalearn.forecasting.ridge_anchor import RidgeAnchor
from metalearn.forecasting.skill import Skill, skill
from metalearn.forecasting.substrate import ForecastSubstrate
from metalearn.settings import ForecastConfig, VolatilityConfig
from metalearn.states import States
from metalearn.volatility.filtered import Filtered, Forecast
from metalearn.volatility.forecaster import VolatilityForecaster
from metalearn.volatility.garch import walk
from metalearn.volatility.har import features
from metalearn.volatility.measures import backtest, diebold_mariano, pinball_at, qlike, qlike_of_proxy
from metalearn.volatility.range_variance import Days

BASE = "GARCH(1,1)-t"
LEVEL = 0.05  # of the value at risk
REFIT = 63  # days
YEAR = 252
LENGTH = 22  # days that forecasters of returns look back on


class Record(NamedTuple):
    days: Days  # [t, 1]
    log_price: Tensor  # [t + 1], the close before the first of these days foremost
    test: int  # the first day that forecasts are judged by
    span: str


def record() -> Record:
    bars, _ = read_bars(MarketConfig(path="sp500-ohlcv"))
    dates = bars.timestamp[1:].astype("datetime64[D]")
    test = int(np.searchsorted(dates, np.datetime64("2010-01-01")))
    span = f"{dates[test]} to {dates[-1]}, {len(dates) - test:,} days"
    return Record(Days.of(bars), torch.as_tensor(bars.close[:, 0]).log(), test, span)


def variances(known: Record) -> dict[str, Forecast]:
    """Of each day, [t, 1], by each model."""
    change = known.days.change[:, 0]
    garch = walk(change, asymmetric=False, refit=REFIT)
    return {
        "ours": VolatilityForecaster(VolatilityConfig(refit=REFIT), 1).follow(known.days),
        "HAR": VolatilityForecaster(VolatilityConfig(refit=REFIT, leverage=False), 1).follow(known.days),
        BASE: garch,
        "GARCH(1,1)-t, filtered": Filtered(1).follow(garch.variance, known.days.change),
        "GJR-GARCH-t": walk(change, asymmetric=True, refit=REFIT),
    }


def volatility_table(known: Record) -> list[str]:
    came, measured = (part[known.test :, 0] for part in known.days)
    made = {name: Forecast(*(part[known.test :, 0] for part in each)) for name, each in variances(known).items()}
    losses = {
        name: (qlike(each.variance, came), qlike_of_proxy(each.variance, measured)) for name, each in made.items()
    }
    lines = [
        "| model | QLIKE 1 | QLIKE 2 | hits | Kupiec p | Christoffersen p | pinball 5 % | DM QLIKE 1 | DM QLIKE 2 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, each in made.items():
        risk = each.quantiles[:, 0]
        found = backtest(came < risk, LEVEL)
        cells = [f"{loss.mean():.3f}" for loss in losses[name]]
        cells += [f"{found.share:.1%}", f"{found.kupiec:.2f}", f"{found.independence:.2f}, {found.conditional:.2f}"]
        cells.append(f"{pinball_at(LEVEL, risk, came).mean():.4f}")
        for loss, other in zip(losses[name], losses[BASE], strict=True):
            compared = diebold_mariano(loss, other)
            cells.append("" if name == BASE else f"t {compared.statistic:.1f}, p {compared.p:.1g}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for name in ("HAR", "GJR-GARCH-t"):
        told = [diebold_mariano(loss, other) for loss, other in zip(losses["ours"], losses[name], strict=True)]
        first, second = (f"t {each.statistic:.1f}, p {each.p:.1g}" for each in told)
        lines += ["", f"ours against {name}: QLIKE 1 {first}; QLIKE 2 {second}."]
    return lines


def drift(known: Record) -> Tensor:
    """The mean of all earlier returns."""
    change = known.days.change[:, 0]
    return change.cumsum(0)[known.test - 1 : -1] / torch.arange(known.test, len(change))


def refitted(known: Record, every: int, made: Callable[[int, int], Tensor]) -> Tensor:
    """Forecasts of the days from the first to the second number, made by what the days before the first tell."""
    stop = len(known.days.change)
    return torch.cat([made(start, min(start + every, stop)) for start in range(known.test, stop, every)])


def linear_har(known: Record) -> Tensor:
    """Ridge on what the variance is foreseen by: returns and variances of a day, a week and a month."""
    rows, came = features(known.days, leverage=True)[:-1, 0], known.days.change[1:, 0]
    begun = int((~rows.isnan().any(-1)).nonzero()[0])

    def made(start: int, stop: int) -> Tensor:
        seen = rows[begun : start - 1]
        gram = seen.T @ seen + 10.0 * torch.eye(seen.shape[1], dtype=torch.float64)
        return rows[start - 1 : stop - 1] @ torch.linalg.solve(gram, seen.T @ came[begun : start - 1])

    return refitted(known, REFIT, made)


def histories(price: Tensor) -> tuple[History, Future]:
    """The whole ones of a price [t], and the price after each."""
    first = torch.zeros(len(price), dtype=torch.bool)
    first[0] = True
    value = price.unsqueeze(1)
    ends = torch.arange(LENGTH - 1, len(price) - 1)
    shape = {"length": LENGTH, "horizons": (1,), "ends": ends}
    history, future, _ = cut(value, torch.ones_like(value), (~first).to(value), first, **shape)
    return history, future


def some(part: tuple[Tensor, ...], start: int, stop: int) -> list[Tensor]:
    """Of histories or futures those of days `start` to `stop`: the first tells of day `LENGTH - 1`."""
    return [each[start - LENGTH + 1 : stop - LENGTH + 1] for each in part]


def anchor(known: Record) -> Tensor:
    """`RidgeAnchor` on the logarithm of the price, fitted to all earlier days at once."""

    def made(start: int, stop: int) -> Tensor:
        price = known.log_price
        history, future = histories((price - price[:start].mean()) / price[:start].std())
        ridge = RidgeAnchor(LENGTH, 1, 1)
        ridge.update(History(*some(history, LENGTH - 1, start)), Future(*some(future, LENGTH - 1, start)))
        late = History(*some(history, start, stop))
        ahead = ridge(late)[:, 0, 0, MEDIAN] - late.last()[:, 0]
        return 100.0 * ahead * price[:start].std()

    return refitted(known, REFIT, made)


def substrate(known: Record, kind: str) -> Tensor:
    """A forecaster as it learns beside an agent, from all earlier days, once a year."""
    config = ForecastConfig(kind=kind, length=LENGTH, horizons=(1,), updates=100)  # type: ignore[arg-type]
    learner = ForecastSubstrate(config, 1, seed=0)
    price = known.log_price.unsqueeze(1).float()

    def made(start: int, stop: int) -> Tensor:
        first = torch.zeros(start + 1, dtype=torch.bool)
        first[0] = True
        for _ in range(5):
            learner.update(States.whole(price[: start + 1], first), None)
        assert learner.scaler is not None
        history, _ = histories(learner.scaler.apply(price)[:, 0])
        late = History(*some(history, start, stop))
        ahead = learner.quantiles(late)[:, 0, 0, MEDIAN] - late.last()[:, 0]
        return (100.0 * learner.scaler.std * ahead).double()

    return refitted(known, YEAR, made)


def judged(made: Tensor, usual: Tensor, came: Tensor) -> Skill:
    """By absolute errors, against drift: by those of no change, a price that rises in the mean would count as skill."""
    generator = torch.Generator().manual_seed(0)
    entity = torch.zeros(len(came), dtype=torch.long)
    return skill((came - made).abs(), (came - usual).abs(), entity, generator, naive="drift", hopeless=True)


def returns_table(known: Record) -> list[str]:
    came, usual = known.days.change[known.test :, 0], drift(known)
    made = {"zero": torch.zeros_like(came), "drift": usual, "linear HAR": linear_har(known), "ridge": anchor(known)}
    made |= {f"substrate, {kind}": substrate(known, kind) for kind in ("ridge", "linear", "mixer")}
    lines = ["| forecast | MASE against zero | R2 against drift | right sign | verdict |", "|---|---|---|---|---|"]
    for name, each in made.items():
        mase = (came - each).abs().mean() / came.abs().mean()
        explained = 1.0 - (came - each).square().sum() / (came - usual).square().sum()
        right = f"{(each.sign() == came.sign()).double().mean():.1%}" if each.any() else ""
        verdict = judged(each, usual, came).verdict if each is not usual else ""
        lines.append(f"| {name} | {mase:.3f} | {explained:.2%} | {right} | {verdict} |")
    return [*lines, "", f"Days on which the index rose: {(came > 0).double().mean():.1%}."]


def main() -> None:
    torch.set_num_threads(1)
    begun, known = time.process_time(), record()
    tables = [volatility_table(known), returns_table(known)]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    print(f"S&P 500, one day ahead: {known.span}. {machine}, {time.process_time() - begun:.0f} seconds of one core.")
    for table in tables:
        print("", *table, sep="\n")


if __name__ == "__main__":
    main()
