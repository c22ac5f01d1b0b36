import numpy as np
import pytest

from feeds.errors import FeedError
from feeds.synthetic.worlds import GARCH, REVERSION, WORLDS, autoregression, world_bars


@pytest.mark.parametrize("name", WORLDS)
def test_a_world_is_a_path_for_each_seed(name: str) -> None:
    one, same, other = world_bars(name, 3), world_bars(name, 3), world_bars(name, 4)
    np.testing.assert_array_equal(one.close, same.close)
    assert one.digest == same.digest != other.digest
    assert one.source == name
    assert one.close.shape == one.listed.shape == one.tradable.shape == (len(one.timestamp), len(one.symbols))
    assert (one.close > 0.0).all()
    assert one.tradable.all()
    assert (np.diff(one.timestamp) > np.timedelta64(0)).all()


def test_an_unknown_world_names_the_nearest() -> None:
    with pytest.raises(FeedError, match="did you mean 'synthetic-regimes'"):
        world_bars("synthetic-regime", 0)


def test_brownian_prices_are_martingales() -> None:
    bars = world_bars("synthetic-brownian", 0)
    assert bars.close.shape == (5_000, 5)
    simple = bars.close[1:] / bars.close[:-1] - 1.0
    error = simple.std(0) / np.sqrt(len(simple))
    assert (np.abs(simple.mean(0)) < 4.0 * error).all()
    for lag in (1, 5):  # nothing of the past tells the next return
        related = [np.corrcoef(column[:-lag], column[lag:])[0, 1] for column in simple.T]
        assert np.abs(related).max() < 4.0 / np.sqrt(len(simple))


def test_mean_reversion_publishes_its_deviation_from_the_fair_price() -> None:
    bars = world_bars("synthetic-mean-reverting", 0)
    deviation = bars.extras["deviation"][:, 0]
    assert bars.close.shape == (40_000, 1)
    np.testing.assert_allclose(bars.close[:, 0], REVERSION.fair_price * np.exp(deviation), rtol=1e-12)
    slope = (deviation[:-1] @ deviation[1:]) / (deviation[:-1] @ deviation[:-1])
    assert slope == pytest.approx(REVERSION.rho, abs=0.015)
    assert deviation.std() == pytest.approx(REVERSION.deviation, rel=0.05)
    assert (deviation[1:] - slope * deviation[:-1]).std() == pytest.approx(REVERSION.volatility, rel=0.02)


def test_an_autoregression_begins_in_its_long_run_law() -> None:
    noise = np.random.default_rng(0).standard_normal((3, 4_000))
    first = autoregression(noise[:, 0], REVERSION)[0]
    assert first == pytest.approx(REVERSION.deviation * noise[0, 0])


def test_regimes_come_in_stretches_of_calm_and_of_fear() -> None:
    bars = world_bars("synthetic-regimes", 0)
    market = np.diff(np.log(bars.close), axis=0).mean(1)
    windows = market[: len(market) // 20 * 20].reshape(-1, 20)
    spread, mean = windows.std(1), windows.mean(1)
    assert np.quantile(spread, 0.9) > 2.0 * np.quantile(spread, 0.25)
    assert mean[spread < np.median(spread)].mean() > mean[spread > np.quantile(spread, 0.9)].mean()


def test_volatility_clusters_and_returns_do_not() -> None:
    bars = world_bars("synthetic-volatility", 0)
    returns = np.diff(np.log(bars.close), axis=0)
    squares = returns**2
    clustered = [np.corrcoef(column[:-1], column[1:])[0, 1] for column in squares.T]
    related = [np.corrcoef(column[:-1], column[1:])[0, 1] for column in returns.T]
    assert np.mean(clustered) > 0.1
    assert np.abs(related).max() < 0.08
    assert squares.mean() == pytest.approx(GARCH.variance, rel=0.25)
