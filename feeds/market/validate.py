"""The rules that prices must keep, and the report of the rows that broke one.

What becomes of a row that breaks a rule is the policy. "error": reading stops and names the first row. "quarantine":
the row is left out, its bar counts as missing (the asset cannot be traded, its price is carried forward). "clip": the
value is mended to the nearest one that the rule allows and that was known by then; where there is none (a close that is
not a number, zero or negative) the row is left out. Every row that was touched is a line of the report.

rule            breaks it                                              clip
unsorted        a row earlier than its symbol's row before             sorted (so does quarantine)
duplicate       instant and symbol of an earlier row                   the later row stands (quarantine: the earlier)
time_zone       no zone among zoned, or offsets > 1 h apart            read as UTC, or as the instant that it names
unknown_column  a column that no setting names                         not read (so does quarantine)
not_a_number    NaN or infinite; negative volume                       open, high, low: the close; volume: 0
non_positive    a price of 0 or less                                   open, high, low: the close
high_below_low  high < low                                             the range is widened over open and close
out_of_range    open or close outside low … high                       the range is widened over open and close
jump            close more than `max_jump` times (or below its         moved to that multiple of the close before
                inverse of) the newest close that was accepted; or
                open, high, low as far from their own bar's close      moved to that multiple of the close
gap             no bar for more than `max_gap_days`, then one          delisted, listed anew (so does quarantine)

A close that jumped is accepted once the next bar confirms its level, so that "quarantine" costs one bar of a true move.
Prices may leave their range by one part in a million, which is rounding.
"""

import numpy as np

from feeds.errors import nearest
from feeds.market.config import MarketConfig
from feeds.market.findings import Findings
from feeds.market.instants import foreign_zone
from feeds.market.panel import DAY, Panel, carried, last_bar
from feeds.market.rows import Rows

__all__ = ["Findings", "check_repeats", "check_rows", "check_values"]

_ROUNDING = 1e-6


def check_rows(rows: Rows, config: MarketConfig, findings: Findings) -> None:
    """Rules of the table before it is a panel: unknown columns, mixed time zones, order."""
    for column in rows.unknown:
        hint = nearest(column, [*type(config.columns).model_fields])
        detail = f"column '{column}' is unknown ({hint}); name it in feed.columns, as an extra or as what it is"
        findings.whole("unknown_column", rows.table.name, detail)
    foreign = np.flatnonzero(foreign_zone(rows.instants))
    findings.rows("time_zone", rows, foreign, lambda index: _zone(rows, index))
    findings.rows("unsorted", rows, _backward(rows), lambda index: "its time lies before that of the row before")


def _zone(rows: Rows, index: int) -> str:
    def name(at: int) -> str:
        return f"{rows.instants.offsets[at] / 60:+g} h from UTC" if rows.instants.zoned[at] else "no time zone"

    return f"mixed time zones: {name(index)}, the first row has {name(0)}"


def _backward(rows: Rows) -> np.ndarray:
    """Rows whose time lies before that of the row before, of the same symbol and file."""
    if not (np.diff(rows.instants.micros) < 0).any():
        return np.zeros(0, np.int64)
    order = np.argsort(rows.code, kind="stable")
    back = np.diff(rows.instants.micros[order]) < 0
    back &= (np.diff(rows.code[order]) == 0) & (np.diff(rows.table.file_of(rows.row[order])) == 0)
    return np.sort(order[1:][back])


def check_repeats(panel: Panel, repeats: np.ndarray, findings: Findings) -> None:
    """Rows of one symbol and instant; which of them stands was settled when the panel was made."""
    stands = "the newest" if findings.clips else "the first"
    findings.rows(
        "duplicate", panel.rows, repeats, lambda index: f"another row has this symbol and time; {stands} row stands"
    )


def check_values(panel: Panel, config: MarketConfig, findings: Findings) -> None:
    """Rules of the values, in the order of the table above; mends the panel or takes cells out of it."""
    with np.errstate(over="ignore"):  # a bound that is infinite is no bound
        _finite(panel, findings)
        _positive(panel, findings)
        _ranges(panel, findings)
        _jumps(panel, config.max_jump, findings)
    _gaps(panel, config.max_gap_days, findings)


def _settle(panel: Panel, name: str, broken: np.ndarray, findings: Findings) -> None:
    """Mends a value that is none: by the bar's close, volume by 0; without a close the bar is taken out."""
    if not findings.clips or name == "close":
        panel.drop(broken)
    else:
        panel.values[name][broken] = 0.0 if name == "volume" else panel.values["close"][broken]


def _finite(panel: Panel, findings: Findings) -> None:
    for name in panel.prices() + ["volume"] * ("volume" in panel.values):
        values = panel.values[name]
        broken = panel.present & ~np.isfinite(values)
        if name == "volume":
            broken |= values < 0
        if broken.any():
            findings.cells("not_a_number", panel, broken, lambda t, n, v=values, c=name: f"{c} is {v[t, n]:g}")  # type: ignore[misc]
            _settle(panel, name, broken, findings)


