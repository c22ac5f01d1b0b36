"""Tables of prices on disk or in memory, scanned lazily with polars, and the watch over their files."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from feeds.errors import FeedError, nearest
from feeds.market.config import Columns

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".csv.gz", ".tsv")
FILE, ROW = "__file", "__row"  # columns that we add: index of the file, row within it counted from 0
_OHLCV = {"open", "high", "low", "close", "volume", "adj close", "adj_close"}


@dataclass(frozen=True)
class Table:
    """One scan for each file, all of one shape; a frame is a table with a single nameless file."""

    name: str
    files: tuple[Path, ...]  # empty for a frame
    scans: tuple[pl.LazyFrame, ...]
    labels: tuple[str, ...]  # how errors name each scan
    columns: tuple[str, ...]
    dtypes: dict[str, pl.DataType]
    text: bool = False  # from CSV
    partitions: frozenset[str] = frozenset()  # columns that come from folder names such as year=2020

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
        siblings = [file.name for file in place.parent.iterdir()] if place.parent.is_dir() else []
        hint = nearest(place.name, [*siblings, *known]) if len(siblings) < 1000 else ""
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
    scans, first = [], None
    for index, file in enumerate(files):
        scan = _scan(file, keys).with_columns(pl.lit(index, pl.Int32).alias(FILE))
        schema = _schema(file, scan)
        if first is None:
            first = schema
        _same_schema(files[0], first, file, schema)
        scans.append(scan.select(*first.keys()))
    assert first is not None
    columns = tuple(column for column in first if column not in (FILE, ROW))
    text = files[0].name.lower().endswith(CSV)
    partitions = frozenset(part.split("=")[0] for part in files[0].parent.parts if "=" in part)
    labels = tuple(str(file) for file in files)
    return Table(name, tuple(files), tuple(scans), labels, columns, first, text, partitions)


def open_frame(frame: Any, timestamp: str) -> Table:
    """A polars or pandas frame; a pandas index of dates becomes the timestamp column."""
    if not isinstance(frame, pl.DataFrame | pl.LazyFrame):
        frame = _from_pandas(frame, timestamp)
    scan = frame.lazy().with_row_index(ROW).with_columns(pl.lit(0, pl.Int32).alias(FILE))
    dtypes = dict(scan.collect_schema())
    columns = tuple(column for column in dtypes if column not in (FILE, ROW))
    return Table("frame", (), (scan,), ("frame",), columns, dtypes)


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


def _scan(file: Path, keys: Sequence[str]) -> pl.LazyFrame:
    try:
        if file.name.lower().endswith(PARQUET):
            return pl.scan_parquet(file, row_index_name=ROW, hive_partitioning=True)
        return _read_csv(file, keys).lazy()
    except pl.exceptions.NoDataError as error:
        raise FeedError(f"{file}: the file is empty, it has not even a header") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        raise FeedError(f"{file}: cannot be read, truncated or damaged: {first_line(error)}") from error


def _read_csv(file: Path, keys: Sequence[str]) -> pl.DataFrame:
    """Text has no types: the whole file is read, so that no ragged line passes; what looks like numbers is float64."""
    separator = "\t" if file.name.lower().endswith(".tsv") else ","
    header = pl.read_csv(file, separator=separator, infer_schema=False, n_rows=0).columns
    types = {column: pl.String() for column in header if column in keys}
    frame = pl.read_csv(file, separator=separator, schema_overrides=types, infer_schema_length=None)
    hollow = [name for name in frame.columns if name not in types and frame[name].null_count() == len(frame)]
    return frame.with_columns(pl.selectors.numeric().cast(pl.Float64), pl.col(hollow).cast(pl.Float64)).with_row_index(
        ROW
    )


def _schema(file: Path, scan: pl.LazyFrame) -> dict[str, pl.DataType]:
    try:
        return dict(scan.collect_schema())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise FeedError(f"{file}: cannot be read, truncated or damaged: {first_line(error)}") from error


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
