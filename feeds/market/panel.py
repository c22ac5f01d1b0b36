"""Rows scattered into panels `[T, N]`, and panels made into Bars: carried forward, never backward."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from feeds.errors import FeedError
from feeds.market.bars import Bars
from feeds.market.rows import VALUES, Rows

DAY = 86_400_000_000  # microseconds
_MOST = 1_000_000_000  # cells of a panel: 8 GB a column


@dataclass
class Panel:
    """What the checks work on; they take cells out and mend values in place."""

    rows: Rows
    micros: np.ndarray  # [T] int64 UTC, strictly rising
    row_of: np.ndarray  # [T, N] int32 index into rows, -1 where there is no bar
    cell: np.ndarray  # [M] int64 flat index of each row's cell
    values: dict[str, np.ndarray]  # column -> [T, N] float64, NaN where there is no bar

    @property
    def present(self) -> np.ndarray:
        return self.row_of >= 0

    def drop(self, cells: np.ndarray) -> None:
        """Forgets bars, as if they had not been in the table."""
        self.row_of[cells] = -1
        for column in self.values.values():
            column[cells] = np.nan

    def prices(self) -> list[str]:
        return [name for name in ("close", "open", "high", "low") if name in self.values]


def scatter(rows: Rows, newest: bool) -> tuple[Panel, np.ndarray]:
    """The panel without values, and the rows `[D]` that repeat the instant and symbol of another row.

    Of repeated rows the `newest` (else the first) of the table stands. Raises FeedError where instants times symbols
    are more cells than a machine can hold.
    """
    micros = np.unique(rows.instants.micros)
    if max(len(rows.code), len(micros) * len(rows.symbols)) > _MOST:
        raise FeedError(
            f"{rows.table.name}: {len(micros)} instants of {len(rows.symbols)} symbols are more cells than {_MOST}; "
            "take fewer symbols (feed.symbols) or a shorter time (feed.start, feed.end)"
        )
    cell = np.searchsorted(micros, rows.instants.micros)
    cell *= len(rows.symbols)
    cell += rows.code
    row_of = np.full(len(micros) * len(rows.symbols), -1, np.int32)
    index = np.arange(len(cell), dtype=np.int32)
    step = 1 if newest else -1  # of repeated cells the one written last stands
    row_of[cell[::step]] = index[::step]
    repeats = np.flatnonzero(row_of[cell] != index)
    return Panel(rows, micros, row_of.reshape(len(micros), len(rows.symbols)), cell, {}), repeats


def fill(panel: Panel, repeats: np.ndarray) -> None:
    """Loads every column of the rows into the panel, but for the rows that repeat another."""
    stands = np.delete(np.arange(len(panel.cell)), repeats) if len(repeats) else slice(None)
    cell = panel.cell[stands]
    for name in panel.rows.columns:
        column = np.full(panel.row_of.shape, np.nan)
        column.reshape(-1)[cell] = panel.rows.load(name)[stands]
        panel.values[name] = column


def last_bar(present: np.ndarray) -> np.ndarray:
    """`[T, N]` int32: the newest bar up to t, -1 before the first."""
    bars = np.where(present, np.arange(len(present), dtype=np.int32)[:, None], np.int32(-1))
    return np.maximum.accumulate(bars, axis=0, out=bars)


def carried(values: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Each cell's newest value up to t; NaN before the first bar."""
    if (last == np.arange(len(last), dtype=last.dtype)[:, None]).all():  # nothing is missing
        return values.copy()
    filled = np.take_along_axis(values, np.maximum(last, 0), axis=0)
    filled[last < 0] = np.nan
    return filled


def fresh(last: np.ndarray, micros: np.ndarray, max_gap_days: float) -> np.ndarray:
    """`[T, N]` bool: no more than `max_gap_days` have passed since the `last` bar of the asset."""
    oldest = np.searchsorted(micros, micros - int(max_gap_days * DAY))
    return (last >= 0) & (last >= oldest[:, None])


def to_bars(panel: Panel, max_gap_days: float, source: str) -> Bars:
    """Bars of the panel. An asset is delisted at the first bar more than `max_gap_days` after its last one.

    Until then its silence is a halt, since nobody can tell the two apart by that time; where it trades again later it
    is listed anew.
    """
    present, values = panel.present, panel.values
    last = last_bar(present)
    close = carried(values["close"], last)
    halted = (last >= 0) & ~present
    for name in ("open", "high", "low", "volume"):
        if name in values:
            values[name][halted] = 0.0 if name == "volume" else close[halted]
    made = Bars(
        timestamp=panel.micros.view("datetime64[us]"),
        symbols=panel.rows.symbols,
        close=close,
        listed=fresh(last, panel.micros, max_gap_days),
        tradable=present,
        open=values.get("open"),
        high=values.get("high"),
        low=values.get("low"),
        volume=values.get("volume"),
        extras={name: values[name] for name in panel.rows.columns if name not in VALUES},
        source=source,
    )
    return replace(made, digest=digest(made))


def digest(bars: Bars) -> str:
    """Sha256 of instants, symbols, prices and masks: the same data give it whatever their file looked like."""
    total = hashlib.sha256("\n".join(bars.symbols).encode())
    total.update(bars.timestamp.astype("datetime64[us]").astype("<i8").tobytes())
    named = {name: getattr(bars, name) for name in ("close", "open", "high", "low", "volume")}
    for name, values in [*named.items(), *sorted(bars.extras.items())]:
        if values is not None:
            total.update(name.encode())
            total.update(np.ascontiguousarray(values, "<f8").data)
    for mask in (bars.listed, bars.tradable):
        total.update(np.packbits(mask).tobytes())
    return total.hexdigest()