def _positive(panel: Panel, findings: Findings) -> None:
    for name in panel.prices():
        values = panel.values[name]
        broken = values <= 0
        if broken.any():
            findings.cells("non_positive", panel, broken, lambda t, n, v=values, c=name: f"{c} is {v[t, n]:g}")  # type: ignore[misc]
            _settle(panel, name, broken, findings)


def _ranges(panel: Panel, findings: Findings) -> None:
    values = panel.values
    if "high" in values and "low" in values:
        high, low = values["high"], values["low"]
        broken = high < low * (1 - _ROUNDING)
        findings.cells("high_below_low", panel, broken, lambda t, n: f"high {high[t, n]:g} < low {low[t, n]:g}")
        _widen(panel, broken, findings)
    for name in ("open", "close"):
        price = values.get(name)
        if price is None:
            continue
        above = price > values["high"] * (1 + _ROUNDING) if "high" in values else np.zeros(price.shape, bool)
        if "low" in values:
            above |= price < values["low"] * (1 - _ROUNDING)
        findings.cells("out_of_range", panel, above, lambda t, n, c=name: _range(panel, t, n, c))  # type: ignore[misc]
        _widen(panel, above, findings)


def _range(panel: Panel, t: int, n: int, name: str) -> str:
    low, high = (f"{panel.values[side][t, n]:g}" if side in panel.values else "?" for side in ("low", "high"))
    return f"{name} {panel.values[name][t, n]:g} lies outside low {low} … high {high}"


def _widen(panel: Panel, broken: np.ndarray, findings: Findings) -> None:
    if not broken.any():
        return
    if not findings.clips:
        panel.drop(broken)
        return
    prices = np.stack([panel.values[name][broken] for name in panel.prices()])
    for name, value in (("high", prices.max(0)), ("low", prices.min(0))):
        if name in panel.values:
            panel.values[name][broken] = value


def _jumps(panel: Panel, most: float, findings: Findings) -> None:
    close = panel.values["close"]
    before = carried(close, last_bar(panel.present))[:-1]
    suspects = ((close[1:] > most * before) | (close[1:] * most < before)).any(axis=0)
    broken, wanted = np.zeros(close.shape, bool), dict[tuple[int, int], float]()
    for asset in np.flatnonzero(suspects):
        bars = np.flatnonzero(panel.present[:, asset])
        jumped, base = _jumped(close[bars, asset], most, findings.clips)
        broken[bars[jumped], asset] = True
        wanted.update({(int(bars[at]), int(asset)): float(base[at]) for at in np.flatnonzero(jumped)})

    def told(t: int, n: int) -> str:
        times = float(close[t, n]) / wanted[t, n]
        return f"close {close[t, n]:g} is {times:.3g} times the close before, {wanted[t, n]:g}"

    findings.cells("jump", panel, broken, told)
    if findings.clips:
        for (t, n), reference in wanted.items():
            for name in panel.prices():
                panel.values[name][t, n] = np.clip(panel.values[name][t, n], reference / most, reference * most)
    else:
        panel.drop(broken)
    _spikes(panel, most, findings)


def _jumped(close: np.ndarray, most: float, clips: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which of one asset's closes `[M]` jump, and the close that each was held against."""
    jumped, base = np.zeros(len(close), bool), np.array(close)
    accepted = float(close[0])
    for at in range(1, len(close)):
        base[at] = accepted
        jumped[at] = not accepted / most <= close[at] <= accepted * most
        confirmed = not clips and jumped[at - 1] and close[at - 1] / most <= close[at] <= close[at - 1] * most
        if jumped[at] and clips:
            accepted = min(max(float(close[at]), accepted / most), accepted * most)
        elif confirmed or not jumped[at]:
            jumped[at] = False
            accepted = float(close[at])
    return jumped, base


def _spikes(panel: Panel, most: float, findings: Findings) -> None:
    """Open, high and low against the close of their own bar."""
    close = panel.values["close"]
    for name in panel.prices()[1:]:
        values = panel.values[name]
        broken = (values > most * close) | (values * most < close)
        if broken.any():
            findings.cells(
                "jump",
                panel,
                broken,
                lambda t, n, v=values, c=name: f"{c} {v[t, n]:g} beside a close of {close[t, n]:g}",  # type: ignore[misc]
            )
            if findings.clips:
                values[broken] = np.clip(values[broken], close[broken] / most, close[broken] * most)
            else:
                panel.drop(broken)


def _gaps(panel: Panel, most_days: float, findings: Findings) -> None:
    last = last_bar(panel.present)
    silent = np.zeros(last.shape, bool)
    silence = np.where(last[:-1] >= 0, panel.micros[1:, None] - panel.micros[np.maximum(last[:-1], 0)], 0)
    silent[1:] = panel.present[1:] & (silence > most_days * DAY)
    findings.cells("gap", panel, silent, lambda t, n: f"no bar for {silence[t - 1, n] / DAY:.3g} days before it")
