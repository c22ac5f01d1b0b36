"""Intervals hold what they promise, differences are paired, chance comes from the generator alone."""

import numpy as np
import pytest

from angle_domains.evaluation import bootstrap
from angle_domains.evaluation.bootstrap import Resamples, block_length, draws, resample

RISK = 0.01


def autoregressive(phi: float, length: int, series: int, generator: np.random.Generator) -> np.ndarray:
    noise = generator.normal(size=(series, length + 50))
    for t in range(1, length + 50):
        noise[:, t] += phi * noise[:, t - 1]
    return noise[:, 50:] * RISK


def draw(excess: np.ndarray, seed: int = 0, count: int = 200) -> Resamples:
    return resample(np.log1p(excess), excess, periods=1.0, generator=np.random.default_rng(seed), count=count)


def coverage(phi: float, sets: int = 150, length: int = 150) -> tuple[float, float]:
    """How often the intervals of a Sharpe ratio and of a difference hold the truth."""
    own = paired = 0
    for seed in range(sets):
        generator = np.random.default_rng(seed)
        mean = 0.1 * RISK
        found = draw(mean + autoregressive(phi, length, 2, generator), seed)
        truth = 0.1 * np.sqrt(1 - phi**2)
        interval = found.interval("sharpe", 0)
        own += interval.low <= truth <= interval.high
        paired += found.difference("sharpe", 0, 1).includes_zero
    return own / sets, paired / sets


@pytest.mark.parametrize(("phi", "least"), [(0.0, 0.90), (0.3, 0.86)])
def test_intervals_cover_the_truth(phi: float, least: float) -> None:
    own, paired = coverage(phi)
    assert least <= own <= 0.985
    assert least <= paired <= 0.985


def test_blocks_are_what_covers_dependent_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    with_blocks, _ = coverage(0.6, sets=40)
    monkeypatch.setattr(bootstrap, "block_length", lambda series: 1.0)
    without, _ = coverage(0.6, sets=40)
    assert without < with_blocks - 0.1


def test_blocks_grow_with_dependence() -> None:
    generator = np.random.default_rng(0)
    independent = block_length(autoregressive(0.0, 2000, 1, generator))
    dependent = block_length(autoregressive(0.7, 2000, 1, generator))
    assert 1.0 <= independent < 5.0 < dependent
    assert block_length(np.zeros((2, 500))) == 1.0  # nothing moves
    assert block_length(generator.normal(size=(1, 10))) == 1.0  # too short to tell


def test_equal_portfolios_do_not_differ() -> None:
    series = autoregressive(0.0, 150, 1, np.random.default_rng(1))
    same = draw(np.concatenate([series, series]))
    for measure in ("sharpe", "cagr", "max_drawdown", "calmar"):
        difference = same.difference(measure, 0, 1)
        assert (difference.low, difference.estimate, difference.high) == (0.0, 0.0, 0.0)
        assert difference.includes_zero


def test_what_the_market_did_cancels_out() -> None:
    generator = np.random.default_rng(2)
    market = generator.normal(0.0002, RISK, 500)
    better = market + generator.normal(0.001, RISK / 20, 500)
    found = draw(np.stack([better, market]))
    own, over = found.interval("sharpe", 0), found.difference("sharpe", 0, 1)
    assert over.high - over.low < (own.high - own.low) / 3
    assert over.low > 0.0
    assert over.above == 1.0
    assert found.difference("sharpe", 1, 0).high < 0.0


def test_chance_comes_from_the_generator_alone() -> None:
    series = autoregressive(0.2, 120, 3, np.random.default_rng(3))
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = draw(series, seed=5), draw(series, seed=5), draw(series, seed=6)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    np.testing.assert_array_equal(first.drawn["sharpe"], again.drawn["sharpe"])
    assert not np.array_equal(first.drawn["sharpe"], other.drawn["sharpe"])


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    series = autoregressive(0.2, 100, 2, np.random.default_rng(4))
    whole = draw(series, count=30)
    monkeypatch.setattr(bootstrap, "_ELEMENTS", 7 * 200)
    pieces = draw(series, count=30)
    assert whole.count == pieces.count == 30
    np.testing.assert_array_equal(whole.drawn["max_drawdown"], pieces.drawn["max_drawdown"])


def test_draws_keep_neighbours_together() -> None:
    index = next(iter(draws(1000, 50.0, count=20, portfolios=1, generator=np.random.default_rng(0))))
    assert index.shape == (20, 1000)
    follows = (np.diff(index) % 1000 == 1).mean()
    assert follows == pytest.approx(1 - 1 / 50, abs=0.01)


def test_estimates_are_those_of_the_series_itself() -> None:
    series = autoregressive(0.0, 60, 2, np.random.default_rng(5))
    found = draw(series)
    assert found.interval("sharpe", 1).estimate == pytest.approx(series[1].mean() / series[1].std(ddof=1))
    assert found.interval("growth", 0).estimate == pytest.approx(np.log1p(series[0]).mean())


def test_cash_has_an_interval_of_nothing() -> None:
    series = np.stack([autoregressive(0.0, 60, 1, np.random.default_rng(6))[0], np.zeros(60)])
    cash = draw(series).interval("sharpe", 1)
    assert (cash.low, cash.estimate, cash.high) == (0.0, 0.0, 0.0)
