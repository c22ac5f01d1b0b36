"""The judge: stable keys, no Sharpe ratio without trials, words that follow the interval."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from angle_domains.errors import ConfigError
from angle_domains.evaluation import Terms, Verdict
from angle_domains.evaluation.bootstrap import Interval
from angle_domains.evaluation.comparison import Comparison
from angle_domains.evaluation.market import judge, largest, play
from angle_domains.evaluation.skill import Trials
from angle_domains.evaluation.words import bounds, count, sentence
from angle_domains.showing import Showing
from feeds.market.config import Costs
from feeds.market.feed import MarketFeed
from tests.portfolios import Rule, fixed, make_bars, make_feed, random_closes, wandering

KEYS = {
    "sharpe",
    "sharpe_low",
    "sharpe_high",
    "cagr",
    "volatility",
    "max_drawdown",
    "turnover",
    "cost_drag",
    "dsr",
    "excess_sharpe",
    "excess_sharpe_low",
    "excess_sharpe_high",
}


@pytest.fixture(scope="module")
def feed() -> MarketFeed:
    return make_feed(random_closes(500, 3), costs=Costs())


@pytest.fixture(scope="module")
def verdict(feed: MarketFeed) -> Verdict:
    return judge(feed, wandering(3), Terms("test", trials=4))


def leader(assets: int = 3) -> MarketFeed:
    """A market in which the first asset rises and the others fall."""
    close = random_closes(500, assets)
    close *= np.exp(np.outer(np.arange(500), [0.004, *[-0.003] * (assets - 1)]))
    return make_feed(close)


def test_a_full_verdict_has_a_dozen_stable_keys(verdict: Verdict) -> None:
    assert set(verdict.metrics) == KEYS
    assert all(math.isfinite(value) for value in verdict.metrics.values())
    assert verdict.split == "test"


def test_metrics_agree_with_what_they_are_made_of(verdict: Verdict) -> None:
    comparison, metrics = verdict.detail, verdict.metrics
    path = comparison.agent
    assert verdict.score == pytest.approx(path.log_return.sum() / path.years)
    assert metrics["cagr"] == pytest.approx(math.expm1(verdict.score))
    assert metrics["sharpe_low"] < metrics["sharpe"] < metrics["sharpe_high"]
    own, benchmark = comparison.measures[0]["sharpe"], comparison.measures[1]["sharpe"]
    assert metrics["excess_sharpe"] == pytest.approx(own - benchmark)
    assert metrics["turnover"] == pytest.approx(path.turnover.sum() / path.years)
    gross = math.expm1(path.gross_log_return.sum() / path.years)
    assert metrics["cost_drag"] == pytest.approx(gross - metrics["cagr"])
    assert metrics["cost_drag"] > 0.0


def test_no_sharpe_of_the_test_part_without_the_number_of_trials(feed: MarketFeed) -> None:
    with pytest.raises(ConfigError, match="number of trials"):
        judge(feed, fixed(0.3, 0.3, 0.3), Terms("test"))
    quick = judge(feed, fixed(0.3, 0.3, 0.3), Terms("test", full=False))
    assert not any("sharpe" in name for name in quick.metrics)
    assert "sharpe" not in " ".join(quick.lines)
    assert "sharpe" in judge(feed, fixed(0.3, 0.3, 0.3), Terms("test", full=False, trials=1)).metrics


def test_a_quick_verdict_scores_like_a_full_one(feed: MarketFeed) -> None:
    quick = judge(feed, wandering(3), Terms("validation", full=False))
    full = judge(feed, wandering(3), Terms("validation", full=True))
    assert quick.score == full.score
    assert quick.metrics["sharpe"] == full.metrics["sharpe"]
    assert set(quick.metrics) == {"growth", "sharpe", "max_drawdown", "turnover", "projected"}
    assert quick.detail is None
    assert set(full.metrics) == KEYS
    assert math.isnan(full.metrics["dsr"])  # no trials, no deflation


@pytest.mark.parametrize("rate", [0.0, 0.04])
def test_the_risk_free_rate_is_what_cash_earns(rate: float) -> None:
    feed = make_feed(random_closes(300, 2), costs=Costs(cash_rate=rate))
    path_sharpe = judge(feed, fixed(0.5, 0.5), Terms("validation")).metrics["sharpe"]
    assert judge(feed, fixed(0.5, 0.5), Terms("validation", full=False)).metrics["sharpe"] == pytest.approx(path_sharpe)
    returns = judge(feed, fixed(0.5, 0.5), Terms("validation")).detail.agent.returns - rate / 252
    assert path_sharpe == pytest.approx(returns.mean() / returns.std(ddof=1) * np.sqrt(252))


def test_an_agent_in_cash_is_judged_too(feed: MarketFeed) -> None:
    verdict = judge(feed, fixed(0.0, 0.0, 0.0), Terms("test", trials=2))
    assert verdict.score == verdict.metrics["sharpe"] == verdict.metrics["turnover"] == 0.0
    assert math.isnan(verdict.metrics["dsr"])
    assert verdict.lines[-1].startswith(("No skill shown", "Worse"))


def test_equal_weight_itself_shows_no_skill(feed: MarketFeed) -> None:
    verdict = judge(feed, fixed(1 / 3, 1 / 3, 1 / 3), Terms("test", trials=1))
    assert verdict.metrics["excess_sharpe"] == pytest.approx(0.0, abs=1e-4)
    assert verdict.lines[-1].startswith("No skill shown")
    assert "less than 0.01" in verdict.lines[-1]


def test_skill_is_said_and_so_is_its_lack() -> None:
    market = leader()
    best = judge(market, fixed(1.0, 0.0, 0.0), Terms("test", trials=1))
    worst = judge(market, fixed(0.0, 0.5, 0.5), Terms("test", trials=1))
    assert best.lines[-1].startswith("Better than equal weight: the Sharpe ratio is higher by ")
    assert best.metrics["excess_sharpe_low"] > 0.0
    assert "It stands after 1 trial" in best.lines[-1]
    assert worst.lines[-1].startswith("Worse than equal weight: the Sharpe ratio is lower by ")
    assert worst.metrics["excess_sharpe_high"] < 0.0


def test_many_trials_turn_skill_into_luck() -> None:
    market = leader()
    wide = tuple(np.linspace(-6.0, 6.0, 30))
    verdict = judge(market, fixed(1.0, 0.0, 0.0), Terms("test", trials=Trials(1000, wide)))
    assert "But the best of 1,000 trials may be this good by luck" in verdict.lines[-1]
    assert verdict.metrics["dsr"] < 0.95


def test_words_for_an_interval_that_touches_zero(verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Comparison, "difference", lambda self, measure, other="": Interval(0.4, 0.0, 0.9, 0.97))
    assert sentence(verdict.detail).startswith("No skill shown: the Sharpe ratio differs")
    assert "by +0.40" in sentence(verdict.detail)
    monkeypatch.setattr(Comparison, "difference", lambda self, measure, other="": Interval(0.4, 0.01, 0.9, 0.99))
    assert sentence(verdict.detail).startswith("Better")
    monkeypatch.setattr(Comparison, "difference", lambda self, measure, other="": Interval(-0.004, -0.006, -0.002, 0.0))
    assert sentence(verdict.detail).endswith("differs from that of equal weight by less than 0.01.")
    monkeypatch.setattr(Comparison, "difference", lambda self, measure, other="": Interval(-0.1, -0.3, -0.004, 0.0))
    assert sentence(verdict.detail).startswith("Worse than equal weight: the Sharpe ratio is lower by 0.10, the 95%")
    missing = Interval(0.4, float("nan"), float("nan"), float("nan"))
    monkeypatch.setattr(Comparison, "difference", lambda self, measure, other="": missing)
    assert sentence(verdict.detail).startswith("No skill shown")


def test_the_terminal_table_has_a_line_for_each_portfolio(verdict: Verdict) -> None:
    head, columns, *rows, last = verdict.lines
    assert "best of 4 trials" in head
    assert "test part" in head
    for word in ("Sharpe", "CAGR", "max DD", "turnover/y"):
        assert word in columns
    assert [row.split("  ")[0] for row in rows] == ["agent", "equal weight", "buy and hold", "minimum variance", "cash"]
    assert f"{verdict.metrics['sharpe']:.2f}" in rows[0]
    assert max(map(len, (head, columns, *rows))) <= 80
    assert last == sentence(verdict.detail)


def test_one_seed_gives_one_verdict(feed: MarketFeed) -> None:
    first, again, other = (judge(feed, wandering(3), Terms("test", trials=4, seed=seed)).metrics for seed in (0, 0, 1))
    assert first == again
    assert first["sharpe_low"] != other["sharpe_low"]
    assert first["sharpe"] == other["sharpe"]


def test_the_detail_names_data_and_notes(feed: MarketFeed) -> None:
    noted = make_feed(replace(feed.bars, notes=("survivors only",), digest="abc"))
    detail = judge(noted, fixed(0.3, 0.3, 0.3), Terms("test", trials=1)).detail
    assert (detail.source, detail.digest, detail.notes) == ("made up", "abc", ("survivors only",))


def test_play_tells_each_decision() -> None:
    market = make_feed(random_closes(60, 3), costs=Costs())
    head, *lines = play(market, fixed(0.5, 0.3, 0.0), Showing(split="test"))
    assert len(lines) == len(market.parts["test"]) - 1
    assert "wealth" in head
    assert lines[0].startswith(str(market.bars.timestamp[market.parts["test"].start + 1].astype("datetime64[D]")))
    assert lines[0].endswith("A0 50%, A1 30%, cash 20%")
    assert "999,200" in lines[0]  # 0.8 traded at ten basis points
    assert "projected" not in "".join(lines)
    assert "projected" in next(line for line in list(play(market, fixed(2.0, 2.0, 2.0), Showing(split="test")))[1:])


def test_a_market_has_no_picture() -> None:
    with pytest.raises(ConfigError, match="no picture"):
        next(play(make_feed(random_closes(60, 2)), fixed(0.5, 0.5), Showing(video=Path("film.mp4"))))


def test_play_of_intraday_bars_tells_the_time() -> None:
    market = make_feed(make_bars(random_closes(60, 2), every="h"))
    lines = list(play(market, fixed(0.5, 0.5), Showing(split="test")))
    assert lines[1][:16] == str(market.bars.timestamp[market.parts["test"].start + 1])[:16]


def test_largest_holdings_lead() -> None:
    assert largest(np.array([0.1, -0.5, 0.0, 0.3]), ("A", "B", "C", "D")) == "B -50%, D 30%, A 10%, cash 110%"
    assert largest(np.zeros(2), ("A", "B")) == "cash 100%"


def test_bounds_and_counts() -> None:
    assert bounds(Interval(0.1, -0.25, 0.5, 0.6)) == "[-0.25, 0.50]"
    assert (count(1, "trial"), count(1200, "trial")) == ("1 trial", "1,200 trials")


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_on_the_train_part_too_all_paths_cover_the_same_dates(seed: int) -> None:
    feed = make_feed(random_closes(500, 3), costs=Costs(cash_rate=0.02))
    paths = judge(feed, wandering(3), Terms("train", seed=seed)).detail.paths
    assert len({path.timestamp.tobytes() for path in paths}) == 1
    assert paths[0].timestamp[-1] == feed.bars.timestamp[feed.parts["train"].stop - 1]


def test_judging_leaves_the_agent_alone(feed: MarketFeed) -> None:
    agent: Rule = fixed(0.2, 0.2, 0.2)
    judge(feed, agent, Terms("validation", full=False))
    assert not any(agent.explored)  # and `learn` and `load_state_dict` raise
