"""Who is listed and who trades; prices are carried forward, never backward."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from feeds.errors import FeedError
from feeds.market.bars import Bars
from feeds.market.config import MarketConfig
from feeds.market.read import read_bars
from tests.feeds.market.frames import CONFIG, days, long_frame, wide_frame


def holed() -> Bars:
    """AAA whole; BBB listed on the 6th day, halted on the 11th and 12th; CCC without bars after the 15th of 30 days."""
    frame = long_frame().with_columns(pl.col("timestamp").dt.day().alias("day"))
    symbol, day = pl.col("symbol"), pl.col("day")
    late = (symbol == "BBB") & ((day < 6) | day.is_in([11, 12]))
    gone = (symbol == "CCC") & (day > 15)
    return read_bars(CONFIG, frame.filter(~late & ~gone).drop("day"))[0]


def test_late_listing_halts_and_delisting_masks() -> None:
    bars = holed()
    whole, _ = read_bars(CONFIG, long_frame())
    assert bars.listed[:, 0].all()
    assert bars.tradable[:, 0].all()
    assert bars.listed[:, 1].tolist() == [False] * 5 + [True] * 25
    assert np.flatnonzero(~bars.tradable[:, 1]).tolist() == [0, 1, 2, 3, 4, 10, 11]
    assert bars.tradable[:, 2].tolist() == [True] * 15 + [False] * 15
    assert bars.listed[:, 2].tolist() == [True] * 25 + [False] * 5  # a halt, until more than 10 days have passed
    assert np.isnan(bars.close[:5, 1]).all()  # leading: never filled backward
    assert (bars.close[10:12, 1] == whole.close[9, 1]).all()  # halted: carried
    assert (bars.close[15:, 2] == whole.close[14, 2]).all()  # delisted: carried, not dropped
    assert bars.symbols == ("AAA", "BBB", "CCC")
    for name in ("open", "high", "low"):
        panel = getattr(bars, name)
        assert np.isnan(panel[:5, 1]).all()
        assert (panel[10:12, 1] == bars.close[9, 1]).all()
    assert bars.volume is not None
    assert bars.volume[10:12, 1].tolist() == [0.0, 0.0]


def test_the_universe_is_told() -> None:
    notes = "\n".join(holed().notes)
    assert "1 symbols are listed after the first bar: BBB" in notes
    assert "1 symbols are delisted before the last bar: CCC" in notes
    assert "12 bars of listed symbols are missing" in notes
    assert "survivors" not in notes


def test_an_asset_that_is_silent_at_the_very_end_is_halted_not_delisted() -> None:
    frame = long_frame().filter((pl.col("symbol") != "BBB") | (pl.col("timestamp").dt.day() <= 25))
    bars, _ = read_bars(CONFIG, frame)
    assert bars.listed[:, 1].all()
    assert bars.tradable[:, 1].tolist() == [True] * 25 + [False] * 5


def test_wide_tables_tell_missing_bars_by_empty_cells() -> None:
    wide = wide_frame(long_frame())
    holes = wide.with_columns(BBB=pl.when(pl.col("timestamp").dt.day() < 4).then(None).otherwise(wide["BBB"]))
    holes = holes.with_columns(CCC=pl.when(pl.col("timestamp").dt.day() == 9).then(float("nan")).otherwise(wide["CCC"]))
    bars, report = read_bars(CONFIG, holes)
    assert report.findings == ()
    assert np.isnan(bars.close[:3, 1]).all()
    assert bars.tradable[8].tolist() == [True, True, False]
    assert bars.close[8, 2] == bars.close[7, 2]


def test_survivors_are_named() -> None:
    wide = {"timestamp": days(900), "A": np.linspace(1, 2, 900), "B": np.linspace(2, 1, 900)}
    notes = " ".join(read_bars(CONFIG, pl.DataFrame(wide))[0].notes)
    assert "survivors: no symbol leaves in 2 years" in notes


def test_synthetic_worlds_are_narrowed_like_files(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = holed()
    calls = []

    def world_bars(name: str, seed: int) -> Bars:
        calls.append((name, seed))
        return whole

    worlds = pytest.importorskip("feeds.synthetic.worlds")
    monkeypatch.setattr(worlds, "world_bars", world_bars)
    config = MarketConfig(path="synthetic-brownian", world_seed=7, symbols=("CCC", "AAA"), end=date(2020, 1, 4))
    bars, report = read_bars(config)
    assert calls == [("synthetic-brownian", 7)]
    assert bars.shape == (4, 2)
    assert bars.close.tolist() == whole.close[:4][:, [2, 0]].tolist()
    assert report.facts["symbols"] == "2"
    with pytest.raises(FeedError, match="no rows of ZZZ"):
        read_bars(config.model_copy(update={"symbols": ("ZZZ",)}))


def test_reading_perturbed_futures_leaves_the_past() -> None:
    """The border itself is causal: rows that break rules after t, or vanish, change no bar up to t."""
    frame, t = long_frame(60), 30
    for policy in ("clip", "quarantine"):
        config = CONFIG.model_copy(update={"policy": policy})
        base, _ = read_bars(config, frame)
        later = pl.col("timestamp") > frame["timestamp"].unique().sort()[t]
        spoilt = frame.with_columns(
            close=pl.when(later & (pl.col("symbol") == "AAA")).then(pl.col("close") * 40).otherwise("close"),
            high=pl.when(later).then(pl.col("low") / 2).otherwise("high"),
        ).filter(~later | (pl.col("symbol") != "BBB"))
        changed, report = read_bars(config, spoilt)
        assert report.counts
        for name in ("close", "open", "high", "low", "volume", "tradable", "listed"):
            assert np.array_equal(getattr(changed, name)[: t + 1], getattr(base, name)[: t + 1]), name
