"""A table as rows of (instant, symbol, values), whichever form it came in. Values are loaded one column at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from feeds.errors import FeedError, nearest
from feeds.findings import row_in
from feeds.market.config import MarketConfig
from feeds.market.instants import Instants, read_instants, typed_instant
from feeds.market.tables import PATH, ROW, Table, is_long

VALUES = ("close", "open", "high", "low", "volume")


@dataclass(frozen=True)
class Rows:
    """M rows in the order of their files."""

    table: Table
    symbols: tuple[str, ...]  # N
    instants: Instants  # [M]
    code: np.ndarray  # [M] int32 index into symbols
    row: np.ndarray  # [M] row of the table, from 0
    columns: tuple[str, ...]  # of VALUES and the extra columns: those that are there
    load: Callable[[str], np.ndarray]  # float64 [M] of one of them
    unknown: tuple[str, ...] = ()  # columns that nobody asked for
    wide: bool = False


def read_rows(table: Table, config: MarketConfig) -> Rows:
    """The rows between `start` and `end` of the wanted symbols; raises FeedError on columns of the wrong kind."""
    rows = _read_long(table, config) if is_long(table, config.columns) else _read_wide(table, config)
    if not len(rows.code):
        raise FeedError(f"{table.name}: no rows{_time_clause(config)}")
    return rows


def _time_clause(config: MarketConfig) -> str:
    wanted = [f" from {config.start}"] if config.start else []
    wanted += [f" until {config.end}"] if config.end else []
    return "".join(wanted)


def _micros(config: MarketConfig) -> tuple[int, int]:
    """First instant and the instant after the last, both of whole UTC days."""
    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    if config.start:
        low = int(np.datetime64(config.start, "us").astype(np.int64))
    if config.end:
        high = int(np.datetime64(config.end + timedelta(days=1), "us").astype(np.int64))
    return low, high


def _read_long(table: Table, config: MarketConfig) -> Rows:
    names = config.columns
    kind = table.dtypes[names.timestamp]
    every = table.scan
    if names.symbol not in table.columns:  # one asset a file, called after it
        every = every.with_columns(stem_of_file().alias(names.symbol))
    lazy = every.filter(_wanted(table, config))
    typed = typed_instant(names.timestamp, kind)
    stamp = pl.col(names.timestamp) if typed is None else typed
    keys = table.collect(lazy.select(stamp.alias("stamp"), pl.col(names.symbol).alias("symbol"), ROW))
    _check_symbols(table, keys)
    instants = read_instants(keys["stamp"], kind, namer(table, keys))
    low, high = _micros(config)
    keep = (instants.micros >= low) & (instants.micros < high)
    whole = bool(keep.all())  # dates and datetimes were filtered by the scan already
    if not whole:
        instants, keys = Instants(*(part[keep] for part in vars(instants).values())), keys.filter(keep)

    def load(name: str) -> np.ndarray:
        values = load_column(table, lazy, getattr(names, name) if name in VALUES else name)
        if len(values) != len(keep):
            raise FeedError(f"{table.name}: the file changed while it was being read; it has other rows now")
        return values if whole else values[keep]

    symbols, code = _codes(table, every, keys["symbol"].cast(pl.String), config)
    columns, unknown = _value_columns(table, config)
    return Rows(table, symbols, instants, code, keys[ROW].to_numpy(), columns, load, unknown)


def stem_of_file() -> pl.Expr:
    """What the file of each row is called, without its endings."""
    return pl.col(PATH).str.replace_all(r"\\", "/").str.split("/").list.last().str.split(".").list.first()


def _wanted(table: Table, config: MarketConfig) -> pl.Expr:
    """The rows to read; missing keys pass, for the checks to find them."""
    names = config.columns
    expression = pl.lit(True)
    typed = typed_instant(names.timestamp, table.dtypes[names.timestamp])
    if typed is not None and (config.start or config.end):
        low, high = _micros(config)
        expression = ((typed >= low) & (typed < high)) | typed.is_null()
    if config.symbols:
        symbol = pl.col(names.symbol).cast(pl.String)
        expression = expression & (symbol.is_in(list(config.symbols)) | symbol.is_null())
    return expression


def namer(table: Table, keys: pl.DataFrame) -> Callable[[int], str]:
    """Names a row of `keys` by file and row."""

    def place(index: int) -> str:
        file, row = table.place(keys[ROW][index]) if len(keys) else (table.name, 0)
        return f"{file}, {row_in(file, row)}"

    return place


def _check_symbols(table: Table, keys: pl.DataFrame) -> None:
    missing = keys["symbol"].is_null()
    if missing.any():
        first = namer(table, keys)(int(missing.arg_max() or 0))
        raise FeedError(f"{first}: no symbol is named; {int(missing.sum())} such rows in all")


def _codes(
    table: Table, every: pl.LazyFrame, series: pl.Series, config: MarketConfig
) -> tuple[tuple[str, ...], np.ndarray]:
    """Symbols in the order of the settings, else sorted, and each row's index into them."""
    present = series.unique()
    symbols = list(config.symbols) or present.sort().to_list()
    missing = set(symbols) - set(present.to_list())
    if missing:
        known = table.collect(every.select(pl.col(config.columns.symbol).cast(pl.String).unique()))
        _all_there(table, symbols, set(known.to_series().to_list()))
        raise FeedError(f"{table.name}: no rows of symbol '{min(missing)}'{_time_clause(config)}")
    codes = series.cast(pl.Enum(symbols)).to_physical().cast(pl.Int32)
    return tuple(symbols), codes.to_numpy()


