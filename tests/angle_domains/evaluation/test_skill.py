"""Probabilistic and deflated Sharpe ratios against the numbers of Bailey and Lopez de Prado (2014)."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import norm

from angle_domains.errors import ConfigError
from angle_domains.evaluation.skill import Trials, deflated_sharpe, lucky_sharpe, probabilistic_sharpe

BARS, YEAR = 1250, 250.0  # the paper's example: five years of days


@pytest.fixture
def paper() -> np.ndarray:
    """Annual Sharpe ratio 2.5, skewness -3, kurtosis 10: two values (kurtosis = skewness² + 1), the low 105 times."""
    series = np.ones(BARS)
    series[:105] = 0.0
    series = (series - series.mean()) / series.std(ddof=1)
    return series + 2.5 / np.sqrt(YEAR)


def spread(variance: float, count: int) -> tuple[float, ...]:
    """Sharpe ratios with exactly that sample variance."""
    values = np.linspace(-1.0, 1.0, count)
    return tuple(values / values.std(ddof=1) * np.sqrt(variance))


def test_the_luckiest_of_a_hundred_trials() -> None:
    assert lucky_sharpe(BARS, Trials(100, spread(0.5, 100)), YEAR) == pytest.approx(0.1132, abs=5e-5)


@pytest.mark.parametrize(("trials", "published"), [(100, 0.9004), (46, 0.9505)])
def test_deflated_sharpe_as_published(paper: np.ndarray, trials: int, published: float) -> None:
    assert deflated_sharpe(paper, Trials(trials, spread(0.5, trials)), YEAR) == pytest.approx(published, abs=1e-3)


def test_probabilistic_sharpe_by_hand() -> None:
    series = np.array([0.02, -0.01, 0.02, -0.01, 0.02, -0.01, 0.02, -0.01, 0.02, -0.01])
    ratio = 0.005 / np.sqrt(10 * 0.015**2 / 9)  # skewness 0, kurtosis 1: no correction but the length
    assert probabilistic_sharpe(series) == pytest.approx(norm.cdf(ratio * 3.0))
    assert probabilistic_sharpe(series - 0.005) == pytest.approx(0.5)


def test_one_trial_needs_no_deflation(paper: np.ndarray) -> None:
    assert deflated_sharpe(paper, Trials(1), YEAR) == probabilistic_sharpe(paper)


def test_more_trials_leave_less_skill(paper: np.ndarray) -> None:
    series = paper - 1.5 / np.sqrt(YEAR)
    found = [deflated_sharpe(series, Trials(count), YEAR) for count in (1, 2, 5, 20, 100, 1000)]
    assert all(later < earlier for earlier, later in pairwise(found))


def test_few_known_trials_fall_back_on_the_standard_error() -> None:
    expected = lucky_sharpe(BARS, Trials(10, spread(YEAR / (BARS - 1), 10)), YEAR)
    assert lucky_sharpe(BARS, Trials(10), YEAR) == pytest.approx(expected)
    assert lucky_sharpe(BARS, Trials(10, (0.5, 0.5, 0.5, 0.5)), YEAR) == pytest.approx(expected)
    assert lucky_sharpe(BARS, Trials(10, (0.5, 0.5, 0.5, 0.5, float("nan"))), YEAR) == pytest.approx(expected)


def test_no_risk_has_no_probability() -> None:
    assert np.isnan(probabilistic_sharpe(np.zeros(50)))
    assert np.isnan(deflated_sharpe(np.zeros(50), Trials(3), YEAR))


def test_a_run_is_its_own_first_trial() -> None:
    assert Trials.of(7) == Trials(7)
    assert Trials.of(None) is None
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        Trials(0)
