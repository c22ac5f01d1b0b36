"""Every measure against numbers worked out by hand."""

import numpy as np
import pytest

from angle_domains.evaluation import measures

RETURNS = np.array([0.10, -0.05, 0.02, 0.03])  # mean 0.025, squared deviations sum to 0.0113
WEALTH = np.log([1.1, 0.8, 1.125, 4 / 3])  # 1.1, 0.88, 0.99, 1.32


def test_sharpe_is_mean_over_sample_deviation() -> None:
    assert measures.sharpe(RETURNS, 4.0) == pytest.approx(0.025 / np.sqrt(0.0113 / 3) * 2)
    assert measures.sharpe(RETURNS, 4.0) == pytest.approx(0.814688, abs=1e-6)


def test_sortino_divides_by_all_bars() -> None:
    assert measures.sortino(RETURNS, 4.0) == pytest.approx(0.025 / np.sqrt(0.05**2 / 4) * 2)  # = 2
    assert measures.sortino(RETURNS, 4.0) == pytest.approx(2.0)


def test_volatility_grows_with_the_root_of_time() -> None:
    assert measures.volatility(RETURNS, 4.0) == pytest.approx(0.122746, abs=1e-6)
    assert measures.volatility(RETURNS, 16.0) == pytest.approx(2 * measures.volatility(RETURNS, 4.0))


@pytest.mark.parametrize(("periods", "expected"), [(4.0, 0.32), (2.0, np.sqrt(1.32) - 1), (8.0, 1.32**2 - 1)])
def test_cagr_compounds(periods: float, expected: float) -> None:
    assert measures.cagr(WEALTH, periods) == pytest.approx(expected)
    assert measures.growth(WEALTH, periods) == pytest.approx(np.log(1.32) * periods / 4)


def test_drawdown_is_from_the_highest_wealth_so_far() -> None:
    np.testing.assert_allclose(measures.drawdown(WEALTH), [0.0, -0.2, -0.1, 0.0], atol=1e-12)
    assert measures.max_drawdown(WEALTH) == pytest.approx(-0.2)
    assert measures.drawdown_bars(WEALTH) == 2
    assert measures.calmar(WEALTH, 4.0) == pytest.approx(0.32 / 0.2)


def test_drawdown_counts_the_start_as_a_peak_and_an_open_end() -> None:
    falling = np.log([0.9, 1.1, 0.9])  # 0.9, 0.99, 0.891: never back at 1
    np.testing.assert_allclose(measures.drawdown(falling), [-0.1, -0.01, -0.109], atol=1e-12)
    assert measures.drawdown_bars(falling) == 3
    assert measures.drawdown_bars(np.log([1.1, 1.1])) == 0


def test_longest_run_is_unbroken() -> None:
    assert measures.longest_run(np.array([True, False, True, True, False, True])) == 2
    assert measures.longest_run(np.array([False, False])) == 0


def test_hit_rate_counts_gains_alone() -> None:
    assert measures.hit_rate(np.array([0.1, 0.0, -0.1, 0.2])) == 0.5


def test_alpha_and_beta_of_an_exact_line() -> None:
    market = np.array([0.01, 0.03, -0.02, 0.02])
    alpha, beta = measures.alpha_beta(0.001 + 1.5 * market, market, 252.0)
    assert alpha == pytest.approx(0.252)
    assert beta == pytest.approx(1.5)
    assert measures.alpha_beta(market * 0.0, market, 252.0) == (0.0, 0.0)


def test_exposure_and_concentration() -> None:
    weights = np.array([[0.5, 0.5], [1.0, 0.0], [0.0, 0.0]])
    assert measures.exposure(weights) == pytest.approx(2 / 3)
    assert measures.herfindahl(weights) == pytest.approx((0.5 + 1.0) / 2)  # cash has no concentration
    assert measures.herfindahl(np.array([[0.1, 0.1, 0.1, 0.1]])) == pytest.approx(0.25)  # whatever the cash
    short = np.array([[1.0, -0.5]])
    assert measures.exposure(short) == pytest.approx(1.5)
    assert measures.herfindahl(short) == pytest.approx((4 + 1) / 9)
    assert np.isnan(measures.herfindahl(np.zeros((3, 2))))


def test_nothing_over_nothing_is_nothing_but_something_over_nothing_is_unknown() -> None:
    still = np.zeros(5)
    assert measures.sharpe(still, 252.0) == measures.sortino(still, 252.0) == measures.calmar(still, 252.0) == 0.0
    assert np.isnan(measures.sharpe(still + 0.01, 252.0))
    assert np.isnan(measures.sortino(np.array([0.01, 0.02]), 252.0))


def test_rolling_sharpe_is_that_of_each_window() -> None:
    series = np.random.default_rng(0).normal(size=12)
    rolled = measures.rolling_sharpe(series, 5, 252.0)
    assert np.isnan(rolled[:4]).all()
    for end in range(5, 13):
        assert rolled[end - 1] == pytest.approx(measures.sharpe(series[end - 5 : end], 252.0))
    assert np.isnan(measures.rolling_sharpe(series, 13, 252.0)).all()


def test_one_formula_serves_a_series_and_a_stack() -> None:
    stack = np.random.default_rng(1).normal(0.0, 0.01, (3, 4, 50))
    for measure in (measures.sharpe, measures.sortino, measures.volatility, measures.cagr, measures.calmar):
        found = measure(stack, 252.0)
        assert found.shape == (3, 4)
        assert found[2, 1] == pytest.approx(measure(stack[2, 1], 252.0))
