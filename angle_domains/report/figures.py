"""The charts of a portfolio report."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from angle_domains.evaluation import measures
from angle_domains.evaluation.comparison import RISK_FREE, Comparison
from angle_domains.evaluation.rollout import PortfolioPath
from angle_domains.report.charts import Frame, Line, areas, bars, lines
from angle_domains.report.scales import linear, logarithmic, step_axis, time_axis

_SHOWN = 8  # assets with an area of their own


def equity(comparison: Comparison, labels: Sequence[str]) -> str:
    """Wealth on a log scale, the drawdown of the same bars beneath."""
    paths, axis = comparison.paths, time_axis(np.append(comparison.agent.start, comparison.agent.timestamp))
    wealth = [np.concatenate(([1.0], path.wealth)) for path in paths]
    depth = [np.concatenate(([0.0], measures.drawdown(path.log_return))) for path in paths]
    top = Frame("Wealth", "multiple of the start, log scale", axis, logarithmic(np.stack(wealth)), times)
    under = Frame(
        "Drawdown", "% below the highest wealth so far", axis, linear(np.stack(depth), zero=True, count=4), percent, 3,
        size="low", legend=False,
    )  # fmt: skip
    return lines(top, _styled(labels, wealth)) + lines(under, _styled(labels, depth), worst=True, fill=True)


def holdings(path: PortfolioPath) -> str:
    """Weights at the close of each step: the largest assets, all others, cash."""
    heavy = np.argsort(-np.abs(path.weights).mean(0), kind="stable")[:_SHOWN]
    heavy = heavy[np.abs(path.weights[:, heavy]).max(0) > 1e-6]
    rest = np.delete(path.weights, heavy, axis=1)
    series = [
        Line(f"{path.symbols[asset]} {path.weights[:, asset].mean():.0%}", path.weights[:, asset], f"w{rank}")
        for rank, asset in enumerate(heavy)
    ]
    if np.abs(rest).max(initial=0.0) > 1e-6:
        series.append(Line(f"{rest.shape[1]} others {rest.sum(1).mean():.0%}", rest.sum(1), "other"))
    series.append(Line(f"cash {path.cash.mean():.0%}", path.cash, "cash"))
    stacked = np.stack([line.value for line in series])
    reach = np.array([np.minimum(stacked, 0.0).sum(0).min(), np.maximum(stacked, 0.0).sum(0).max()])
    scale = linear(np.round(reach, 6), zero=True, count=4)
    return areas(
        Frame("Weights", "% of wealth, mean in the legend", time_axis(path.timestamp[path.closed]), scale, percent, 3),
        series,
    )


def trading(comparison: Comparison, labels: Sequence[str]) -> str:
    """What was traded each month, and what costs have taken so far."""
    path = comparison.agent
    months, traded = monthly_sums(path.timestamp[path.closed], path.turnover)
    scale, unit = linear(traded, zero=True, count=4), "% of wealth bought and sold in a month"
    frame = Frame(f"Turnover of {labels[0]}", unit, time_axis(months), scale, percent, 2, size="middle", legend=False)
    left = bars(frame, traded, "s0")
    taken = [-np.expm1(np.cumsum(path.log_return - path.gross_log_return)) for path in comparison.paths]
    shown = _without_cash(labels, taken)
    scale = linear(np.stack(taken), zero=True, count=4)
    right = lines(
        Frame("Costs so far", "% of wealth", time_axis(path.timestamp), scale, percent, 3, size="middle"), shown
    )
    return f'<div class="pair">{left}{right}</div>'


def rolling(comparison: Comparison, labels: Sequence[str]) -> str:
    """Sharpe ratio of the last year of bars, or of a quarter of the part where that is shorter."""
    path = comparison.agent
    window = rolling_window(path)
    values = [measures.rolling_sharpe(excess, window, path.periods_per_year) for excess in comparison.excess]
    shown = _without_cash(labels, [value[window - 1 :] for value in values])
    scale = linear(np.stack([line.value for line in shown]), zero=True)
    unit = f"of the last {window:,} bars, annualised"
    return lines(
        Frame("", unit, time_axis(path.timestamp[window - 1 :]), scale, plain, size="middle"),
        shown,
    )


def learning_curve(curve: Sequence[tuple[int, float]]) -> str:
    """The score on validation over training; it is what the best checkpoint was chosen by."""
    step, score = np.array([point for point, _ in curve]), np.array([value for _, value in curve])
    scale = linear(score, count=4)
    unit = "annual log growth over environment steps"
    frame = Frame("Score on validation", unit, step_axis(step), scale, percent, 3, size="middle", legend=False)
    return lines(frame, [Line("score", score, "s0")], mark=(int(score.argmax()), "best"))


def rolling_window(path: PortfolioPath) -> int:
    return max(2, min(round(path.periods_per_year), len(path.timestamp) // 4))


def monthly_sums(timestamp: np.ndarray, value: Float[np.ndarray, " d"]) -> tuple[np.ndarray, Float[np.ndarray, " m"]]:
    """The first days of the months and the sums within them."""
    months, index = np.unique(timestamp.astype("datetime64[M]"), return_inverse=True)
    return months.astype("datetime64[us]"), np.bincount(index, value, len(months))


def percent(value: float, digits: int) -> str:
    """ "12.5%"; on an axis the decimals are those of the fraction, two of which the sign takes."""
    return f"{value:.{max(0, digits - 2)}%}"


def times(value: float, digits: int) -> str:
    return f"{value:.{digits}f}×"


def plain(value: float, digits: int) -> str:
    return f"{value:.{digits}f}"


def _styled(labels: Sequence[str], values: Sequence[np.ndarray]) -> list[Line]:
    return [Line(label, value, f"s{i}") for i, (label, value) in enumerate(zip(labels, values, strict=True))]


def _without_cash(labels: Sequence[str], values: Sequence[np.ndarray]) -> list[Line]:
    return [line for line in _styled(labels, values) if line.label != RISK_FREE]
