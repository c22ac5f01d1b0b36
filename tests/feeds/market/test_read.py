"""Reading: every form of table gives the same bars; files that change while they are read are caught."""

import os
import warnings
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from feeds.errors import FeedError
from feeds.market import read, rows
from feeds.market.config import Columns, MarketConfig
from feeds.market.read import read_bars
from tests.feeds.market.frames import CONFIG, config_of, days, long_frame, wide_frame, write


def test_long_frame_by_hand() -> None:
    frame = pl.DataFrame(
        {
            "timestamp": [date(2020, 1, 2), date(2020, 1, 3), date(2020, 1, 2), date(2020, 1, 3)],
            "symbol": ["B", "B", "A", "A"],
            "close": [2.0, 2.5, 1.0, 1.5],
        }
    )
    bars, report = read_bars(CONFIG, frame)
    assert bars.symbols == ("A", "B")
    assert bars.timestamp.astype(str).tolist() == ["2020-01-02T00:00:00.000000", "2020-01-03T00:00:00.000000"]
    assert bars.close.tolist() == [[1.0, 2.0], [1.5, 2.5]]
    assert bars.listed.all()
    assert bars.tradable.all()
    assert (bars.open, bars.high, bars.low, bars.volume) == (None, None, None, None)
    assert report.facts == {"rows": "4", "symbols": "2", "bars": report.facts["bars"]}
    assert report.facts["bars"].startswith("2 from ")
    assert report.findings == ()


@pytest.mark.parametrize("form", ["file", "csv", "folder", "hive", "hive_symbol", "pandas", "lazy"])
def test_every_form_of_a_long_table_gives_the_same_bars(form: str, tmp_path: Path) -> None:
    frame = long_frame()
    expected, _ = read_bars(CONFIG, frame)
    source: object = None
    path = tmp_path / "prices"
    if form == "file":
        path = write(frame, tmp_path / "prices.parquet")
    elif form == "csv":
        path = write(frame, tmp_path / "prices.csv")
    elif form == "folder":
        write(frame[:45], path / "a.parquet")
        write(frame[45:], path / "nested" / "b.parquet")
        (path / "_SUCCESS").touch()
    elif form == "hive":
        write(frame[:45], path / "year=2019" / "a.parquet")
        write(frame[45:], path / "year=2020" / "a.parquet")
    elif form == "hive_symbol":
        for symbol in ("AAA", "BBB", "CCC"):
            part = frame.filter(pl.col("symbol") == symbol).drop("symbol")
            write(part, path / f"symbol={symbol}" / "part.parquet")
    elif form == "pandas":
        source = frame.to_pandas().set_index("timestamp")
    else:
        source = frame.lazy()
    bars, report = read_bars(config_of(path), source)
    assert bars.digest == expected.digest
    assert report.counts == {}
    assert report.facts["rows"] == "90"


@pytest.mark.parametrize("form", ["parquet", "csv", "frame", "pandas"])
def test_wide_tables_give_the_closes_of_the_long_one(form: str, tmp_path: Path) -> None:
    frame = long_frame()
    expected, _ = read_bars(CONFIG, frame.select("timestamp", "symbol", "close"))
    wide = wide_frame(frame)
    source = {"frame": wide, "pandas": wide.to_pandas().set_index("timestamp")}.get(form)
    path = tmp_path / "unused" if source is not None else write(wide, tmp_path / f"wide.{form}")
    bars, _ = read_bars(config_of(path), source)
    assert bars.digest == expected.digest
    assert bars.open is None


def test_one_file_an_asset_is_called_after_its_file(tmp_path: Path) -> None:
    frame = long_frame()
    for symbol in ("AAA", "BBB", "CCC"):
        write(frame.filter(pl.col("symbol") == symbol).drop("symbol"), tmp_path / f"{symbol}.csv")
    bars, _ = read_bars(config_of(tmp_path))
    assert bars.symbols == ("AAA", "BBB", "CCC")
    assert bars.digest == read_bars(CONFIG, frame)[0].digest


def test_columns_are_mapped(tmp_path: Path) -> None:
    renamed = long_frame().rename({"timestamp": "Date", "symbol": "Ticker", "close": "Adj Close"})
    columns = Columns(timestamp="Date", symbol="Ticker", close="Adj Close")
    bars, _ = read_bars(config_of(write(renamed, tmp_path / "p.parquet"), columns=columns))
    assert bars.digest == read_bars(CONFIG, long_frame())[0].digest


