"""Features: causal to the bit, scaled by the training part alone, blind to levels, never NaN."""

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from feeds.errors import FeedError
from feeds.market.bars import Bars
from feeds.market.config import MarketConfig
from feeds.market.features import Features, build_features, fresh_bars, price_window
from feeds.market.read import read_bars
from feeds.split import Part
from tests.feeds.market.frames import long_frame

NAMES = (
    "log_return_1",
    "log_return_5",
    "volatility_10",
    "momentum_20",
    "drawdown_20",
    "rsi_14",
    "macd",
    "volume_z_10",
)
CONFIG = MarketConfig(path="unused", features=NAMES, calendar=True, window=8, max_gap_days=10)
TRAIN = Part(0, 120)
BARS, _ = read_bars(CONFIG, long_frame(200, ("AAA", "BBB", "CCC", "DDD")))


def build(bars: Bars = BARS, **changes: object) -> Features:
    return build_features(bars, CONFIG.model_copy(update=changes), TRAIN)


def past_equal(before: Features, after: Features, stop: int) -> None:
    assert np.array_equal(before.values[:stop], after.values[:stop])
    assert np.array_equal(before.known[:stop], after.known[:stop])
    assert np.array_equal(before.shared[:stop], after.shared[:stop])
    assert before.window is not None
    assert after.window is not None
    assert np.array_equal(before.window[:stop], after.window[:stop])


def changed_after(bars: Bars, bar: int, seed: int = 0) -> Bars:
    """Other prices and volumes after `bar`; one asset is delisted there and one listed later halts."""
    chance = np.random.default_rng(seed)
    factor = np.exp(chance.normal(0, 0.5, bars.shape))
    factor[: bar + 1] = 1.0
    tradable, listed = bars.tradable.copy(), bars.listed.copy()
    tradable[bar + 1 :, 0] = listed[bar + 1 :, 0] = False
    tradable[bar + 1 : bar + 6, 1] = False
    volume = None if bars.volume is None else bars.volume * factor**2
    return replace(bars, close=bars.close * factor, volume=volume, tradable=tradable, listed=listed)


def test_shapes_names_and_first() -> None:
    features = build()
    assert features.names == NAMES
    assert features.values.shape == (200, 4, len(NAMES))
    assert features.values.dtype == np.float32
    assert features.shared_names == ("weekday_sin", "weekday_cos", "year_sin", "year_cos")
    assert features.window is not None
    assert features.window.shape == (200, 8, 4)
    assert features.first == 25  # MACD's longer average
    assert features.known[features.first :].all()
    assert not features.known[features.first - 1].all()
    assert build(features=("log_return_1",), window=30).first == 29
    assert build(features=("log_return_1",), window=0).window is None


@pytest.mark.parametrize("bar", [30, 77, 119, 150, 198])
def test_nothing_up_to_t_follows_from_what_comes_after(bar: int) -> None:
    raw = {"scale": "none"}
    past_equal(build(**raw), build(changed_after(BARS, bar), **raw), bar + 1)
    if bar >= TRAIN.stop - 1:  # the scaler belongs to the whole train part
        past_equal(build(), build(changed_after(BARS, bar)), bar + 1)


def test_the_scaler_knows_the_training_part_alone() -> None:
    before, after = build(), build(changed_after(BARS, TRAIN.stop - 1))
    assert before.scaler.digest() == after.scaler.digest()
    assert np.array_equal(before.values[TRAIN.slice], after.values[TRAIN.slice])
    assert not np.array_equal(before.values[TRAIN.stop :], after.values[TRAIN.stop :])
    inside = build(changed_after(BARS, TRAIN.stop - 2))
    assert inside.scaler.digest() != before.scaler.digest()  # the test can fail


def test_train_features_have_mean_zero_and_deviation_one() -> None:
    features = build()
    train = features.values[TRAIN.slice]
    for index in range(len(NAMES)):
        column = train[..., index][features.known[TRAIN.slice][..., index]].astype(np.float64)
        assert column.mean() == pytest.approx(0.0, abs=1e-5)
        assert column.std() == pytest.approx(1.0, rel=1e-5)
    unscaled = build(scale="none")
    assert unscaled.values[50, 2, 0] == np.float32(np.log(BARS.close[50, 2] / BARS.close[49, 2]))


def test_a_future_delisting_leaves_the_past() -> None:
    bar = 140
    gone = BARS.listed.copy()
    gone[bar + 1 :, 2] = False
    tradable = BARS.tradable & gone
    close = np.where(gone, BARS.close, BARS.close[bar])
    delisted = replace(BARS, listed=gone, tradable=tradable, close=close)
    past_equal(build(), build(delisted), bar + 1)
    told = build(delisted).values[bar + 1 :, 2]
    assert told[5].any()  # for ten days it looks like a halt
    assert not told[15:].any()  # then nothing is known of it
    assert not build(delisted).window[bar + 15 :, :, 2].any()  # type: ignore[index]


@pytest.mark.parametrize("factor", [1e6, 1e-3])
def test_the_unit_of_prices_does_not_matter(factor: float) -> None:
    before, after = build(), build(replace(BARS, close=BARS.close * factor))
    assert after.values == pytest.approx(before.values, abs=2e-5)
    assert after.window == pytest.approx(before.window, abs=1e-6)


def test_a_future_split_that_rescales_history_changes_nothing() -> None:
    """Back-adjusted by a later 2:1 split, all prices before it are halved; a power of two keeps every bit but logs'."""
    halved = BARS.close.copy()
    halved[:, 1] /= 2
    before, after = build(), build(replace(BARS, close=halved))
    assert after.values == pytest.approx(before.values, abs=2e-5)
    assert np.array_equal(after.window, before.window)  # type: ignore[arg-type]
    assert not np.array_equal(halved, BARS.close)


