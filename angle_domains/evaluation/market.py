"""The judge of portfolio policies, and an episode told decision by decision."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from angle_domains.errors import ConfigError
from angle_domains.evaluation import Terms, Verdict
from angle_domains.evaluation.baselines import baseline_paths, cash
from angle_domains.evaluation.comparison import Comparison, compare, describe
from angle_domains.evaluation.rollout import AgentDriver, PortfolioPath, TargetDriver, episode, rollout
from angle_domains.evaluation.skill import Trials
from angle_domains.evaluation.words import table
from angle_domains.showing import Showing
from angle_domains.types import Agent

AGENT = "agent"
_QUICK = ("growth", "sharpe", "max_drawdown", "turnover", "projected")
_FULL = ("sharpe", "cagr", "volatility", "max_drawdown", "turnover", "cost_drag", "dsr")


def judge(feed: Any, agent: Agent, terms: Terms) -> Verdict:
    """What the policy earns over the whole part, net of all costs.

    The score is the annual logarithmic growth of wealth: it is what the rewards sum to, counts costs and leverage,
    and exists where a Sharpe ratio does not (a policy in cash, a policy in ruin). A quick verdict rolls out the agent
    alone. A full one on the test part without `trials` is a ConfigError, and a quick one leaves the Sharpe ratio out.
    Only the bootstrap draws: a part of a market is one episode.
    """
    trials, split = Trials.of(terms.trials), terms.split
    if terms.full and split == "test" and trials is None:
        raise ConfigError(
            "a Sharpe ratio of the test part says nothing without the number of trials it is the best of: "
            "give Terms(..., trials=), which counts this run as one"
        )
    feed = feed.to("cpu")
    path = rollout(feed, AgentDriver(feed, agent), split=split, name=AGENT)
    return _full(feed, path, split, terms.seed, trials) if terms.full else _quick(feed, path, split, trials)


def _quick(feed: Any, path: PortfolioPath, split: str, trials: Trials | None) -> Verdict:
    found = describe(path, path.returns - risk_free(feed, split))
    metrics = {name: found[name] for name in _QUICK if trials or split != "test" or name != "sharpe"}
    line = ", ".join(f"{name} {value:.3g}" for name, value in metrics.items())
    return Verdict(split, found["growth"], metrics, (f"{split}: {line}",))


def _full(feed: Any, path: PortfolioPath, split: str, seed: int, trials: Trials | None) -> Verdict:
    paths = (path, *baseline_paths(feed, split=split))
    rows, resamples = compare(paths, trials, seed)
    comparison = Comparison(
        paths=paths,
        measures=rows,
        resamples=resamples,
        trials=trials,
        split=split,
        feed=feed.spec.name,
        source=feed.bars.source,
        digest=feed.bars.digest,
        clock=feed.spec.clock,
        notes=tuple(feed.bars.notes),
    )
    return Verdict(split, rows[0]["growth"], full_metrics(comparison), table(comparison), comparison)


def full_metrics(comparison: Comparison) -> dict[str, float]:
    """A dozen numbers under stable keys; `excess_sharpe` is over equal weight, paired."""
    own = comparison.interval("sharpe", AGENT)
    over = comparison.difference("sharpe")
    return {name: comparison.measures[0][name] for name in _FULL} | {
        "sharpe_low": own.low,
        "sharpe_high": own.high,
        "excess_sharpe": over.estimate,
        "excess_sharpe_low": over.low,
        "excess_sharpe_high": over.high,
    }


def risk_free(feed: Any, split: str) -> Any:
    """Simple returns of cash on each bar of the part; a rate of zero needs no rollout."""
    if feed.config.costs.cash_rate == 0.0:
        return 0.0
    return rollout(feed, TargetDriver(feed, cash(feed)), split=split, name="cash").returns


def play(feed: Any, agent: Agent, showing: Showing) -> Iterator[str]:
    """One line for each decision: the close it led to, wealth, what was traded, and the largest weights."""
    if showing.video is not None or showing.human or showing.values:
        raise ConfigError("--video, --human and --values are for games: a market has no picture")
    feed = feed.to("cpu")
    width = len(str(feed.bars.timestamp[0].astype(_unit(feed.bars.timestamp))))
    yield f"{'close':<{width}}  {'wealth':>16}  {'return':>8}  {'turnover':>8}  largest weights"
    for tick in episode(feed, AgentDriver(feed, agent), split=showing.split):
        info = tick.info
        close = feed.bars.timestamp[int(info["bar"])].astype(_unit(feed.bars.timestamp))
        earned = np.expm1(info["log_return"][: int(info["bar"]) - tick.decided].sum())
        flags = " projected" * bool(info["projected"]) + " RUINED" * bool(info["ruined"])
        yield (
            f"{close!s:<{width}}  {info['wealth']:>16,.2f}  {earned:>+8.2%}  {info['turnover']:>8.1%}  "
            f"{largest(info['weights'], feed.bars.symbols)}{flags}"
        )


def largest(weights: np.ndarray, symbols: tuple[str, ...], count: int = 4) -> str:
    """The heaviest holdings and the cash, as in "AAPL 31 %, XOM 20 %, cash 5 %"."""
    order = np.argsort(-np.abs(weights), kind="stable")[:count]
    named = [f"{symbols[i]} {weights[i]:.0%}" for i in order if abs(weights[i]) >= 0.005]
    return ", ".join([*named, f"cash {1.0 - weights.sum():.0%}"])


def _unit(timestamp: np.ndarray) -> str:
    """Days where bars are days, else minutes."""
    days = len(timestamp) < 2 or np.median(np.diff(timestamp)) >= np.timedelta64(1, "D")
    return "datetime64[D]" if days else "datetime64[m]"
