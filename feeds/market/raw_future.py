"""The proof from the raw rows: change those after t before anything is read, read anew, and see what changes up to t.

`feeds.market.future` changes bars that were read and checked; here reading and checking stand trial too, since a rule
that mends or takes out a row by what comes later would look ahead.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from feeds.market.bars import Bars
from feeds.market.config import MarketConfig
from feeds.market.feed import MarketFeed
from feeds.market.future import Trial, change_sides, compare_up_to, first_seen, whole_parts
from feeds.market.instants import read_instants, typed_instant
from feeds.market.read import Source, open_source, read_source
from feeds.market.rows import namer, stem_of_file
from feeds.market.tables import PATH, ROW, Table, is_long

CELLS = 250_000  # bars times symbols: of more symbols a sample is read, so that the proof takes seconds
_SPREAD = 0.2  # deviation of the log factors that raw numbers are multiplied by
_WILD, _EMPTY, _GONE = 0.02, 0.02, 0.2  # shares of rows with a jump, without numbers, and missing

Read = Callable[[Source], Bars]


@dataclass(frozen=True)
class RawProof:
    """What changed raw rows showed, and of how much of the table."""

    trials: tuple[Trial, ...]
    bars: Bars  # of the sample, unchanged
    rows: tuple[int, ...]  # changed in each trial
    symbols: int  # of the whole table
    sides: int  # side tables that were changed too


def raw_trials(config: MarketConfig, bars: Bars, seed: int = 0, read: Read | None = None) -> RawProof:
    """One changed future of every part; `bars` are those of the whole table, `read` is what is put to the proof.

    t is the last bar of the train part, where scalers are at stake as well, and the middle of the others.
    """
    read = read or _bars
    source = _sampled(open_source(_narrow(config, bars)))
    base = read(source)
    used = whole_parts(config, base)
    feed = MarketFeed(used, bars=base)
    micros = instants_of(source)
    trials, rows = [], []
    for split, part in feed.parts.items():
        bar = _instant(split, max(part.start, first_seen(feed, split)), part.stop)
        end = base.timestamp[bar].astype("datetime64[us]").astype(np.int64)
        later = micros > end
        if not later.any():
            continue
        changed = read(replace(source, table=change_rows(source, later, seed + bar)))
        with TemporaryDirectory() as folder:
            sides = change_sides(used, base, bar, Path(folder))
            trials.append(
                compare_up_to(feed, MarketFeed(sides, bars=changed), split, bar, seed=seed, scaled=used.scale != "none")
            )
        rows.append(int(later.sum()))
    return RawProof(tuple(trials), base, tuple(rows), len(bars.symbols), len(config.side_tables))


def _bars(source: Source) -> Bars:
    return read_source(source)[0]


def _instant(split: str, start: int, stop: int) -> int:
    return stop - 1 if split == "train" else start + (stop - start) // 2


def _narrow(config: MarketConfig, bars: Bars) -> MarketConfig:
    """The settings for a sample of the symbols: the one of most bars, and others at equal distances."""
    length, symbols = bars.shape
    most = max(CELLS // length, 1)
    if most >= symbols or config.actions.mode == "portfolios":  # given portfolios weigh every symbol
        return config
    longest = int(bars.tradable.sum(axis=0).argmax())
    chosen = {longest, *np.linspace(0, symbols - 1, most).astype(int).tolist()}
    chosen -= set(np.flatnonzero(~bars.tradable.any(axis=0)).tolist())
    return config.model_copy(update={"symbols": tuple(bars.symbols[index] for index in sorted(chosen))})


def _sampled(source: Source) -> Source:
    """The rows of the wanted symbols, in memory: every trial reads the same ones."""
    table, names, wanted = source.table, source.config.columns, source.config.symbols
    scan = table.scan
    if wanted and is_long(table, names):
        scan = scan.filter(_symbol(source).is_in(list(wanted)))
    elif wanted:
        scan = scan.select(names.timestamp, *wanted, ROW, PATH)
    kept = tuple(column for column in table.columns if column in scan.collect_schema().names())
    return replace(source, table=replace(table, scan=table.collect(scan).lazy(), columns=kept))


def _symbol(source: Source) -> pl.Expr:
    """The symbol of each row of a long table; of one file a symbol what the file is called."""
    name = source.config.columns.symbol
    if name in source.table.columns:
        return pl.col(name).cast(pl.String)
    return stem_of_file()


def instants_of(source: Source) -> np.ndarray:
    """`[M]` int64 UTC microseconds of every raw row."""
    table, name = source.table, source.config.columns.timestamp
    typed = typed_instant(name, table.dtypes[name])
    stamp = pl.col(name) if typed is None else typed
    keys = table.collect(table.scan.select(stamp.alias("stamp"), ROW))
    return read_instants(keys["stamp"], table.dtypes[name], namer(table, keys)).micros


def change_rows(source: Source, later: np.ndarray, seed: int) -> Table:
    """The table with other numbers in the `later` rows `[M]`: some break rules, some are empty, some rows are gone.

    Every instant and every symbol keeps a row: how long the data are, and of how many assets, is known beforehand.
    """
    table, chance = source.table, np.random.default_rng(seed)
    frame, columns = table.collect(table.scan), _numbers(source)
    long = is_long(table, source.config.columns)
    factor = _factors(frame.select(columns), chance, alike=long)
    ahead = pl.lit(pl.Series(later))
    changed = [
        pl.when(ahead).then(_times(name, factor[:, index], table.dtypes[name])).otherwise(pl.col(name)).alias(name)
        for index, name in enumerate(columns)
    ]
    frame = frame.with_columns(changed)
    if long:
        kept = ~later | _needed(source, frame) | (chance.random(len(frame)) >= _GONE)
        frame = frame.filter(pl.Series(kept))
    return replace(table, scan=frame.lazy())


def _factors(numbers: pl.DataFrame, chance: np.random.Generator, *, alike: bool) -> np.ndarray:
    """`[M, columns]`, NaN for no number: `alike` in the row of a bar; else a row is an instant."""
    shape = (len(numbers), 1 if alike else numbers.width)
    factor = np.exp(chance.normal(0.0, _SPREAD, shape)) * np.where(chance.random(shape) < _WILD, 100.0, 1.0)
    empty = chance.random(shape) < _EMPTY
    if alike:
        return np.broadcast_to(np.where(empty, np.nan, factor), (len(numbers), numbers.width))
    there = np.isfinite(numbers.cast(pl.Float64).fill_null(float("nan")).to_numpy())
    first = there & (np.cumsum(there, axis=1) == 1)  # stays, or there would be an instant less
    return np.where(empty & ~first, np.nan, factor)


def _needed(source: Source, frame: pl.DataFrame) -> np.ndarray:
    """The first row of each instant and of each symbol."""
    keys = pl.DataFrame({"at": instants_of(source), "symbol": frame.select(_symbol(source)).to_series()})
    first = keys.select(pl.col("at").is_first_distinct() | pl.col("symbol").is_first_distinct())
    return first.to_series().to_numpy()


def _numbers(source: Source) -> list[str]:
    """The columns of prices, volumes and extras; of a wide table one a symbol."""
    table, names = source.table, source.config.columns
    keys = {names.timestamp, names.symbol, names.currency, *table.partitions}
    if not is_long(table, names):
        keys = {names.timestamp}
    return [name for name in table.columns if name not in keys and table.dtypes[name].is_numeric()]


def _times(name: str, factor: np.ndarray, kind: pl.DataType) -> pl.Expr:
    """A column times a factor in its own type; no number where the factor is none."""
    by = pl.lit(pl.Series(factor))
    return pl.when(by.is_nan()).then(None).otherwise(pl.col(name).cast(pl.Float64) * by).cast(kind, strict=False)