def test_order_of_assets_is_order_of_features() -> None:
    order = [2, 0, 3, 1]
    assert BARS.volume is not None
    turned = replace(
        BARS,
        symbols=tuple(BARS.symbols[index] for index in order),
        close=BARS.close[:, order],
        volume=BARS.volume[:, order],
        listed=BARS.listed[:, order],
        tradable=BARS.tradable[:, order],
    )
    assert build(turned).values == pytest.approx(build().values[:, order], abs=1e-5)


def test_leading_nan_is_unknown_until_an_asset_has_its_own_history() -> None:
    early = (pl.col("symbol") == "BBB") & (pl.col("timestamp") < date(2020, 3, 1))
    late = long_frame(200, ("AAA", "BBB")).filter(~early)
    bars, _ = read_bars(CONFIG, late)
    features = build(bars)
    start = int(np.flatnonzero(bars.tradable[:, 1])[0])
    assert start == 60
    assert not features.values[: start + 1, 1, 0].any()
    assert not features.known[: start + 1, 1].any()
    assert features.known[start + 25 :, 1].all()
    assert features.window is not None
    assert not features.window[:start, :, 1].any()
    assert features.window[start, -1, 1] == 1.0
    assert not features.window[start, :-1, 1].any()


def test_halts_carry_prices_until_they_are_stale() -> None:
    bars = replace(BARS, tradable=BARS.tradable.copy())
    bars.tradable[100:130, 0] = False
    fresh = fresh_bars(bars, 10.0)
    assert fresh[:, 1:].all()
    assert np.flatnonzero(~fresh[:, 0]).tolist() == list(range(110, 130))


def test_the_window_by_hand() -> None:
    close = np.array([[np.nan, 4.0], [2.0, 2.0], [1.0, 8.0]])
    window = price_window(close, np.isfinite(close), 2)
    assert window.tolist() == [[[0, 0], [0, 1.0]], [[0, 1.0], [1.0, 0.5]], [[1.0, 0.25], [0.5, 1.0]]]
    with pytest.raises(FeedError, match=r"feed.window=100000 of 100 symbols over 1000 bars takes 37 GiB"):
        price_window(np.ones((1000, 100)), np.ones((1000, 100), bool), 100_000)


def test_extras_of_bars_are_features_by_their_name() -> None:
    value = np.log(BARS.close) + 1.0
    bars = replace(BARS, extras={"fair_value": value})
    features = build(bars, scale="none")
    assert features.names == (*NAMES, "fair_value")
    assert np.array_equal(features.values[..., -1], value.astype(np.float32))
    scaled = build(bars)
    train = value[TRAIN.slice]
    assert scaled.values[..., -1] == pytest.approx((value - train.mean()) / train.std(), abs=1e-5)
    assert build(bars, features=("fair_value", "rsi_14")).names == ("rsi_14", "fair_value")


def test_missing_extras_are_zero_and_masked() -> None:
    value = np.full(BARS.shape, 3.0)
    value[10] = np.nan
    value[11] = np.inf
    features = build(replace(BARS, extras={"x": value}))
    assert not features.known[10:12, :, -1].any()
    assert not features.values[10:12, :, -1].any()


def test_calendar_by_hand() -> None:
    features = build()
    assert str(BARS.timestamp[5])[:10] == "2020-01-06"  # a Monday
    assert features.shared[5, :2].tolist() == [0.0, 1.0]
    assert features.shared[0, 2:].tolist() == [0.0, 1.0]  # 1 January
    assert features.shared[12, :2].tolist() == features.shared[5, :2].tolist()
    assert np.abs(features.shared).max() <= 1.0
    assert build(calendar=False).shared.shape == (200, 0)


def test_unknown_and_repeated_names_are_refused() -> None:
    with pytest.raises(FeedError, match="did you mean 'volatility_10'"):
        build(features=("volatilities_10",))
    with pytest.raises(FeedError, match="two features are called 'rsi_14'"):
        build(features=("rsi_14", "rsi_14"))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    holes=st.floats(0.0, 0.9),
    spoilt=st.floats(0.0, 0.2),
    policy=st.sampled_from(["clip", "quarantine"]),
    scale=st.sampled_from(["standard", "none"]),
)
def test_nan_never_reaches_features(seed: int, holes: float, spoilt: float, policy: str, scale: str) -> None:
    chance = np.random.default_rng(seed)
    frame = long_frame(60, seed=seed).filter(pl.Series(chance.random(180) >= holes))
    dirt = np.array([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e300, 1e-300, 95.0])
    for name in ("open", "high", "low", "close", "volume"):
        new = np.where(chance.random(len(frame)) < spoilt, chance.choice(dirt, len(frame)), frame[name])
        frame = frame.with_columns(pl.Series(name, new))
    config = CONFIG.model_copy(update={"policy": policy, "scale": scale})
    sound = (frame["close"] > 0) & frame["close"].is_finite()
    assume(bool(sound.any()))
    try:
        bars, _ = read_bars(config, frame)
    except FeedError:
        assert int(sound.sum()) < 30  # other columns spoilt what few closes were sound
        return
    features = build_features(bars, config, Part(0, max(1, len(bars.timestamp) * 2 // 3)))
    assert np.isfinite(features.values).all()
    assert np.isfinite(features.shared).all()
    assert np.isfinite(features.window).all()  # type: ignore[call-overload]
    assert (np.isfinite(bars.close) & (bars.close > 0))[bars.listed].all()
    assert not np.isinf(bars.close).any()
