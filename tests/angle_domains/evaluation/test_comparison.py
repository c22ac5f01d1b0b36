"""Rows of the comparison by hand, and what belongs to whom."""

import numpy as np
import pytest

from angle_domains.evaluation.comparison import compare, describe, excess_returns
from angle_domains.evaluation.rollout import PortfolioPath
from angle_domains.evaluation.skill import Trials


def make_path(name: str, returns: np.ndarray, gross: float = 0.0, weights: np.ndarray | None = None) -> PortfolioPath:
    bars = len(returns)
    stamps = np.datetime64("2020-01-01", "us") + np.arange(bars) * np.timedelta64(1, "D")
    return PortfolioPath(
        name=name,
        start=stamps[0] - np.timedelta64(1, "D"),
        timestamp=stamps,
        log_return=np.log1p(returns),
        gross_log_return=np.log1p(returns) + gross,
        closed=np.arange(bars),
        weights=np.full((bars, 2), 0.5) if weights is None else weights,
        turnover=np.full(bars, 0.1),
        cost=np.full(bars, 0.001),
        projected=np.arange(bars) % 4 == 0,
        symbols=("A", "B"),
        periods_per_year=20.0,
    )


def test_a_path_described_by_hand() -> None:
    returns = np.full(40, 0.001)
    returns[[3, 9, 30]] = -0.05, -0.03, -0.01
    found = describe(make_path("agent", returns, gross=0.002), returns)
    assert found["growth"] == pytest.approx(np.log1p(returns).sum() / 2)  # 40 bars are two years
    assert found["cost_drag"] == pytest.approx(np.expm1(found["growth"] + 20 * 0.002) - found["cagr"])
    assert found["turnover"] == pytest.approx(0.1 * 40 / 2)
    assert found["cvar"] == pytest.approx((0.05 + 0.03) / 2)  # the worst 5 % are two bars
    assert 0.01 <= found["value_at_risk"] <= 0.03
    assert found["hit_rate"] == pytest.approx(37 / 40)
    assert found["projected"] == pytest.approx(1 / 4)
    assert found["exposure"] == 1.0
    assert found["herfindahl"] == 0.5
    # under water from bar 3 to the end, as 31 gains of 0.001 do not make up for 0.05 and 0.03
    assert found["drawdown_years"] == pytest.approx(37 / 20)
    assert found["max_drawdown"] == pytest.approx(0.95 * 1.001**5 * 0.97 - 1.0)


def test_excess_is_over_cash_bar_by_bar() -> None:
    own, cash = np.array([0.01, 0.02, -0.01]), np.array([0.001, 0.002, 0.003])
    found = excess_returns((make_path("agent", own), make_path("cash", cash)))
    np.testing.assert_allclose(found, [own - cash, np.zeros(3)], atol=1e-15)


def test_alpha_and_beta_are_to_equal_weight() -> None:
    market = np.random.default_rng(0).normal(0.0, 0.01, 60)
    paths = (
        make_path("agent", 0.0005 + 2.0 * market),
        make_path("equal weight", market),
        make_path("cash", np.zeros(60)),
    )
    rows, resamples = compare(paths, Trials(3), seed=0)
    assert rows[0]["beta"] == pytest.approx(2.0)
    assert rows[0]["alpha"] == pytest.approx(0.0005 * 20)
    assert rows[1]["beta"] == pytest.approx(1.0)
    assert rows[0]["dsr"] < rows[0]["psr"]
    assert resamples.count == 2_000
