"""What a comparison says, in words and as a table for a terminal."""

import numpy as np

from angle_domains.evaluation.bootstrap import LEVEL, Interval
from angle_domains.evaluation.comparison import BENCHMARK, Comparison

BANNER = "Research, not for care."  # on whatever is said of patients
_CONVINCING = 0.95  # deflated Sharpe ratio from which luck is no likely explanation
_NEGLIGIBLE = 0.01  # difference in Sharpe ratio that nobody can use, however sure it is


def standing(over: Interval) -> str:
    """ "better" or "worse" where the whole interval of a difference in Sharpe ratio is and matters, else "alike"."""
    if not np.isfinite(over.low) or over.includes_zero or max(abs(over.low), abs(over.high)) < _NEGLIGIBLE:
        return "alike"
    return "better" if over.low > 0.0 else "worse"


def sentence(comparison: Comparison) -> str:
    """Whether the agent's Sharpe ratio differs from that of equal weight, and whether the trials explain it."""
    over = comparison.difference("sharpe")
    stands = standing(over)
    interval = f"the {LEVEL:.0%} interval of the difference"
    if not np.isfinite(over.low):
        return f"No skill shown: no interval can be had of the difference to {BENCHMARK} in the Sharpe ratio."
    if stands == "alike" and max(abs(over.low), abs(over.high)) < _NEGLIGIBLE:
        return f"No skill shown: the Sharpe ratio differs from that of {BENCHMARK} by less than {_NEGLIGIBLE}."
    if stands == "alike":
        by = f"differs from that of {BENCHMARK} by {over.estimate:+z.2f}"
        return f"No skill shown: the Sharpe ratio {by}, and {interval}, {bounds(over)}, includes zero."
    by = f"{'higher' if stands == 'better' else 'lower'} by {abs(over.estimate):.2f}"
    told = f"{stands.capitalize()} than {BENCHMARK}: the Sharpe ratio is {by}, {interval} is {bounds(over)}."
    return f"{told} {_luck(comparison)}" if stands == "better" and comparison.trials else told


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
        f"{name:<{width}}  {found['sharpe']:>z6.2f}  {bounds(comparison.interval('sharpe', name)):>14}  "
        f"{found['cagr']:>+z7.1%}  {found['max_drawdown']:>7.1%}  {found['turnover']:>10.2f}"
    )


def bounds(interval: Interval, form: str = "z.2f") -> str:
    """ "[low, high]", or that there is none: of a measure that does not exist."""
    if not np.isfinite(interval.low):
        return "no interval"
    return f"[{interval.low:{form}}, {interval.high:{form}}]"


def count(number: int, noun: str) -> str:
    """ "1 trial", "12 trials"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
