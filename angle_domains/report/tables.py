"""The tables of a portfolio report."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from angle_domains.evaluation import measures
from angle_domains.evaluation.comparison import BENCHMARK, Comparison
from angle_domains.evaluation.rollout import PortfolioPath
from angle_domains.evaluation.words import bounds
from angle_domains.report.page import Cell, Row, table

_MEASURES = (  # key, name, form; the bootstrapped ones show their interval
    ("sharpe", "Sharpe ratio", "z.2f"),
    ("cagr", "CAGR", "z.1%"),
    ("volatility", "Volatility, annual", "z.1%"),
    ("sortino", "Sortino ratio", "z.2f"),
    ("calmar", "Calmar ratio", "z.2f"),
    ("max_drawdown", "Maximum drawdown", "z.1%"),
    ("drawdown_years", "Longest drawdown, years", "z.1f"),
    ("value_at_risk", "Value at risk 95%, one bar", "z.2%"),
    ("cvar", "Expected shortfall 95%, one bar", "z.2%"),
    ("hit_rate", "Bars with a gain", "z.1%"),
    ("beta", "Beta to equal weight", "z.2f"),
    ("alpha", "Alpha to equal weight, annual", "z.1%"),
    ("exposure", "Exposure (gross weight)", "z.0%"),
    ("herfindahl", "Concentration (Herfindahl)", "z.3f"),
    ("turnover", "Turnover a year, × wealth", "z.2f"),
    ("cost_drag", "Cost drag on CAGR", "z.2%"),
    ("projected", "Decisions projected", "z.1%"),
    ("psr", "Probabilistic Sharpe ratio", "z.2f"),
    ("dsr", "Deflated Sharpe ratio", "z.2f"),
)
_AGENT_ALONE = ("projected", "dsr")  # a baseline is no trial, and asks for nothing infeasible
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def measures_table(comparison: Comparison, labels: Sequence[str]) -> str:
    """Every measure of every portfolio, with its interval where it has one."""
    rows: list[Row] = []
    for key, name, form in _MEASURES:
        cells = []
        for portfolio, found in zip(comparison.names, comparison.measures, strict=True):
            alone = key in _AGENT_ALONE and portfolio != comparison.names[0]
            below = ""
            if key in comparison.resamples.drawn and np.isfinite(found[key]):
                below = bounds(comparison.interval(key, portfolio), form)
            cells.append(Cell("" if alone else written(found[key], form), below))
        rows.append([name, *cells])
    return table(["", *labels], rows)


def years_table(comparison: Comparison, labels: Sequence[str]) -> str:
    """Net return of each calendar year; the first and the last may be parts of one."""
    stamps = comparison.agent.timestamp
    years, found = compounded(stamps, [path.log_return for path in comparison.paths], "Y")
    benchmark = comparison.names.index(BENCHMARK)
    rows: list[Row] = []
    for i, year in enumerate(years):
        inside = stamps.astype("datetime64[Y]") == year
        deepest = measures.max_drawdown(comparison.agent.log_return[inside])
        rows.append(
            [
                Cell(str(year), f"{inside.sum():,} bars"),
                *(written(values[i], "z.1%") for values in found),
                written(found[0][i] - found[benchmark][i], "+z.1%"),
                written(float(deepest), "z.1%"),
            ]
        )
    return table(["", *labels, f"{labels[0]} less {BENCHMARK}", f"max drawdown of {labels[0]}"], rows)


def months_table(path: PortfolioPath) -> str:
    """Net return of each month, coloured by its size against the largest."""
    months, (found,) = compounded(path.timestamp, [path.log_return], "M")
    years, (whole,) = compounded(path.timestamp, [path.log_return], "Y")
    value = {str(month): gain for month, gain in zip(months, found, strict=True)}
    most = max(float(np.quantile(np.abs(found), 0.95)), 1e-9)
    rows: list[Row] = []
    for year, total in zip(years, whole, strict=True):
        cells = [_heat(value.get(f"{year}-{month:02d}"), most) for month in range(1, 13)]
        rows.append([str(year), *cells, Cell(written(total, "z.1%"))])
    return table(["", *_MONTHS, "year"], rows, own=-1, style="heat")


def _heat(gain: float | None, most: float) -> Cell:
    if gain is None:
        return Cell("")
    strength = min(1.0, abs(gain) / most) * 0.55
    colour = "gain" if gain >= 0.0 else "loss"
    return Cell(written(gain, "z.1%"), attributes=f' style="background:rgba(var(--{colour}),{strength:.2f})"')


def compounded(
    timestamp: np.ndarray, log_returns: Sequence[Float[np.ndarray, " t"]], unit: str
) -> tuple[np.ndarray, list[Float[np.ndarray, " k"]]]:
    """The calendar periods (Y or M) and the simple returns of each series in them."""
    periods, index = np.unique(timestamp.astype(f"datetime64[{unit}]"), return_inverse=True)
    return periods, [np.expm1(np.bincount(index, value, len(periods))) for value in log_returns]


def written(value: float, form: str) -> str:
    """The number, or a dash where it does not exist."""
    return f"{value:{form}}" if np.isfinite(value) else "–"
