"""Time zones, clock changes and calendars: bars are instants in UTC."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from feeds.market.read import read_bars
from tests.feeds.market.frames import CONFIG, config_of, days


def test_offsets_that_change_with_summer_time_name_instants() -> None:
    """New York's close is 21:00 UTC in winter and 20:00 in summer; the clocks changed on 2020-03-08."""
    text = ["2020-03-06T16:00:00-05:00", "2020-03-09T16:00:00-04:00", "2020-03-10 16:00-04:00"]
    frame = pl.DataFrame({"timestamp": text, "symbol": ["A"] * 3, "close": [1.0, 2.0, 3.0]})
    bars, report = read_bars(CONFIG, frame)
    assert [str(stamp)[:16] for stamp in bars.timestamp] == ["2020-03-06T21:00", "2020-03-09T20:00", "2020-03-10T20:00"]
    assert report.counts == {}


@pytest.mark.parametrize("form", ["polars", "pandas", "parquet"])
def test_zoned_columns_become_utc_across_both_clock_changes(form: str, tmp_path: Path) -> None:
    """Hourly bars over the missing hour of March and the double hour of November stay distinct and in order."""
    zone = "America/New_York"
    hours = [
        pd.date_range("2020-03-08 00:00", periods=5, freq="h", tz=zone),
        pd.date_range("2020-11-01 00:00", periods=5, freq="h", tz=zone),
    ]
    stamps = hours[0].append(hours[1])
    frame = pd.DataFrame({"timestamp": stamps, "symbol": "A", "close": np.arange(1.0, 11.0)})
    table = pl.DataFrame({"timestamp": pl.Series(list(stamps)), "symbol": "A", "close": frame["close"].to_numpy()})
    assert table["timestamp"].dtype.time_zone == zone  # type: ignore[attr-defined]
    source: object = frame if form == "pandas" else table
    path = tmp_path / "p.parquet"
    if form == "parquet":
        table.write_parquet(path)
        source = None
    bars, report = read_bars(config_of(path, max_gap_days=365.0, max_jump=20.0), source)
    gaps = np.diff(bars.timestamp) / np.timedelta64(1, "h")
    assert (gaps[[0, 1, 2, 3, 5, 6, 7, 8]] == 1.0).all()
    assert str(bars.timestamp[0])[:16] == "2020-03-08T05:00"
    assert bars.close[:, 0].tolist() == list(range(1, 11))
    assert report.counts == {}


def test_calendars_are_united_and_each_holiday_is_a_halt() -> None:
    """Tokyo and New York share 2 of 4 days; the shared days are those on which all trade."""
    rows_ = [("2020-01-01", "TYO"), ("2020-01-02", "TYO"), ("2020-01-02", "NYC"), ("2020-01-03", "NYC")]
    rows_ += [("2020-01-06", "TYO"), ("2020-01-06", "NYC")]
    frame = pl.DataFrame({"timestamp": [day for day, _ in rows_], "symbol": [who for _, who in rows_]})
    bars, _ = read_bars(CONFIG, frame.with_columns(close=pl.Series(np.arange(1.0, 7.0))))
    assert bars.symbols == ("NYC", "TYO")
    assert bars.tradable.tolist() == [[False, True], [True, True], [True, False], [True, True]]
    assert np.flatnonzero(bars.tradable.all(axis=1)).tolist() == [1, 3]
    assert bars.close[:, 1].tolist() == [1.0, 2.0, 2.0, 5.0]


def test_closes_of_different_hours_do_not_meet_on_one_date() -> None:
    """Tokyo's close of a date is known 15 hours before New York's; a join by date would let it see the later one."""
    frame = pl.DataFrame(
        {
            "timestamp": ["2020-01-06T06:00:00Z", "2020-01-06T21:00:00Z", "2020-01-07T06:00:00Z"],
            "symbol": ["TYO", "NYC", "TYO"],
            "close": [1.0, 2.0, 1.5],
        }
    )
    bars, _ = read_bars(CONFIG, frame)
    assert bars.shape == (3, 2)
    assert np.isnan(bars.close[0, 0])
    assert bars.tradable.tolist() == [[False, True], [True, False], [False, True]]


def test_dates_and_naive_times_are_told() -> None:
    dated = pl.DataFrame({"timestamp": days(2), "A": [1.0, 1.1]})
    assert any("dates" in note for note in read_bars(CONFIG, dated)[0].notes)
    naive = dated.with_columns(pl.col("timestamp").cast(pl.Datetime("us")))
    assert any("read as UTC" in note for note in read_bars(CONFIG, naive)[0].notes)
