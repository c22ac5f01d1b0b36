"""Every rule of prices: refused under "error", told row by row and mended or left out under the other policies."""

from collections.abc import Callable
from datetime import date

import numpy as np
import polars as pl
import pytest

from feeds.errors import FeedError
from feeds.findings import MOST, CheckReport
from feeds.market.bars import Bars
from feeds.market.config import Columns, MarketConfig
from feeds.market.read import read_bars
from tests.feeds.market.frames import CONFIG, days, long_frame

ROW = 37  # of 90: symbol BBB on the 13th day
T, N = 12, 1


def spoil(**values: float) -> pl.DataFrame:
    """The sound table with other values in one row."""
    frame = long_frame().with_row_index("index")
    here = pl.col("index") == ROW
    new = [pl.when(here).then(pl.lit(value, pl.Float64)).otherwise(name).alias(name) for name, value in values.items()]
    return frame.with_columns(*new).drop("index")


def read(frame: pl.DataFrame, policy: str, **settings: object) -> tuple[Bars, CheckReport]:
    return read_bars(CONFIG.model_copy(update={"policy": policy, **settings}), frame)


def refusal(frame: pl.DataFrame, **settings: object) -> str:
    with pytest.raises(FeedError) as caught:
        read(frame, "error", **settings)
    return str(caught.value)


SOUND = long_frame()
CLOSE = SOUND["close"][ROW]
BEFORE = SOUND["close"][ROW - 3]

CELL_RULES: dict[str, tuple[dict[str, float], str, str]] = {
    "close is NaN": ({"close": np.nan}, "not_a_number", "close is nan"),
    "close is infinite": ({"close": np.inf}, "not_a_number", "close is inf"),
    "open is NaN": ({"open": np.nan}, "not_a_number", "open is nan"),
    "volume is NaN": ({"volume": np.nan}, "not_a_number", "volume is nan"),
    "volume is negative": ({"volume": -5.0}, "not_a_number", "volume is -5"),
    "close is zero": ({"close": 0.0, "low": 0.0}, "non_positive", "close is 0"),
    "low is negative": ({"low": -1.0}, "non_positive", "low is -1"),
    "high below low": ({"high": 10.0, "low": 500.0}, "high_below_low", "high 10 < low 500"),
    "close above high": ({"close": CLOSE * 1.2}, "out_of_range", "close"),
    "open below low": ({"open": CLOSE * 0.8}, "out_of_range", "open"),
    "95 times": ({name: 95 * SOUND[name][ROW] for name in ("open", "high", "low", "close")}, "jump", "times the close"),
    "a 95th": ({name: SOUND[name][ROW] / 95 for name in ("open", "high", "low", "close")}, "jump", "times the close"),
    "spike of the high": ({"high": 95 * CLOSE}, "jump", "beside a close of"),
}


@pytest.mark.parametrize("case", CELL_RULES)
def test_error_names_file_row_symbol_time_and_rule(case: str) -> None:
    values, rule, detail = CELL_RULES[case]
    told = refusal(spoil(**values))
    assert told.startswith("frame, row 38 (BBB, 2020-01-13): ")
    assert f"[{rule}]" in told
    assert detail in told
    assert "feed.policy=quarantine" in told


@pytest.mark.parametrize("case", CELL_RULES)
def test_quarantine_leaves_the_row_out_and_tells(case: str) -> None:
    values, rule, _ = CELL_RULES[case]
    bars, report = read(spoil(**values), "quarantine")
    assert [(found.row, found.where, found.rule) for found in report.findings] == [
        (38, "frame, row 38 (BBB, 2020-01-13)", rule)
    ]
    assert f"row 38 (BBB, 2020-01-13): {report.findings[0].detail} [{rule}]" in report.text()
    expected, _ = read(SOUND, "error")
    assert np.argwhere(~bars.tradable).tolist() == [[T, N]]
    assert bars.close[T, N] == pytest.approx(BEFORE)  # carried
    untouched = np.ones(bars.shape, bool)
    untouched[T, N] = False
    assert (bars.close[untouched] == expected.close[untouched]).all()


MENDED: dict[str, dict[str, float]] = {
    "open is NaN": {"open": CLOSE},
    "volume is NaN": {"volume": 0.0},
    "volume is negative": {"volume": 0.0},
    "low is negative": {"low": CLOSE},
    "close above high": {"close": CLOSE * 1.2, "high": CLOSE * 1.2},
    "open below low": {"open": CLOSE * 0.8, "low": CLOSE * 0.8},
    "95 times": {"close": BEFORE * 5.0},
    "a 95th": {"close": BEFORE / 5.0},
    "spike of the high": {"high": CLOSE * 5.0},
}


