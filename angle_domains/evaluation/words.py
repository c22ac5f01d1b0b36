"""What a comparison says, in words and as a table for a terminal."""

import numpy as np

from angle_domains.evaluation.bootstrap import LEVEL, Interval
from angle_domains.evaluation.comparison import BENCHMARK, Comparison

_CONVINCING = 0.95  # deflated Sharpe ratio from which luck is no likely explanation


def sentence(comparison: Comparison) -> str:
    """Whether the agent's Sharpe ratio differs from that of equal weight, and whether the trials explain it."""
    over = comparison.difference("sharpe")
    if over.includes_zero or not np.isfinite(over.low):
        return (
            f"No skill shown: the Sharpe ratio differs from that of {BENCHMARK} by {over.estimate:+.2f}, and the "
            f"{LEVEL:.0%} interval of the difference, {bounds(over)}, includes zero."
        )
    word = "Better" if over.low > 0.0 else "Worse"
    told = (
        f"{word} than {BENCHMARK}: the Sharpe ratio is {'higher' if over.low > 0.0 else 'lower'} by "
        f"{abs(over.estimate):.2f}, {LEVEL:.0%} interval of the difference {bounds(over)}."
    )
    return f"{told} {_luck(comparison)}" if over.low > 0.0 and comparison.trials else told


def _luck(comparison: Comparison) -> str:
    deflated = comparison.measures[0]["dsr"]
    assert comparison.trials is not None
    runs = count(comparison.trials.count, "trial")
    if deflated >= _CONVINCING:
        return f"It stands after {runs}: deflated Sharpe ratio {deflated:.2f}."
    return f"But the best of {runs} may be this good by luck: deflated Sharpe ratio {deflated:.2f}, below 0.95."


def table(comparison: Comparison) -> tuple[str, ...]:
    """The agent and the baselines, one a line, and the verdict."""
    path = comparison.agent
    width = max(map(len, comparison.names))
    tried = f", best of {count(comparison.trials.count, 'trial')}" if comparison.trials else ""
    head = (
        f"{comparison.split} part, {path.timestamp[0].astype('datetime64[D]')} to "
        f"{path.timestamp[-1].astype('datetime64[D]')}, {len(path.timestamp):,} bars, net of costs{tried}"
    )
    columns = f"{'':<{width}}  {'Sharpe':>6}  {f'[{LEVEL:.0%}]':>14}  {'CAGR':>7}  {'max DD':>7}  {'turnover/y':>10}"
    rows = [_row(comparison, name, width) for name in comparison.names]
    return (head, columns, *rows, sentence(comparison))


def _row(comparison: Comparison, name: str, width: int) -> str:
    found = comparison.measures[comparison.names.index(name)]
    return (
        f"{name:<{width}}  {found['sharpe']:>6.2f}  {bounds(comparison.interval('sharpe', name)):>14}  "
        f"{found['cagr']:>+7.1%}  {found['max_drawdown']:>7.1%}  {found['turnover']:>10.2f}"
    )


def bounds(interval: Interval, form: str = ".2f") -> str:
    """ "[low, high]"."""
    return f"[{interval.low:{form}}, {interval.high:{form}}]"


def count(number: int, noun: str) -> str:
    """ "1 trial", "12 trials"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