def test_extra_columns_are_features_on_request() -> None:
    frame = long_frame().with_columns(pl.col("close").log().alias("score"))
    bars, _ = read_bars(CONFIG.model_copy(update={"columns": Columns(extras=("score",))}), frame)
    assert np.array_equal(bars.extras["score"], np.log(bars.close))


def test_symbols_and_dates_are_selected() -> None:
    frame = long_frame()
    wanted = {"symbols": ("CCC", "AAA"), "start": date(2020, 1, 5), "end": date(2020, 1, 8)}
    whole, _ = read_bars(CONFIG, frame)
    for source in (frame, wide_frame(frame), frame.with_columns(pl.col("timestamp").dt.strftime("%Y-%m-%d"))):
        bars, _ = read_bars(CONFIG.model_copy(update=wanted), source)
        assert bars.symbols == ("CCC", "AAA")
        assert bars.timestamp.astype("datetime64[D]").tolist() == days(4, "2020-01-05")
        assert bars.close.tolist() == whole.close[4:8][:, [2, 0]].tolist()
    with pytest.raises(FeedError, match=r"no rows of symbol 'AAB': did you mean 'AAA'"):
        read_bars(CONFIG.model_copy(update={"symbols": ("AAB",)}), frame)
    with pytest.raises(FeedError, match="no rows from 2031-01-01"):
        read_bars(CONFIG.model_copy(update={"start": date(2031, 1, 1)}), frame)


def test_the_digest_follows_content_alone() -> None:
    frame = long_frame()
    digest = read_bars(CONFIG, frame)[0].digest
    assert len(digest) == 64
    lenient = CONFIG.model_copy(update={"policy": "quarantine"})
    assert read_bars(lenient, frame.sample(fraction=1.0, shuffle=True, seed=1))[0].digest == digest
    nudged = frame.with_columns(pl.col("volume") + 1e-9)
    assert read_bars(CONFIG, nudged)[0].digest != digest
    assert read_bars(CONFIG, frame.with_columns(pl.col("symbol").str.to_lowercase()))[0].digest != digest


def test_the_embedded_stocks_tell_what_they_are() -> None:
    before = list(warnings.filters)
    bars, report = read_bars(MarketConfig())
    assert list(warnings.filters) == before
    assert bars.shape == (5785, 20)
    assert str(bars.timestamp[0])[:10] == "2000-01-03"
    assert report.counts == {}
    notes = " ".join(bars.notes)
    for word in ("survivors", "9.7 points", "testing and example purposes, not for commercial use", "0.001"):
        assert word in notes
    assert notes.count("survivors") == 1
    early, _ = read_bars(MarketConfig(start=date(1990, 1, 1), symbols=("RRC", "AAPL")))
    assert early.shape == (8313, 2)
    assert str(early.timestamp[0])[:10] == "1990-01-02"


def test_the_embedded_index_has_opens_and_volume() -> None:
    bars, report = read_bars(MarketConfig(path="sp500-ohlcv"))
    assert bars.shape == (5031, 1)
    assert bars.symbols == ("SP500",)
    assert bars.open is not None
    assert bars.volume is not None
    assert (bars.high >= bars.low).all()  # type: ignore[operator]
    assert report.counts == {}


def test_a_changing_file_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(long_frame(), tmp_path / "prices.parquet")
    other = write(long_frame(seed=1), tmp_path / "other")
    original = rows.load_column

    def slow(*arguments: object) -> np.ndarray:
        os.replace(other, path) if other.exists() else None
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(rows, "load_column", slow)
    with pytest.raises(FeedError, match=r"prices.parquet: the file changed while it was being read"):
        read_bars(config_of(path))


def test_a_change_that_keeps_size_and_time_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("timestamp,symbol,close\n2020-01-01,A,1.5\n2020-01-02,A,1.6\n")
    state, original = path.stat(), read.fill

    def slow(*arguments: object) -> None:
        original(*arguments)  # type: ignore[arg-type]
        path.write_text(path.read_text().replace("1.6", "1.7"))
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))

    monkeypatch.setattr(read, "fill", slow)
    with pytest.raises(FeedError, match="changed while it was being read"):
        read_bars(config_of(path))