@pytest.mark.parametrize("case", MENDED)
def test_clip_mends_to_the_nearest_allowed_value(case: str) -> None:
    values, rule, _ = CELL_RULES[case]
    bars, report = read(spoil(**values), "clip")
    assert report.findings[0].row == 38
    assert report.findings[0].rule == rule
    assert bars.tradable.all()
    for name, value in MENDED[case].items():
        assert getattr(bars, name)[T, N] == pytest.approx(value), name
    for name in ("open", "close"):
        assert (bars.low * (1 - 1e-6) <= getattr(bars, name)).all()  # type: ignore[operator]
        assert (getattr(bars, name) <= bars.high * (1 + 1e-6)).all()  # type: ignore[operator]


@pytest.mark.parametrize("case", ["close is NaN", "close is infinite", "close is zero"])
def test_clip_cannot_mend_a_close_that_is_none(case: str) -> None:
    bars, report = read(spoil(**CELL_RULES[case][0]), "clip")
    assert len(report.findings) == 1
    assert not bars.tradable[T, N]
    assert bars.close[T, N] == pytest.approx(BEFORE)


def test_clip_widens_a_range_that_is_upside_down() -> None:
    bars, _ = read(spoil(high=CLOSE * 0.9, low=CLOSE * 1.1), "clip")
    assert bars.high is not None
    assert bars.low is not None
    assert bars.high[T, N] == pytest.approx(CLOSE * 1.1)
    assert bars.low[T, N] == pytest.approx(CLOSE * 0.9)


def test_rounding_is_no_break_of_the_range() -> None:
    bars, report = read(spoil(high=max(CLOSE, SOUND["open"][ROW]) * (1 - 1e-9)), "error")
    assert report.counts == {}
    assert bars.tradable.all()


def test_every_spoilt_row_is_listed_row_by_row() -> None:
    """A dirty file: high < low, jumps of 95 times and repeated days, each told by its row."""
    frame = long_frame(60).with_row_index("index")
    upside, jumps = [10, 50, 90], [22, 61, 120]
    prices = [
        pl.when(pl.col("index").is_in(jumps)).then(pl.col(name) * 95).otherwise(name).alias(name)
        for name in ("open", "high", "low", "close")
    ]
    frame = frame.with_columns(prices)
    frame = frame.with_columns(high=pl.when(pl.col("index").is_in(upside)).then(pl.col("low") / 2).otherwise("high"))
    repeated = frame.filter(pl.col("index").is_in([176, 177, 178, 179]))
    dirty = pl.concat([frame, repeated]).drop("index")
    _, report = read(dirty, "quarantine")
    assert report.counts == {"duplicate": 4, "high_below_low": 3, "jump": 3, "unsorted": 1}
    listed = {rule: [found.row for found in report.findings if found.rule == rule] for rule in report.counts}
    assert listed["high_below_low"] == [row + 1 for row in upside]
    assert listed["jump"] == [row + 1 for row in jumps]
    assert listed["duplicate"] == [181, 182, 183, 184]
    for row in (11, 23, 181):
        assert f"frame, row {row} (" in report.text()
    told = refusal(dirty)
    assert "findings in all: 11" in told
    assert told.startswith("frame, row 11 ")


def test_a_true_change_of_level_costs_one_bar() -> None:
    frame = long_frame(seed=3)
    later = (pl.col("timestamp") >= date(2020, 1, 13)) & (pl.col("symbol") == "BBB")
    names = ("open", "high", "low", "close")
    frame = frame.with_columns(pl.when(later).then(pl.col(name) * 20).otherwise(name).alias(name) for name in names)
    bars, report = read(frame, "quarantine")
    assert report.counts == {"jump": 1}
    assert np.argwhere(~bars.tradable).tolist() == [[T, N]]
    clipped, report = read(frame, "clip")
    assert report.counts == {"jump": 1}  # 5 times on the first day, the other 4 on the second
    assert clipped.tradable.all()
    assert clipped.close[T + 1 :, N] == pytest.approx(bars.close[T + 1 :, N])


def test_jumps_are_measured_across_halts_and_by_setting() -> None:
    frame = pl.DataFrame({"timestamp": [days(9)[0], days(9)[4]], "symbol": ["A", "A"], "close": [1.0, 4.0]})
    assert read(frame, "error")[1].counts == {}
    assert "close 4 is 4 times the close before, 1" in refusal(frame, max_jump=3.0)
    assert "close 1 is 0.25 times" in refusal(frame.with_columns(close=pl.Series([4.0, 1.0])), max_jump=3.0)