def _all_there(table: Table, wanted: list[str], present: set[str]) -> None:
    for symbol in wanted:
        if symbol not in present:
            raise FeedError(f"{table.name}: no rows of symbol '{symbol}': {nearest(symbol, present)}")


def _value_columns(table: Table, config: MarketConfig) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns of values that are there, by our names, and those that nobody asked for."""
    names = config.columns
    columns = tuple(name for name in VALUES if getattr(names, name) in table.columns)
    for extra in names.extras:
        if extra not in table.columns:
            raise FeedError(f"{table.name}: column '{extra}' is missing ({nearest(extra, table.columns)})")
    used = {names.timestamp, names.symbol, names.currency, *names.extras, *(getattr(names, name) for name in columns)}
    unknown = tuple(column for column in table.columns if column not in used | table.partitions)
    return columns + names.extras, unknown


def load_column(table: Table, lazy: pl.LazyFrame, column: str) -> np.ndarray:
    """Float64 values, NaN where missing; raises FeedError where they are no numbers."""
    _numbers_only(table, column)
    series = table.collect(lazy.select(column))[column]
    return series.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _numbers_only(table: Table, column: str, hint: str = "") -> None:
    """Raises FeedError naming the first row of a CSV column that holds no number, or the kind of any other column."""
    if table.dtypes[column].is_numeric():
        return
    if table.text:
        text = table.collect(table.scan.select(pl.col(column).cast(pl.String)))[column]
        bad = text.is_not_null() & text.cast(pl.Float64, strict=False).is_null()
        if bad.any():
            line = int(bad.arg_max() or 0)
            file, row = table.place(line)
            raise FeedError(
                f"{file}, {row_in(file, row)}: column '{column}' holds '{text[line]}', wanted a number{hint}"
            )
    raise FeedError(f"{table.name}: column '{column}' is {table.dtypes[column]}, wanted numbers{hint}")


def _read_wide(table: Table, config: MarketConfig) -> Rows:
    """One row for each cell that holds a number; an empty cell says that there was no bar."""
    names = config.columns
    present = [column for column in table.columns if column != names.timestamp]
    symbols = tuple(config.symbols) or tuple(present)
    _all_there(table, list(symbols), set(present))
    kind = table.dtypes[names.timestamp]
    typed = typed_instant(names.timestamp, kind)
    stamp = pl.col(names.timestamp) if typed is None else typed
    for symbol in symbols:
        _numbers_only(table, symbol, "; in a long table set feed.columns.symbol and feed.columns.close")
    lazy = table.scan
    keys = table.collect(lazy.select(stamp.alias("stamp"), ROW))
    instants = read_instants(keys["stamp"], kind, namer(table, keys))
    frame = table.collect(lazy.select(pl.col(list(symbols)).cast(pl.Float64)))
    if len(frame) != len(keys):
        raise FeedError(f"{table.name}: the file changed while it was being read; it has other rows now")
    values = frame.fill_null(float("nan")).to_numpy()
    low, high = _micros(config)
    inside = (instants.micros >= low) & (instants.micros < high)
    line, code = np.nonzero(~np.isnan(values) & inside[:, None])
    cells = values[line, code]
    spread = Instants(*(part[line] for part in vars(instants).values()))
    row = keys[ROW].to_numpy()[line]
    return Rows(table, symbols, spread, code.astype(np.int32), row, ("close",), lambda name: cells, wide=True)
