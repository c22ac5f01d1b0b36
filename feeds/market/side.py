"""Side tables: dated facts that a bar knows once they were published, and only as long as they are fresh."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from feeds.errors import FeedError, nearest
from feeds.market.bars import Bars
from feeds.market.config import SideTable
from feeds.market.instants import MINUTE, read_instants, typed_instant, wall_clock
from feeds.market.panel import DAY
from feeds.market.rows import namer
from feeds.market.tables import ROW, Table, Watch, find_files, open_files


@dataclass(frozen=True)
class SideFacts:
    """What each bar knows of a side table."""

    names: tuple[str, ...]  # "news.sentiment": table and column
    columns: tuple[np.ndarray, ...]  # each [T, N], or [T] where the table speaks of all assets; NaN where unknown
    known: np.ndarray  # [T, N] or [T] bool: a row that is fresh enough
    known_name: str  # "news.known"
    notes: tuple[str, ...] = ()


def join_side(side: SideTable, bars: Bars) -> SideFacts:
    """The newest row published by the end of each bar and not older than `max_age_days`.

    A publication date without time of day counts as the end of that day in UTC; so does a midnight where every row of
    the table has one, for that is how tools store days. Of rows published at one instant the last of the table counts.
    Raises FeedError naming the file where columns are missing or hold no numbers.
    """
    table = open_side(side)
    watch = Watch(table.files)
    try:
        return _join(side, bars, table)
    finally:
        watch.check()


def open_side(side: SideTable) -> Table:
    """The table behind the settings, with the columns that it is joined by."""
    keys = (side.published, *([side.symbol] if side.symbol else []))
    table = open_files(side.path, find_files(side.path), keys)
    for name in (*keys, *side.columns):
        if name not in table.columns:
            raise FeedError(f"{side.path}: column '{name}' is missing ({nearest(name, table.columns)})")
    return table


def known_from(side: SideTable, table: Table) -> tuple[np.ndarray, tuple[str, ...]]:
    """`[M]` int64 UTC microseconds from which each row is known, and notes."""
    kind = table.dtypes[side.published]
    typed = typed_instant(side.published, kind)
    stamp = pl.col(side.published) if typed is None else typed
    keys = table.collect(table.scan.select(stamp.alias("stamp"), wall_clock(side.published, kind).alias("wall"), ROW))
    instants = read_instants(keys["stamp"], kind, namer(table, keys))
    wall = instants.micros + instants.offsets * MINUTE if typed is None else keys["wall"].to_numpy()
    if not (wall % DAY == 0).all():
        return instants.micros + np.where(instants.dates, DAY, 0), ()
    note = f"{side.path}: every '{side.published}' is a midnight, read as a day that is known from its end on"
    return instants.micros + DAY, () if instants.dates.all() else (note,)


def _join(side: SideTable, bars: Bars, table: Table) -> SideFacts:
    wanted = _columns(side, table)
    micros, notes = known_from(side, table)
    symbol = pl.col(side.symbol).cast(pl.String) if side.symbol else pl.lit("")
    frame = table.collect(table.scan.select(symbol.alias("__symbol"), *wanted))
    place, strangers = _newest(side, bars, micros, frame["__symbol"])
    known = place >= 0
    names: list[str] = []
    columns: list[np.ndarray] = []
    stem = Path(side.path).name.split(".")[0]
    for name in wanted:
        for label, values in _numbers(table, frame[name]):
            column = np.where(known, values[np.maximum(place, 0)] if len(values) else np.nan, np.nan)
            names.append(f"{stem}.{label}")
            columns.append(np.where(np.isfinite(column), column, np.nan))
    return SideFacts(tuple(names), tuple(columns), known, f"{stem}.known", notes + strangers)


def _columns(side: SideTable, table: Table) -> tuple[str, ...]:
    """The columns of numbers to take."""
    keys = [side.published, *([side.symbol] if side.symbol else [])]
    rest = tuple(name for name in table.columns if name not in keys and is_numeric(table.dtypes[name]))
    if not (side.columns or rest):
        raise FeedError(f"{side.path}: no column holds numbers beside {', '.join(keys)}")
    return side.columns or rest


def is_numeric(kind: pl.DataType) -> bool:
    """Numbers, or lists of them."""
    if isinstance(kind, pl.List | pl.Array):
        return bool(kind.inner.is_numeric())
    return bool(kind.is_numeric())


def _numbers(table: Table, series: pl.Series) -> list[tuple[str, np.ndarray]]:
    """Float64 columns of a series; a list of numbers a row (an embedding) becomes one column each."""
    if not is_numeric(series.dtype):
        raise FeedError(f"{table.name}: column '{series.name}' is {series.dtype}, wanted numbers")
    if not isinstance(series.dtype, pl.List | pl.Array):
        return [(series.name, series.cast(pl.Float64).fill_null(float("nan")).to_numpy())]
    lists = series.cast(pl.List(pl.Float64))
    widths = lists.list.len().drop_nulls().unique().to_list()
    if len(widths) != 1:
        raise FeedError(
            f"{table.name}: column '{series.name}' holds lists of {sorted(widths)} numbers, wanted one length"
        )
    empty = pl.Series([[float("nan")] * widths[0]])
    matrix = pl.select(lists.fill_null(empty)).to_series().list.to_array(widths[0]).to_numpy()
    return [(f"{series.name}_{index}", matrix[:, index]) for index in range(widths[0])]


def _newest(side: SideTable, bars: Bars, micros: np.ndarray, symbols: pl.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    """The row that each bar knows, -1 where none: `[T, N]`, or `[T]` for facts of all assets; and notes."""
    ends = bars.timestamp.astype("datetime64[us]").astype(np.int64)
    assets = {symbol: index for index, symbol in enumerate(bars.symbols)}
    strange = set(symbols.unique().to_list()) - assets.keys() if side.symbol else set()
    codes = symbols.replace_strict(assets, default=-1, return_dtype=pl.Int32) if side.symbol else None
    rows = pl.DataFrame({"at": micros, "row": np.arange(len(micros)), "code": 0 if codes is None else codes})
    rows = rows.with_columns(pl.col("code").cast(pl.Int32)).sort("at", maintain_order=True)
    count = len(assets) if side.symbol else 1
    left = pl.DataFrame({"at": np.repeat(ends, count), "code": np.tile(np.arange(count, dtype=np.int32), len(ends))})
    age = int(side.max_age_days * DAY) if side.max_age_days else None
    joined = left.join_asof(rows, on="at", by="code", strategy="backward", tolerance=age, check_sortedness=False)
    place = joined["row"].fill_null(-1).to_numpy().reshape(len(ends), count)
    notes = [f"{side.path}: {len(strange)} symbols are not in the universe: {', '.join(sorted(map(str, strange))[:5])}"]
    return (place if side.symbol else place[:, 0]), tuple(notes if strange else [])