def test_repeated_rows_first_or_newest_stands() -> None:
    again = SOUND[ROW : ROW + 1].with_columns(pl.col("close") * 1.001)
    frame = pl.concat([SOUND[: ROW + 1], again, SOUND[ROW + 1 :]])
    told = refusal(frame)
    assert told.startswith("frame, row 39 (BBB, 2020-01-13): another row has this symbol and time")
    for policy, factor in (("quarantine", 1.0), ("clip", 1.001)):
        bars, report = read(frame, policy)
        assert report.counts == {"duplicate": 1}
        assert bars.close[T, N] == pytest.approx(CLOSE * factor, rel=1e-12)
        assert bars.tradable.all()


def test_unsorted_rows_are_refused_or_sorted() -> None:
    frame = pl.concat([SOUND[:30], SOUND[33:36], SOUND[30:33], SOUND[36:]])
    told = refusal(frame)
    assert "row 34 (AAA, 2020-01-11): its time lies before that of the row before [unsorted]" in told
    assert "findings in all: 3" in told
    expected, _ = read(SOUND, "error")
    for policy in ("clip", "quarantine"):
        bars, report = read(frame, policy)
        assert report.counts == {"unsorted": 3}
        assert bars.digest == expected.digest


def test_symbol_by_symbol_is_sorted() -> None:
    bars, report = read(SOUND.sort("symbol", "timestamp"), "error")
    assert report.counts == {}
    assert bars.digest == read(SOUND, "error")[0].digest


def test_gaps_are_refused_or_count_as_halts_until_they_are_too_long() -> None:
    gap = (pl.col("symbol") == "BBB") & pl.col("timestamp").dt.day().is_between(10, 20)
    frame = long_frame().filter(~gap)
    assert "no bar for 12 days before it [gap]" in refusal(frame)
    assert read(frame, "error", max_gap_days=12.0)[1].counts == {}
    bars, report = read(frame, "quarantine")
    assert report.counts == {"gap": 1}
    assert np.flatnonzero(~bars.listed[:, 1]).tolist() == [19]  # more than 10 days after the last bar
    assert np.flatnonzero(~bars.tradable[:, 1]).tolist() == list(range(9, 20))


ZONES: dict[str, Callable[[int], str]] = {
    "no zone": lambda row: "2020-01-{:02d}T16:00:00" + ("" if row == 4 else "-05:00"),
    "far zone": lambda row: "2020-01-{:02d}T16:00:00" + ("+09:00" if row == 4 else "-05:00"),
    "near zone": lambda row: "2020-01-{:02d}T16:00:00" + ("-07:00" if row == 4 else "-05:00"),  # no summer time
}
CLIPPED = {"no zone": "2020-01-05T16:00", "far zone": "2020-01-05T07:00", "near zone": "2020-01-05T23:00"}


@pytest.mark.parametrize("case", ZONES)
def test_mixed_time_zones(case: str) -> None:
    stamps = [ZONES[case](row).format(row + 1) for row in range(8)]
    frame = pl.DataFrame({"timestamp": stamps, "symbol": ["A"] * 8, "close": np.linspace(1, 2, 8)})
    told = refusal(frame)
    assert "row 5 (A, 2020-01-05 " in told
    assert "mixed time zones" in told
    bars, report = read(frame, "quarantine")
    assert report.counts == {"time_zone": 1}
    assert bars.shape[0] == (7 if case == "no zone" else 8)
    clipped, report = read(frame, "clip")
    assert report.counts == {"time_zone": 1}
    assert str(clipped.timestamp[4])[:16] == CLIPPED[case]


def test_unknown_columns_are_named_with_the_nearest() -> None:
    frame = SOUND.with_columns(vloume=pl.col("volume"))
    told = refusal(frame)
    assert "column 'vloume' is unknown (did you mean 'volume'?)" in told
    bars, report = read(frame, "quarantine")
    assert report.counts == {"unknown_column": 1}
    assert bars.extras == {}
    assert read(frame, "error", columns=Columns(extras=("vloume",)))[0].extras.keys() == {"vloume"}


def test_findings_are_counted_beyond_those_that_are_kept() -> None:
    size = MOST + 500
    bad = pl.DataFrame({"timestamp": days(size), "symbol": ["A"] * size, "close": [np.nan] * size})
    good = pl.DataFrame({"timestamp": days(size), "symbol": ["B"] * size, "close": np.ones(size)})
    bars, report = read(pl.concat([bad, good]), "quarantine")
    assert report.counts == {"not_a_number": size}
    assert len(report.findings) == MOST
    assert "and 1,450 more" in report.text()
    assert any("1 symbols have no usable bar: A" in note for note in bars.notes)
    with pytest.raises(FeedError, match=r"no row keeps the rules; first finding: frame, row 1 \(A"):
        read(bad, "quarantine")


def test_sound_prices_have_no_findings() -> None:
    for policy in ("error", "clip", "quarantine"):
        bars, report = read(SOUND, policy)
        assert report.counts == {}
        assert report.findings == ()
        assert bars.tradable.all()
    assert MarketConfig().policy == "error"
