"""Files that cannot be used: each is refused with one sentence that names file, column or row."""

from datetime import date
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from feeds.errors import FeedError
from feeds.market.config import Columns
from feeds.market.read import read_bars
from tests.feeds.market.frames import CONFIG, config_of, long_frame, wide_frame, write


def refusal(path: Path, **settings: object) -> str:
    with pytest.raises(FeedError) as caught:
        read_bars(config_of(path, **settings))
    told = str(caught.value)
    assert "\n" not in told
    return told


def text(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def test_a_truncated_parquet_file(tmp_path: Path) -> None:
    path = write(long_frame(), tmp_path / "prices.parquet")
    whole = path.read_bytes()
    for size in (len(whole) // 2, len(whole) - 3, 3):
        path.write_bytes(whole[:size])
        told = refusal(path)
        assert told.startswith(f"{path}: cannot be read, truncated or damaged")


def test_a_parquet_file_damaged_in_the_middle(tmp_path: Path) -> None:
    path = write(long_frame(400), tmp_path / "prices.parquet")
    whole = bytearray(path.read_bytes())
    whole[200:1200] = bytes(1000)
    path.write_bytes(whole)
    assert "prices.parquet" in refusal(path)


def test_a_truncated_csv_file(tmp_path: Path) -> None:
    path = text(tmp_path / "prices.csv", "timestamp,symbol,close\n2020-01-01,A,1.0\n2020-01-02,A")
    assert "row 2, line 3 (A, 2020-01-02): close is nan" in refusal(path)
    path = text(path, "timestamp,symbol,close\n2020-01-01,A,1.0\n2020-01-0")
    assert "row 2" in refusal(path)


def test_a_csv_whose_last_line_does_not_end_is_told(tmp_path: Path) -> None:
    path = text(tmp_path / "prices.csv", "timestamp,symbol,close\n2020-01-01,A,1.0\n2020-01-02,A,1.01")
    assert any("the last line does not end" in note for note in read_bars(config_of(path))[0].notes)
    text(path, path.read_text() + "\n")
    assert not any("the last line does not end" in note for note in read_bars(config_of(path))[0].notes)


def test_empty_files(tmp_path: Path) -> None:
    for name in ("a.csv", "a.parquet"):
        (tmp_path / name).touch()
        assert refusal(tmp_path / name) == f"{tmp_path / name}: the file is empty (0 bytes)"
    assert refusal(text(tmp_path / "b.csv", "timestamp,symbol,close\n")).endswith("b.csv: no rows")
    write(long_frame()[:0], tmp_path / "b.parquet")
    assert refusal(tmp_path / "b.parquet").endswith("b.parquet: no rows")
    (tmp_path / "folder").mkdir()
    assert "the folder holds no file that ends in .parquet" in refusal(tmp_path / "folder")


def test_a_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    write(long_frame(), tmp_path / "prices.parquet")
    assert "did you mean 'prices.parquet'?" in refusal(tmp_path / "price.parquet")
    assert "did you mean 'sp500-ohlcv'?" in refusal(Path("sp500-ohlc"))
    assert "unknown kind of file" in refusal(text(tmp_path / "prices.xlsx", "x"))


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    long_frame().write_csv(path, include_bom=True)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert read_bars(config_of(path))[0].digest == read_bars(CONFIG, long_frame())[0].digest


@pytest.mark.parametrize(("old", "new", "hint"), [("close", "clsoe", "clsoe"), ("timestamp", "stamp", "stamp")])
def test_a_renamed_column_is_named_with_its_setting(old: str, new: str, hint: str, tmp_path: Path) -> None:
    told = refusal(write(long_frame().rename({old: new}), tmp_path / "p.parquet"))
    assert f"column '{old}' is missing (did you mean '{hint}'?); set feed.columns.{old}" in told


def test_a_table_of_one_asset_is_not_taken_for_a_wide_one(tmp_path: Path) -> None:
    frame = long_frame(symbols=("A",)).drop("symbol").rename(str.title).rename({"Timestamp": "timestamp"})
    assert "column 'close' is missing, yet there are Open, High, Low, Close" in refusal(
        write(frame, tmp_path / "p.csv")
    )


def test_files_of_one_folder_share_columns_and_zones(tmp_path: Path) -> None:
    frame = long_frame()
    write(frame[:45], tmp_path / "a.parquet")
    write(frame[45:].rename({"volume": "Volume"}), tmp_path / "b.parquet")
    assert refusal(tmp_path).startswith(f"{tmp_path / 'a.parquet'}: column 'Volume' is missing")
    write(frame[45:].with_columns(pl.col("volume").cast(pl.Int64)), tmp_path / "b.parquet")
    assert "column 'volume' is Int64, in" in refusal(tmp_path)
    write(frame[45:].with_columns(pl.col("timestamp").dt.replace_time_zone("Asia/Tokyo")), tmp_path / "b.parquet")
    told = refusal(tmp_path)
    assert "b.parquet: mixed time zones: column 'timestamp' is in Asia/Tokyo, in" in told


def test_text_where_numbers_belong(tmp_path: Path) -> None:
    path = text(tmp_path / "p.csv", "timestamp,symbol,close\n2020-01-01,A,1.0\n2020-01-02,A,n/a\n")
    assert refusal(path) == f"{path}, row 2, line 3: column 'close' holds 'n/a', wanted a number"
    path = text(tmp_path / "w.csv", "timestamp,A,B\n2020-01-01,1.0,2.0\n2020-01-02,1.1,x\n")
    assert "row 2, line 3: column 'B' holds 'x', wanted a number" in refusal(path)
    frame = long_frame().with_columns(pl.col("close").cast(pl.String))
    assert "column 'close' is String, wanted numbers" in refusal(write(frame, tmp_path / "p.parquet"))
    wide = wide_frame(long_frame()).with_columns(pl.col("BBB").cast(pl.String))
    told = refusal(write(wide, tmp_path / "w.parquet"))
    assert "column 'BBB' is String, wanted numbers; in a long table set feed.columns.symbol" in told


def test_too_many_fields(tmp_path: Path) -> None:
    path = text(tmp_path / "p.csv", "timestamp,symbol,close\n2020-01-01,A,1.0,9\n2020-01-02,A,1.0\n")
    assert "cannot be read, truncated or damaged" in refusal(path)


def test_timestamps_that_are_none(tmp_path: Path) -> None:
    for stamp, hint in (("soon", "'soon' cannot be read"), ("02/01/2020", "'02/01/2020'"), ("", "row 2")):
        path = text(tmp_path / "p.csv", f"timestamp,symbol,close\n2020-01-01,A,1.0\n{stamp},A,1.0\n")
        assert hint in refusal(path)
    frame = long_frame().with_columns(pl.col("timestamp").dt.epoch("s"))
    assert "the timestamp is Int64" in refusal(write(frame, tmp_path / "p.parquet"))
    frame = long_frame().with_columns(timestamp=pl.when(pl.col("close") > 0).then(None).otherwise("timestamp"))
    assert "row 1: the timestamp is missing" in refusal(write(frame, tmp_path / "p.parquet"))


def test_a_row_without_symbol(tmp_path: Path) -> None:
    frame = long_frame().with_columns(symbol=pl.when(pl.col("symbol") == "BBB").then(None).otherwise("symbol"))
    path = write(frame, tmp_path / "p.parquet")
    assert refusal(path) == f"{path}, row 2: no symbol is named; 30 such rows in all"


def test_mixed_currencies(tmp_path: Path) -> None:
    money = pl.when(pl.col("symbol") == "CCC").then(pl.lit("PHP")).otherwise(pl.lit("USD"))
    path = write(long_frame().with_columns(currency=money), tmp_path / "p.parquet")
    for policy in ("error", "clip", "quarantine"):
        assert "mixed currencies: symbol 'AAA' is in USD, 'CCC' in PHP" in refusal(path, policy=policy)
    bars, report = read_bars(config_of(path, symbols=("AAA", "BBB")))
    assert bars.symbols == ("AAA", "BBB")
    assert report.counts == {}


def test_a_bar_labelled_by_its_start_is_refused(tmp_path: Path) -> None:
    path = write(long_frame().rename({"timestamp": "open_time"}), tmp_path / "p.parquet")
    told = refusal(path, columns=Columns(timestamp="open_time"))
    assert "'open_time' names the start of a bar, wanted the column of its end" in told


def test_frames_of_mixed_zones_and_other_things() -> None:
    stamps = [pd.Timestamp("2020-01-01", tz="UTC"), pd.Timestamp("2020-01-02", tz="Asia/Tokyo")]
    frame = pd.DataFrame({"timestamp": pd.Series(stamps, dtype=object), "symbol": "A", "close": [1.0, 1.1]})
    with pytest.raises(FeedError, match="mixed time zones: \\+9 h from UTC"):
        read_bars(CONFIG, frame)
    with pytest.raises(FeedError, match="wanted a pandas or polars frame, got list"):
        read_bars(CONFIG, [1, 2])
    dates = pd.DataFrame({"timestamp": [date(2020, 1, 1), date(2020, 1, 2)], "symbol": "A", "close": [1.0, 1.1]})
    assert read_bars(CONFIG, dates)[0].shape == (2, 1)


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_another_separator_is_named(tmp_path: Path, mark: str, name: str) -> None:
    path = text(tmp_path / "prices.csv", f"timestamp{mark}symbol{mark}close\n2020-01-02{mark}A{mark}1\n")
    assert refusal(path) == f"{path}: the columns are separated by {name}: save it with commas"


def test_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes("timestamp,symbol,close\n2020-01-02,A,1\n".encode("utf-16"))
    assert refusal(path) == f"{path}: the file is UTF-16: save it as UTF-8"
