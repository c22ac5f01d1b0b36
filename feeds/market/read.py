"""Bars from whatever the user names: files, frames, the sets that packages bring along, or synthetic worlds."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from feeds.errors import FeedError
from feeds.findings import CheckReport
from feeds.market.bars import Bars
from feeds.market.config import Columns, MarketConfig
from feeds.market.panel import digest, fill, scatter, to_bars
from feeds.market.rows import Rows, read_rows
from feeds.market.tables import Table, Watch, find_files, open_files, open_frame
from feeds.market.validate import Findings, check_repeats, check_rows, check_values

_STARTS = ("open_time", "start", "start_time", "bar_start", "period_start", "window_start", "begin")
_YEARS_OF_SURVIVORS = 2.0


@dataclass(frozen=True)
class Source:
    """A table of prices as it was found, before any of it is read or checked."""

    table: Table
    config: MarketConfig  # with the columns that the table has
    name: str
    notes: tuple[str, ...] = ()


def read_bars(config: MarketConfig, frame: Any = None) -> tuple[Bars, CheckReport]:
    """Checked bars of `config.path`, or of a pandas or polars `frame` in its place, and what the checks found.

    A timestamp is the end of its bar. A date without time of day stands for its first instant in UTC, so that nothing
    published on that day counts as known at its close. Raises FeedError as `feeds.market.validate` says.
    """
    if frame is None and config.path.startswith("synthetic-"):
        return _read_world(config)
    if frame is not None or config.path in EMBEDDED:
        return read_source(open_source(config, frame))
    watch = Watch(_files(config))
    try:
        return read_source(open_source(config))
    finally:
        watch.check()  # the reason behind whatever else went wrong


def open_source(config: MarketConfig, frame: Any = None) -> Source:
    """The table behind the settings, or the `frame` in its place; synthetic worlds have none."""
    if frame is not None:
        table = open_frame(frame, config.columns.timestamp)
        return Source(table, config, table.name)
    if config.path in EMBEDDED:
        return EMBEDDED[config.path](config)
    names = config.columns
    table = open_files(config.path, _files(config), (names.timestamp, names.symbol, names.currency))
    return Source(table, config, config.path)


def _files(config: MarketConfig) -> tuple[Path, ...]:
    from feeds.synthetic.worlds import WORLDS

    return find_files(config.path, (*EMBEDDED, *WORLDS))


def read_source(source: Source) -> tuple[Bars, CheckReport]:
    """Checked bars of a table, and what the checks found."""
    table, config = source.table, source.config
    _one_currency(table, config)
    _ends_of_bars(config)
    findings = Findings(config.policy)
    rows = read_rows(table, config)
    check_rows(rows, config, findings)
    rows = _without_foreign_zones(rows, findings)
    panel, repeats = scatter(rows, newest=findings.clips)
    check_repeats(panel, repeats, findings)
    fill(panel, repeats)
    check_values(panel, config, findings)
    findings.stop()
    if not panel.present.any():
        raise FeedError(f"{source.name}: no row keeps the rules; first finding: {findings.tally.kept[0]}")
    bars = to_bars(panel, config.max_gap_days, source.name)
    bars = replace(bars, notes=(*source.notes, *_table_notes(rows), *universe_notes(bars)))
    return bars, _report(bars, config, table, len(rows.code), findings)


def _report(bars: Bars, config: MarketConfig, table: Table | None, rows: int, findings: Findings) -> CheckReport:
    first, last = (str(stamp)[:16].replace("T", " ") for stamp in (bars.timestamp[0], bars.timestamp[-1]))
    return CheckReport(
        source=bars.source,
        facts={
            "rows": f"{rows:,}",
            "symbols": f"{len(bars.symbols):,}",
            "bars": f"{len(bars.timestamp):,} from {first} to {last} (UTC)",
        },
        policy=config.policy,
        files=tuple(str(file) for file in table.files) if table else (),
        findings=tuple(findings.tally.kept),
        counts=dict(findings.tally.counts),
        notes=bars.notes,
    )


def _one_currency(table: Table, config: MarketConfig) -> None:
    """Prices of several currencies cannot be added up; no rate of exchange is known here."""
    name = config.columns.currency
    if name not in table.columns or config.columns.symbol not in table.columns:
        return
    keys = table.collect(table.scan.select(name, config.columns.symbol).unique(maintain_order=True))
    if config.symbols:
        keys = keys.filter(pl.col(config.columns.symbol).cast(pl.String).is_in(list(config.symbols)))
    kinds = keys[name].unique(maintain_order=True).to_list()
    if len(kinds) > 1:
        other = keys.filter(pl.col(name).ne_missing(kinds[0]))[config.columns.symbol][0]
        raise FeedError(
            f"{table.name}: mixed currencies: symbol '{keys[config.columns.symbol][0]}' is in {kinds[0]}, "
            f"'{other}' in {kinds[1]}; convert to one currency first [currency]"
        )


def _ends_of_bars(config: MarketConfig) -> None:
    """Resampling tools label a bar by its start; read as its end, it would be known a bar too early."""
    name = config.columns.timestamp
    if name.lower().replace(" ", "_") in _STARTS:
        raise FeedError(
            f"feed.columns.timestamp='{name}' names the start of a bar, wanted the column of its end; "
            "a bar labelled by its start would be known before it is over [bar_label]"
        )


def _without_foreign_zones(rows: Rows, findings: Findings) -> Rows:
    """Under "quarantine" rows without a zone among zoned ones go; offsets that differ name their instant anyway."""
    odd = rows.instants.zoned != rows.instants.zoned[0]
    if findings.policy != "quarantine" or not odd.any():
        return rows
    keep = ~odd
    instants = type(rows.instants)(*(part[keep] for part in vars(rows.instants).values()))

    def load(name: str) -> np.ndarray:
        return rows.load(name)[keep]

    return replace(rows, instants=instants, code=rows.code[keep], row=rows.row[keep], load=load)


def _table_notes(rows: Rows) -> tuple[str, ...]:
    notes = []
    if rows.instants.dates.any():
        notes.append("timestamps are dates: a bar knows what was published before its day began (UTC)")
    elif not rows.instants.zoned.all():
        notes.append("timestamps name no time zone and are read as UTC")
    for file in rows.table.files if rows.table.text else ():
        with file.open("rb") as stream:
            stream.seek(-1, 2)
            if stream.read(1) not in b"\r\n" and not file.name.endswith(".gz"):
                notes.append(f"{file}: the last line does not end; if the file was cut, its last number is too short")
    return tuple(notes)


def universe_notes(bars: Bars) -> tuple[str, ...]:
    """Who comes late, who leaves, and whether the universe is one of survivors."""
    listed, seen = bars.listed, bars.listed.any(axis=0)
    late = np.flatnonzero(seen & ~listed[0])
    gone = np.flatnonzero(seen & ~listed[-1])
    halted = int((listed & ~bars.tradable).sum())
    notes = []
    if len(late):
        notes.append(f"{len(late)} symbols are listed after the first bar: {_some(bars, late)}")
    if len(gone):
        notes.append(f"{len(gone)} symbols are delisted before the last bar: {_some(bars, gone)}")
    if halted:
        notes.append(f"{halted} bars of listed symbols are missing: halted, the price is carried, orders do not fill")
    years = (bars.timestamp[-1] - bars.timestamp[0]) / np.timedelta64(1, "D") / 365.25
    if not len(gone) and len(bars.symbols) > 1 and years > _YEARS_OF_SURVIVORS and bars.source not in EMBEDDED:
        notes.append(f"survivors: no symbol leaves in {years:.0f} years; a universe of today flatters every strategy")
    if not seen.all():
        notes.append(f"{int((~seen).sum())} symbols have no usable bar: {_some(bars, np.flatnonzero(~seen))}")
    return tuple(notes)


def _some(bars: Bars, which: np.ndarray, most: int = 10) -> str:
    names = ", ".join(bars.symbols[index] for index in which[:most])
    return f"{names} and {len(which) - most} more" if len(which) > most else names


def _open_sp500(config: MarketConfig) -> Source:
    """Adjusted closes of 20 US stocks, 1990 to 2022, of which those from 2000 on are free of rounding."""
    with warnings.catch_warnings():  # third-party imports change the filters
        from skfolio.datasets import load_sp500_dataset

        prices = load_sp500_dataset()
    config = config.model_copy(update={"columns": Columns()})
    notes = (
        "survivors: 20 stocks chosen with hindsight; their equal weight beats the S&P 500 price index by about "
        "9.7 points a year by selection alone, so judge against equal weight of the same 20",
        "skfolio's sp500_dataset is for testing and example purposes, not for commercial use",
        "adjusted closes rounded to 0.001: half a tick is up to 35 bp in 1990, 6 bp in 2000, below 1 bp in 2010",
    )
    return Source(open_frame(prices.rename_axis("timestamp"), "timestamp"), config, "sp500", notes)


def _open_sp500_ohlcv(config: MarketConfig) -> Source:
    """The S&P 500 index with open, high, low, close and volume, 1999 to 2018."""
    with warnings.catch_warnings():
        from arch.data import sp500

        table = sp500.load()
    table = table.drop(columns="Adj Close").rename(columns=str.lower)  # an index: equal to its close
    table.insert(0, "symbol", "SP500")
    notes = ("the index itself, which nobody can hold without cost; prices without dividends",)
    config = config.model_copy(update={"columns": Columns()})
    return Source(open_frame(table.rename_axis("timestamp"), "timestamp"), config, "sp500-ohlcv", notes)


EMBEDDED: dict[str, Callable[[MarketConfig], Source]] = {
    "sp500": _open_sp500,
    "sp500-ohlcv": _open_sp500_ohlcv,
}


def _read_world(config: MarketConfig) -> tuple[Bars, CheckReport]:
    from feeds.synthetic.worlds import world_bars

    bars = _narrow(world_bars(config.path, config.world_seed), config)
    return bars, _report(bars, config, None, int(bars.tradable.sum()), Findings(config.policy))


def _narrow(bars: Bars, config: MarketConfig) -> Bars:
    """The same bars between `start` and `end`, of the wanted symbols."""
    days = bars.timestamp.astype("datetime64[D]")
    keep = np.ones(len(days), bool)
    if config.start:
        keep &= days >= np.datetime64(config.start)
    if config.end:
        keep &= days <= np.datetime64(config.end)
    unknown = [symbol for symbol in config.symbols if symbol not in bars.symbols]
    if unknown or not keep.any():
        raise FeedError(f"{config.path}: no rows of {unknown[0] if unknown else 'that time'}")
    if keep.all() and not config.symbols:
        return bars
    symbols = config.symbols or bars.symbols
    columns = np.array([bars.symbols.index(symbol) for symbol in symbols])

    def cut(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[np.ix_(keep, columns)]

    panels = {
        name: cut(getattr(bars, name)) for name in ("close", "listed", "tradable", "open", "high", "low", "volume")
    }
    extras = {name: values[np.ix_(keep, columns)] for name, values in bars.extras.items()}
    narrowed = replace(bars, timestamp=bars.timestamp[keep], symbols=symbols, extras=extras, **panels)  # type: ignore[arg-type]
    return replace(narrowed, digest=digest(narrowed))
