"""Tables of prices on disk or in memory, scanned lazily with polars, and the watch over their files."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pyarrow import ArrowException, parquet

from feeds.errors import FeedError, nearest
from feeds.market.config import Columns

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".csv.gz", ".tsv")
ROW, PATH = "__row", "__path"  # columns that we add: row of the table from 0, path of its file
_OHLCV = {"open", "high", "low", "close", "volume", "adj close", "adj_close"}


@dataclass(frozen=True)
class Table:
    """One scan over files of one shape, or over a frame, which has none."""

    name: str
    files: tuple[Path, ...]
    starts: np.ndarray  # [files] int64 first row of each
    scan: pl.LazyFrame
    columns: tuple[str, ...]
    dtypes: dict[str, pl.DataType]
    text: bool = False  # from CSV
    partitions: frozenset[str] = frozenset()  # columns that come from folder names such as year=2020

    def file_of(self, rows: np.ndarray) -> np.ndarray:
        """Index of the file of each row."""
        return np.searchsorted(self.starts, rows, side="right") - 1

    def place(self, row: int) -> tuple[str, int]:
        """The file of a row of the table, and its row in that file from 1, a header not counted."""
        if not self.files:
            return self.name, row + 1
        file = int(self.file_of(np.array([row]))[0])
        return str(self.files[file]), row - int(self.starts[file]) + 1

    def collect(self, lazy: pl.LazyFrame) -> pl.DataFrame:
        """Runs a query; what polars cannot read is a FeedError that names the table."""
        try:
            return lazy.collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise FeedError(f"{self.name}: cannot be read, truncated or damaged: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def find_files(path: str, known: Sequence[str] = ()) -> tuple[Path, ...]:
    """The files of a path, sorted; `known` are names that the caller would have understood instead."""
    place = Path(path).expanduser()
    if place.is_file():
        files: tuple[Path, ...] = (place,)
    elif place.is_dir():
        inside = (file for file in sorted(place.rglob("*")) if file.is_file() and not _hidden(file, place))
        files = tuple(file for file in inside if file.name.lower().endswith(PARQUET + CSV))
        if not files:
            raise FeedError(f"{path}: the folder holds no file that ends in {', '.join(PARQUET + CSV)}")
    else:
        here = list(place.parent.iterdir()) if place.parent.is_dir() else []
        readable = [file.name for file in here if file.name.lower().endswith(PARQUET + CSV)]
        hint = nearest(place.name, [*readable, *known] if len(readable) < 20 else known)
        raise FeedError(f"{path}: no such file or folder, and no embedded set of that name; {hint}")
    for file in files:
        if not file.name.lower().endswith(PARQUET + CSV):
            raise FeedError(f"{file}: unknown kind of file; known are {', '.join(PARQUET + CSV)}")
        if file.stat().st_size == 0:
            raise FeedError(f"{file}: the file is empty (0 bytes)")
    return files


def _hidden(file: Path, root: Path) -> bool:
    return any(part.startswith((".", "_")) for part in file.relative_to(root).parts)


def open_files(name: str, files: Sequence[Path], keys: Sequence[str]) -> Table:
    """Scans files of one schema. In CSV the columns `keys` are read as text."""
    text = files[0].name.lower().endswith(CSV)
    frames: list[pl.DataFrame] = []
    heights: list[int] = []
    first: dict[str, pl.DataType] = {}
    for file in files:
        if file.name.lower().endswith(CSV) != text:
            raise FeedError(f"{file}: a set is either CSV or Parquet, and {files[0]} is of the other kind")
        frame, schema, height = _look_into(file, keys, text)
        first = first or schema
        _same_schema(files[0], first, file, schema)
        heights.append(height)
        frames += [frame.select(*first).with_columns(pl.lit(str(file)).alias(PATH))] if frame is not None else []
    if text:
        scan = pl.concat(frames).lazy().with_row_index(ROW)
    else:
        scan = pl.scan_parquet(list(files), row_index_name=ROW, include_file_paths=PATH, hive_partitioning=True)
    dtypes = dict(scan.collect_schema())
    columns = tuple(column for column in dtypes if column not in (PATH, ROW))
    partitions = frozenset(part.split("=")[0] for part in files[0].parent.parts if "=" in part)
    starts = np.cumsum([0, *heights[:-1]])
    return Table(name, tuple(files), starts, scan, columns, dtypes, text, partitions)


def _look_into(file: Path, keys: Sequence[str], text: bool) -> tuple[pl.DataFrame | None, dict[str, pl.DataType], int]:
    """Schema and rows of a file; of CSV, which must be read for that, the content too."""
    try:
        if not text:
            return None, dict(pl.read_parquet_schema(file)), parquet.read_metadata(file).num_rows
        _check_encoding(file)
        frame = _read_csv(file, keys)
        _check_separator(file, frame.columns)
        return frame, dict(frame.schema), len(frame)
    except pl.exceptions.NoDataError as error:
        raise FeedError(f"{file}: the file is empty, it has not even a header") from error
    except (pl.exceptions.PolarsError, ArrowException, OSError) as error:
        raise FeedError(f"{file}: cannot be read, truncated or damaged: {first_line(error)}") from error


def _check_encoding(file: Path) -> None:
    """FeedError where the first bytes say that the text is UTF-16, as spreadsheets like to save it."""
    with file.open("rb") as opened:
        if opened.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise FeedError(f"{file}: the file is UTF-16: save it as UTF-8")


def _check_separator(file: Path, columns: Sequence[str]) -> None:
    """FeedError where the header is one column that another separator would part."""
    for mark, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(columns) == 1 and mark in columns[0]:
            raise FeedError(f"{file}: the columns are separated by {name}: save it with commas")


def open_frame(frame: Any, timestamp: str) -> Table:
    """A polars or pandas frame; a pandas index of dates becomes the timestamp column."""
    if not isinstance(frame, pl.DataFrame | pl.LazyFrame):
        frame = _from_pandas(frame, timestamp)
    scan = frame.lazy().with_row_index(ROW).with_columns(pl.lit("frame").alias(PATH))
    dtypes = dict(scan.collect_schema())
    columns = tuple(column for column in dtypes if column not in (PATH, ROW))
    return Table("frame", (), np.zeros(1, np.int64), scan, columns, dtypes)


def _from_pandas(frame: Any, timestamp: str) -> pl.DataFrame:
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise FeedError(f"frame: wanted a pandas or polars frame, got {type(frame).__name__}")
    if isinstance(frame.index, pd.DatetimeIndex) or frame.index.name == timestamp:
        frame = frame.rename_axis(index=timestamp).reset_index()
    elif isinstance(frame.index, pd.MultiIndex):
        frame = frame.reset_index()
    try:
        return pl.DataFrame([_from_pandas_column(str(name), frame[name]) for name in frame.columns])
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise FeedError(f"frame: a column holds mixed kinds: {first_line(error)}") from error


def _from_pandas_column(name: str, column: Any) -> pl.Series:
    """Zoned datetimes as UTC; dates and datetimes kept as objects as text, which tells their zones apart."""
    import pandas as pd

    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return pl.Series(name, column.dt.tz_convert(None).to_numpy()).dt.replace_time_zone("UTC")
    if column.dtype == object and len(column) and isinstance(column.iloc[0], date):
        return pl.Series(name, [None if pd.isna(value) else str(value) for value in column])
    return pl.from_pandas(column).alias(name)


def _read_csv(file: Path, keys: Sequence[str]) -> pl.DataFrame:
    """Text has no types: the whole file is read, so that no ragged line passes; what looks like numbers is float64."""
    separator = "\t" if file.name.lower().endswith(".tsv") else ","
    header = pl.read_csv(file, separator=separator, infer_schema=False, n_rows=0).columns
    types = {column: pl.String() for column in header if column in keys}
    frame = pl.read_csv(file, separator=separator, schema_overrides=types, infer_schema_length=None)
    hollow = [name for name in frame.columns if name not in types and frame[name].null_count() == len(frame)]
    return frame.with_columns(pl.selectors.numeric().cast(pl.Float64), pl.col(hollow).cast(pl.Float64))


def _same_schema(first: Path, wanted: dict[str, pl.DataType], file: Path, got: dict[str, pl.DataType]) -> None:
    for column in sorted(wanted.keys() ^ got.keys()):
        has, lacks = (first, file) if column in wanted else (file, first)
        raise FeedError(f"{lacks}: column '{column}' is missing, which {has} has; the files of a set share columns")
    for column, dtype in wanted.items():
        zones = [getattr(kind, "time_zone", None) for kind in (dtype, got[column])]
        if zones[0] != zones[1]:
            raise FeedError(
                f"{file}: mixed time zones: column '{column}' is in {zones[1] or 'no zone'}, "
                f"in {first} it is in {zones[0] or 'no zone'}"
            )
        if dtype != got[column]:
            raise FeedError(f"{file}: column '{column}' is {got[column]}, in {first} it is {dtype}")


def is_long(table: Table, columns: Columns) -> bool:
    """Whether rows are (timestamp, symbol, close …); raises FeedError where neither form fits."""
    present = table.columns
    for wanted in (columns.timestamp, columns.close if columns.symbol in present else columns.timestamp):
        if wanted not in present:
            key = "timestamp" if wanted == columns.timestamp else "close"
            raise FeedError(
                f"{table.name}: column '{wanted}' is missing ({nearest(wanted, present)}); "
                f"set feed.columns.{key} to what the table calls it"
            )
    if columns.symbol in present or columns.close in present:
        return True
    lookalikes = [column for column in present if column.strip().lower() in _OHLCV]
    if len(lookalikes) > 1:
        raise FeedError(
            f"{table.name}: column '{columns.close}' is missing, yet there are {', '.join(lookalikes)}; "
            "set feed.columns.close, feed.columns.open … to what the table calls them"
        )
    if len(present) < 2:
        raise FeedError(f"{table.name}: no column holds prices; a wide table has one column a symbol")
    return False


class Watch:
    """Notices that files changed while they were read: by name, size, time of change and content."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = tuple(files)
        self._before = [self._look(file) for file in self.files]

    @staticmethod
    def _look(file: Path) -> tuple[int, int, str]:
        state = file.stat()
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        return state.st_size, state.st_mtime_ns, content

    def check(self) -> None:
        """Raises FeedError naming the first file that is no longer what it was."""
        for file, before in zip(self.files, self._before, strict=True):
            try:
                changed = self._look(file) != before
            except OSError:
                changed = True
            if changed:
                raise FeedError(f"{file}: the file changed while it was being read; read it again once it is complete")
