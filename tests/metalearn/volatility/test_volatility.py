"""Forecasts of variance: by hand, causal, right where the truth is known, and no worse than GARCH on the S&P 500."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from feeds.errors import FeedError
from feeds.market.bars import Bars
from feeds.market.config import MarketConfig
from feeds.market.read import read_bars
from metalearn.forecasting.quantiles import LEVELS
from metalearn.settings import VolatilityConfig
from metalearn.volatility.filtered import Filtered
from metalearn.volatility.forecaster import VolatilityForecaster
from metalearn.volatility.garch import Garch, walk
from metalearn.volatility.har import MONTH, LogHar, features
from metalearn.volatility.measures import backtest, diebold_mariano, pinball_at, qlike, qlike_of_proxy
from metalearn.volatility.range_variance import Days, range_variance

QUICK = VolatilityConfig(least=60, refit=20)


def days_of(rows: int, assets: int = 2, *, seed: int = 0) -> tuple[Days, Tensor]:
    """Days whose log variance follows an AR(1) of 0.95, and the true variance; ranges tell it within a factor."""
    drawn = torch.Generator().manual_seed(seed)
    noise = torch.randn(3, rows, assets, generator=drawn, dtype=torch.float64)
    log = torch.zeros(rows, assets, dtype=torch.float64)
    for day in range(1, rows):
        log[day] = 0.95 * log[day - 1] + 0.25 * noise[0, day]
    variance = log.exp()
    return Days(variance.sqrt() * noise[1], 0.7 * variance * (0.3 * noise[2]).exp()), variance


def test_the_range_by_hand() -> None:
    move = math.exp(2.0 * math.sqrt(math.log(2.0)) / 100.0)  # whose Parkinson variance is 1
    low, before = torch.tensor([50.0, 50.0, 50.0]), torch.tensor([50.0, 50.0, 50.0 / math.exp(0.01)])
    found = range_variance(torch.full((3,), 50.0), torch.tensor([50.0, 50.0 * move, 50.0 * move]), low, before)
    assert found.tolist() == pytest.approx([0.0, 1.0, 2.0], abs=1e-3)


def bars_of(close: np.ndarray) -> Bars:
    everywhere = np.ones(close.shape, bool)
    stamp = np.datetime64("2020-01-01", "us") + np.arange(len(close)) * np.timedelta64(1, "D")
    symbols = tuple(f"S{number}" for number in range(close.shape[1]))
    return Bars(stamp, symbols, close, everywhere, everywhere, open=close, high=close, low=close)


def test_days_of_bars() -> None:
    bars = bars_of(np.array([[100.0, np.nan], [100.0 * math.e, 50.0], [100.0 * math.e, 50.0]]))
    days = Days.of(bars)
    assert days.change[:, 0].tolist() == pytest.approx([100.0, 0.0])
    assert days.variance[:, 0].tolist() == pytest.approx([10_000.0, 1e-4])  # a day that stood still: the floor
    assert days.change[:, 1].isnan().tolist() == [True, False]  # listed on the second day, without a close before
    halted = replace(bars, tradable=np.array([[True, True], [True, True], [False, True]]))
    assert Days.of(halted).change[:, 0].isnan().tolist() == [False, True]
    with pytest.raises(FeedError, match="high and low"):
        Days.of(replace(bars, high=None))


def test_features_by_hand() -> None:
    log = torch.arange(25.0, dtype=torch.float64).unsqueeze(1)
    change = torch.full((25, 1), 2.0, dtype=torch.float64)
    change[-1] = -2.0
    rows = features(Days(change, log.exp()), leverage=True)
    assert rows[:10].isnan().all()  # fewer than half a month
    assert rows[-1, 0].tolist() == pytest.approx([24.0, 22.0, 13.5, 1.0, -1.0, 0.6, 20 / 22, 1.0])
    gone = change.clone()
    gone[-2] = torch.nan
    rows = features(Days(gone, torch.where(gone.isnan(), torch.nan, log.exp())), leverage=False)
    assert rows[-2].isnan().all()
    assert rows[-1, 0].tolist() == pytest.approx([24.0, (20 + 21 + 22 + 24) / 4, (13.5 * 22 - 23) / 21, 1.0])


def test_without_data_it_is_the_mean_of_the_spans_and_with_them_the_law() -> None:
    har = LogHar(1, leverage=False)
    row = torch.tensor([[[3.0, 1.0, 2.0, 1.0]]], dtype=torch.float64)
    assert har(row).log().item() == pytest.approx(2.0)
    har.fit()
    assert har(row).log().item() == pytest.approx(2.0)
    drawn = torch.Generator().manual_seed(0)
    rows = torch.randn(5_000, 1, 4, generator=drawn, dtype=torch.float64)
    rows[..., 3] = 1.0
    law = torch.tensor([0.5, 0.3, 0.1, -0.2], dtype=torch.float64)
    came = (rows @ law + 0.3 * torch.randn(5_000, 1, generator=drawn)).exp()
    came[::7], rows[3] = torch.nan, torch.nan  # days without trade teach nothing
    har.take(rows[:2_000], came[:2_000])
    har.take(rows[2_000:], came[2_000:])
    har.fit()
    assert har.weights[0].tolist() == pytest.approx(law.tolist(), abs=0.02)


def test_variance_and_quantiles_of_a_guess_by_hand() -> None:
    filtered = Filtered(1, rate=0.0, least=5, capacity=5)
    guess, unit = torch.tensor([4.0], dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    assert filtered.forecast(guess).variance.isnan().all()
    came = torch.tensor([9.0, -2.0, 0.0, -1.0, 2.0, 1.0], dtype=torch.float64)  # the first makes room
    told = filtered.follow(unit.expand(6, 1), came.unsqueeze(1))
    assert told.variance[:5].isnan().all()
    assert told.variance[5].item() == pytest.approx(18.0)  # the mean of 81, 4, 0, 1, 4
    made = filtered.forecast(guess)
    assert made.variance.item() == pytest.approx(4.0 * 2.0)  # the mean of 4, 0, 1, 4, 1
    assert made.quantiles[0].tolist() == pytest.approx([2.0 * (4.0 * level - 2.0) for level in LEVELS])


def test_levels_follow_what_is_seen() -> None:
    drawn = torch.Generator().manual_seed(0)
    calm = torch.randn(1_000, 1, generator=drawn, dtype=torch.float64)
    wild = 1.5 * torch.randn(2_000, 1, generator=drawn, dtype=torch.float64)
    shares = []
    for rate in (0.0, 0.01):
        came = torch.cat([calm, wild])
        made = Filtered(1, rate=rate).follow(torch.ones_like(came), came)
        assert (made.quantiles[250:].diff() >= 0).all()
        shares.append(float((came < made.quantiles[..., 0])[1_000:].double().mean()))
    assert shares[0] > 0.07
    assert shares[1] == pytest.approx(0.05, abs=0.005)


def test_what_comes_later_changes_nothing_before() -> None:
    days, _ = days_of(400)
    made = VolatilityForecaster(QUICK, 2).follow(days)
    for day in (150, 287, 399):
        changed = Days(*(part.clone() for part in days))
        changed.change[day:], changed.variance[day:] = -5.0 * changed.change[day:], 9.0
        again = VolatilityForecaster(QUICK, 2).follow(changed)
        for before, after in zip(made, again, strict=True):
            assert torch.equal(before[: day + 1].nan_to_num(), after[: day + 1].nan_to_num())
        if day < 399:
            assert not torch.equal(made.variance[day + 1 :], again.variance[day + 1 :])


def test_days_one_by_one_are_the_same_days_and_a_saved_one_goes_on_as_it_was() -> None:
    days, _ = days_of(300)
    whole = VolatilityForecaster(QUICK, 2)
    made = whole.follow(days)
    pieces = VolatilityForecaster(QUICK, 2)
    assert not pieces.ready
    for day in range(200):
        foreseen = pieces.variance(), pieces.quantiles()
        told = pieces.follow(days.cut(day, day + 1))
        assert torch.equal(told.variance[0].nan_to_num(), foreseen[0].nan_to_num())
        assert torch.equal(told.quantiles[0].nan_to_num(), foreseen[1].nan_to_num())
        assert torch.allclose(told.variance[0], made.variance[day], equal_nan=True)
    assert pieces.ready
    loaded = VolatilityForecaster(QUICK, 2)
    loaded.load_state_dict(copy.deepcopy(pieces.state_dict()))
    rest = days.cut(200)
    for one, other in zip(pieces.follow(rest), loaded.follow(rest), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(pieces.quantiles(), loaded.quantiles())


def test_an_asset_that_comes_late_and_halts_harms_no_other() -> None:
    days, _ = days_of(400)
    alone = VolatilityForecaster(QUICK, 1).follow(Days(days.change[:, :1], days.variance[:, :1]))
    for part in days:
        part[:100, 1], part[300:310, 1] = torch.nan, torch.nan
    made = VolatilityForecaster(QUICK, 2).follow(days)
    assert torch.allclose(made.variance[:, 0], alone.variance[:, 0], equal_nan=True)
    assert torch.allclose(made.quantiles[:, 0], alone.quantiles[:, 0], equal_nan=True)
    assert made.variance[:160, 1].isnan().all()
    assert made.variance[301:311, 1].isnan().all()
    assert not made.variance[311:, 1].isnan().any()


def test_it_finds_the_variance_of_a_known_world() -> None:
    days, truth = days_of(2_500)
    forecaster = VolatilityForecaster(VolatilityConfig(), 2)
    made = forecaster.follow(days)
    late = slice(1_000, None)
    error = (made.variance[late] / truth[late]).log()
    assert abs(error.mean()) < 0.1
    assert error.square().mean() < 0.5 * truth[late].log().square().mean()  # of a constant
    told = forecaster.update(days_of(1_000, seed=3)[0])
    assert told["volatility/rows"] == 2_000.0
    assert told["volatility/below_05"] == pytest.approx(0.05, abs=0.01)
    assert told["volatility/coverage_80"] == pytest.approx(0.8, abs=0.02)


def test_where_variance_is_constant_a_constant_is_hardly_beaten_or_missed() -> None:
    drawn = torch.Generator().manual_seed(5)
    change = torch.randn(2_500, 1, generator=drawn, dtype=torch.float64)
    ranges = (0.4 * torch.randn(2_500, 1, generator=drawn, dtype=torch.float64)).exp()
    made = VolatilityForecaster(VolatilityConfig(), 1).follow(Days(change, ranges))
    loss = qlike(made.variance[1_000:], change[1_000:]).mean()
    assert loss.item() == pytest.approx(change[1_000:].square().mean().item(), abs=0.02)


def test_a_fitted_law_by_hand() -> None:
    law = Garch(mean=1.0, omega=0.1, alpha=0.2, gamma=0.3, beta=0.5, freedom=4.0, variance=9.0)
    assert law.after(2.0, 3.0) == pytest.approx(0.1 + 0.2 * 4.0 + 0.5 * 2.0)
    assert law.after(2.0, -1.0) == pytest.approx(0.1 + 0.5 * 4.0 + 0.5 * 2.0)
    median = law.quantiles(torch.tensor([4.0], dtype=torch.float64))[0]
    assert median[3] == 1.0
    assert median[0].item() == pytest.approx(1.0 - 2.0 * 2.131847 / math.sqrt(2.0))  # of t with 4 degrees, 5 %


def test_the_law_of_a_garch_world_is_found_and_the_walk_sees_no_future() -> None:
    drawn = np.random.default_rng(0)
    noise, variance, change = drawn.standard_normal(3_000), 1.0, np.empty(3_000)
    for day in range(3_000):
        change[day] = math.sqrt(variance) * noise[day]
        variance = 0.02 + 0.08 * change[day] ** 2 + 0.9 * variance
    came = torch.as_tensor(change)
    law = Garch.fitted(came, asymmetric=False)
    assert (law.alpha, law.beta) == (pytest.approx(0.08, abs=0.03), pytest.approx(0.9, abs=0.04))
    made = walk(came[:700], asymmetric=True, refit=100)
    later = came[:700].clone()
    later[620:] = 5.0
    again = walk(later, asymmetric=True, refit=100)
    assert torch.equal(made.variance[500:621], again.variance[500:621])
    assert made.variance[:500].isnan().all()
    assert not torch.equal(made.variance[621:], again.variance[621:])


@pytest.mark.slow
def test_it_is_better_than_garch_on_the_sp500() -> None:
    bars, _ = read_bars(MarketConfig(path="sp500-ohlcv"))
    days = Days.of(bars)
    test = torch.as_tensor(bars.timestamp[1:] >= np.datetime64("2010-01-01"))
    assert int(test.sum()) == 2_264
    came, measured = days.change[test, 0], days.variance[test, 0]
    made = [VolatilityForecaster(VolatilityConfig(), 1).follow(days), walk(days.change[:, 0], asymmetric=False)]
    (ours, risk), (theirs, other) = [(each.variance[test, 0], each.quantiles[test, 0, 0]) for each in made]
    assert qlike(theirs, came).mean().item() == pytest.approx(0.601, abs=0.003)  # as others measured it
    assert qlike(ours, came).mean() < 0.53
    assert qlike_of_proxy(ours, measured).mean() < 0.43
    compared = diebold_mariano(qlike(ours, came), qlike(theirs, came))
    assert compared.difference < 0.0
    assert compared.p < 0.01
    assert backtest(came < risk, 0.05).kupiec > 0.05
    assert pinball_at(0.05, risk, came).mean() <= pinball_at(0.05, other, came).mean()


assert MONTH == 22  # what the features above were worked out with
