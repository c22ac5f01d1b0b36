"""An agent beside its baselines: measures, intervals, paired differences."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from skfolio.measures import cvar, value_at_risk

from angle_domains.evaluation import measures
from angle_domains.evaluation.bootstrap import LEVEL, Interval, Resamples, resample
from angle_domains.evaluation.rollout import PortfolioPath
from angle_domains.evaluation.skill import Trials, deflated_sharpe, probabilistic_sharpe

BENCHMARK = "equal weight"
RISK_FREE = "cash"


@dataclass(frozen=True)
class Comparison:
    """Portfolios over the same bars, the agent first; everything that the report shows."""

    paths: tuple[PortfolioPath, ...]
    measures: tuple[dict[str, float], ...]  # of each path
    resamples: Resamples
    trials: Trials | None
    split: str
    feed: str
    source: str  # what the prices are
    digest: str  # sha256 of them
    clock: str  # what a step means
    notes: tuple[str, ...]  # what a reader must know of the data

    @property
    def agent(self) -> PortfolioPath:
        return self.paths[0]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(path.name for path in self.paths)

    @cached_property
    def excess(self) -> Float[np.ndarray, "s t"]:
        """Simple returns over cash."""
        return excess_returns(self.paths)

    def interval(self, measure: str, name: str) -> Interval:
        return self.resamples.interval(measure, self.names.index(name))

    def difference(self, measure: str, other: str = BENCHMARK) -> Interval:
        """The agent's less the other's, paired."""
        return self.resamples.difference(measure, 0, self.names.index(other))


def excess_returns(paths: tuple[PortfolioPath, ...]) -> Float[np.ndarray, "s t"]:
    """Simple returns over what cash earned on the same bar: the risk-free rate is the cash rate of the costs."""
    risk_free = next(path.returns for path in paths if path.name == RISK_FREE)
    return np.stack([path.returns - risk_free for path in paths])


def compare(
    paths: tuple[PortfolioPath, ...], trials: Trials | None, seed: int
) -> tuple[tuple[dict[str, float], ...], Resamples]:
    """The measures of each path and the resamples of all of them."""
    excess = excess_returns(paths)
    benchmark = next(row for path, row in zip(paths, excess, strict=True) if path.name == BENCHMARK)
    periods = paths[0].periods_per_year
    resamples = resample(
        np.stack([path.log_return for path in paths]),
        excess,
        periods=periods,
        generator=np.random.default_rng(seed),
    )
    rows = []
    for path, row in zip(paths, excess, strict=True):
        alpha, beta = measures.alpha_beta(row, benchmark, periods)
        deflated = deflated_sharpe(row, trials, periods) if trials else float("nan")
        rows.append(
            describe(path, row) | {"alpha": alpha, "beta": beta, "psr": probabilistic_sharpe(row), "dsr": deflated}
        )
    return tuple(rows), resamples


def describe(path: PortfolioPath, excess: Float[np.ndarray, " t"]) -> dict[str, float]:
    """What one path alone shows; rates are per year, losses of VaR and CVaR positive and per bar."""
    periods, returns = path.periods_per_year, path.returns
    gross = float(measures.cagr(path.gross_log_return, periods))
    net = float(measures.cagr(path.log_return, periods))
    return {
        "sharpe": float(measures.sharpe(excess, periods)),
        "cagr": net,
        "growth": float(measures.growth(path.log_return, periods)),
        "volatility": float(measures.volatility(returns, periods)),
        "sortino": float(measures.sortino(excess, periods)),
        "calmar": float(measures.calmar(path.log_return, periods)),
        "max_drawdown": float(measures.max_drawdown(path.log_return)),
        "drawdown_years": measures.drawdown_bars(path.log_return) / periods,
        "value_at_risk": float(value_at_risk(returns, beta=LEVEL)),
        "cvar": float(cvar(returns, beta=LEVEL)),
        "hit_rate": float(measures.hit_rate(returns)),
        "exposure": measures.exposure(path.weights),
        "herfindahl": measures.herfindahl(path.weights),
        "turnover": float(path.turnover.sum()) / path.years,
        "cost_drag": gross - net,
        "projected": float(path.projected.mean()),
    }
