"""Indicators against hand-worked numbers and against plain loops; names that are none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.errors import FeedError
from feeds.market.bars import Bars
from feeds.market.indicators import History, delayed, parse, rolling, smoothed


def bars_of(close: list[float] | np.ndarray, volume: list[float] | None = None) -> Bars:
    panel = np.asarray(close, np.float64).reshape(len(close), -1)
    there = np.isfinite(panel)
    stamps = np.datetime64("2020-01-01", "us") + np.arange(len(panel)) * np.timedelta64(1, "D")
    symbols = tuple(f"S{index}" for index in range(panel.shape[1]))
    shares = None if volume is None else np.asarray(volume, np.float64).reshape(panel.shape)
    return Bars(stamps, symbols, panel, listed=there, tradable=there, volume=shares)


def values(name: str, bars: Bars) -> np.ndarray:
    return parse(name).compute(History(bars))[:, 0]


def test_log_returns_and_momentum_by_hand() -> None:
    bars = bars_of([1.0, 2.0, 4.0, 2.0])
    ln2 = np.log(2)
    assert values("log_return_1", bars)[1:] == pytest.approx([ln2, ln2, -ln2])
    assert np.isnan(values("log_return_1", bars)[0])
    assert values("log_return_2", bars)[2:] == pytest.approx([2 * ln2, 0.0])
    year = bars_of(np.exp(np.arange(30.0)))
    assert values("momentum_24", year)[24:] == pytest.approx([22.0] * 6)  # from 24 bars ago to 2 bars ago


def test_volatility_by_hand() -> None:
    bars = bars_of(np.exp([0.0, 1.0, 3.0, 3.0]))  # log returns 1, 2, 0
    assert values("volatility_3", bars)[3] == pytest.approx(1.0)  # sample deviation of 1, 2, 0
    assert np.isnan(values("volatility_3", bars)[:3]).all()
    assert values("volatility_2", bars)[2] == pytest.approx(np.sqrt(0.5))


def test_drawdown_by_hand() -> None:
    assert values("drawdown_3", bars_of([4.0, 2.0, 3.0, 1.0]))[2:] == pytest.approx([3 / 4 - 1, 1 / 3 - 1])


def test_rsi_by_hand() -> None:
    bars = bars_of(np.exp([0.0, 1.0, 0.0, 2.0]))  # log returns 1, -1, 2; weights of two: 1/2 then halves
    up = (1 * 0.125 + 0 * 0.25 + 2 * 0.5) / 0.875
    down = (0 * 0.125 + 1 * 0.25 + 0 * 0.5) / 0.875
    assert values("rsi_2", bars)[3] == pytest.approx(up / (up + down))
    assert np.isnan(values("rsi_2", bars)[:2]).all()
    assert values("rsi_2", bars_of([1.0] * 5))[-1] == 0.5
    assert values("rsi_2", bars_of([1.0, 2.0, 3.0, 4.0]))[-1] == 1.0


def test_macd_is_the_ratio_of_two_averages() -> None:
    close = np.exp(np.random.default_rng(0).normal(0, 0.1, 60).cumsum())
    weights = [np.power(1 - 2 / (span + 1), np.arange(60)[::-1]) for span in (12, 26)]
    fast, slow = (weight @ close / weight.sum() for weight in weights)
    found = values("macd", bars_of(close))
    assert found[-1] == pytest.approx(fast / slow - 1)
    assert np.isnan(found[:25]).all()
    assert np.isfinite(found[25:]).all()


def test_volume_z_by_hand() -> None:
    bars = bars_of([1.0, 1.0, 1.0], np.expm1([1.0, 2.0, 6.0]).tolist())
    assert values("volume_z_3", bars)[2] == pytest.approx((6 - 3) / np.std([1, 2, 6], ddof=1))
    assert values("volume_z_2", bars_of([1.0, 1.0], [5.0, 5.0]))[1] == 0.0
    with pytest.raises(FeedError, match="'volume_z_3' needs volumes"):
        values("volume_z_3", bars_of([1.0, 1.0, 1.0]))


@pytest.mark.parametrize("name", ["log_return_7", "volatility_9", "momentum_13", "drawdown_9", "rsi_8", "macd"])
def test_lookback_is_the_first_bar_of_a_whole_history(name: str) -> None:
    close = np.exp(np.random.default_rng(1).normal(0, 0.1, 60).cumsum())
    found = values(name, bars_of(close))
    assert np.flatnonzero(np.isfinite(found))[0] == parse(name).lookback


def test_late_listings_count_their_own_history() -> None:
    close = np.exp(np.random.default_rng(2).normal(0, 0.1, (60, 2)).cumsum(0))
    close[:20, 1] = np.nan
    late = Bars(bars_of(close).timestamp, ("A", "B"), close, listed=np.isfinite(close), tradable=np.isfinite(close))
    for name in ("log_return_5", "volatility_5", "momentum_5", "drawdown_5", "rsi_5", "macd"):
        indicator = parse(name)
        both = indicator.compute(History(late))
        alone = indicator.compute(History(bars_of(close[20:, 1])))[:, 0]
        assert np.isnan(both[:20, 1]).all()
        assert np.array_equal(both[20:, 1], alone, equal_nan=True), name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("log_returns_5", "did you mean 'log_return_5'"),
        ("volatilty_20", "did you mean 'volatility_20'"),
        ("mcad", "did you mean 'macd'"),
        ("rsi", "did you mean 'rsi_20'"),
        ("rsi_0", "did you mean 'rsi_0'|rsi_20"),
        ("close", "known are|did you mean"),
    ],
)
def test_unknown_names_tell_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(FeedError, match=f"no feature is called '{name}': .*({hint})"):
        parse(name)


def test_too_few_bars_are_refused() -> None:
    with pytest.raises(FeedError, match="'volatility_1' needs at least 2 bars"):
        parse("volatility_1")


@given(length=st.integers(1, 40), bars=st.integers(1, 40), seed=st.integers(0, 100))
def test_rolling_equals_a_plain_loop(length: int, bars: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    panel = chance.normal(size=(length, 2))
    panel[: chance.integers(length + 1), 1] = np.nan
    for combine, plain in ((np.add, np.sum), (np.maximum, np.max)):
        found = rolling(panel, bars, combine)
        for t in range(length):
            wanted = plain(panel[t - bars + 1 : t + 1], axis=0) if t >= bars - 1 else [np.nan, np.nan]
            assert found[t] == pytest.approx(wanted, nan_ok=True, abs=1e-12)


def test_delayed_and_smoothed_edges() -> None:
    assert np.isnan(delayed(np.ones((3, 1)), 3)).all()
    assert smoothed(np.array([[np.nan], [2.0], [4.0]]), 0.5, 1)[1:, 0].tolist() == [2.0, pytest.approx(10 / 3)]
