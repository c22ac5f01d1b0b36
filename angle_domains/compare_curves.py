"""Learning curves of several runs in one chart, with a band where a run stands for several seeds."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape

import numpy as np

from angle_domains.report.page import typeset
from angle_domains.report.scales import Scale, linear
from angle_domains.run_table import Row, RunTable

_COLOURS = ("#123a63", "#c2571a", "#2a7f4f", "#8a3f8f", "#a58a1f", "#4b8fb5", "#b03a4a", "#5b6b7b")
_LEFT, _TOP, _PLOT, _HEIGHT = 70, 10, 800, 280  # pixels
_WIDTH = _LEFT + _PLOT + 30

Place = Callable[[float, float], tuple[float, float]]


def curves(table: RunTable, key: str) -> Iterator[str]:
    """The chart as HTML; nothing where fewer than two points of any run are known."""
    drawn = [(row, colour) for row, colour in zip(table.rows, colours(table), strict=True) if row.curve(key)]
    if not any(len(row.curve(key)) > 1 for row, _ in drawn):
        return
    steps, values = _step_ticks([row for row, _ in drawn], key), _scale([row for row, _ in drawn], key)
    last = max(step for row, _ in drawn for step, _ in row.curve(key)) or 1

    def place(step: float, value: float) -> tuple[float, float]:
        return _LEFT + step / last * _PLOT, _TOP + (1.0 - float(values.at(value))) * _HEIGHT

    banded = any(row.curve(f"{key}_low") for row, _ in drawn)
    yield f'<p class="legend">{"".join(_label(row, colour) for row, colour in drawn)}</p>'
    yield (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 58}" width="{_WIDTH}" role="img" '
        f'aria-label="{escape(key, quote=True)} over {_unit(table)}">'
    )
    for tick in values.ticks:
        y = place(0, tick)[1]
        yield f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_LEFT + _PLOT}" y2="{y:.1f}" stroke="#dde3ea"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{typeset(f"{tick:,.4g}")}</text>'
    for tick in steps:
        x = place(tick, values.low)[0]
        yield f'<text x="{x:.1f}" y="{_TOP + _HEIGHT + 20}" text-anchor="middle">{tick:,.0f}</text>'
    yield f'<text x="{_LEFT + _PLOT / 2:.0f}" y="{_TOP + _HEIGHT + 42}" text-anchor="middle">{_unit(table)}</text>'
    box = f"{_LEFT} {_TOP} {_PLOT} {_HEIGHT}"  # bands may be wider than the chart: this cuts them
    yield f'<svg x="{_LEFT}" y="{_TOP}" width="{_PLOT}" height="{_HEIGHT}" viewBox="{box}">'
    for row, colour in drawn:
        yield from _band(row, key, colour, place)
    yield "</svg>"
    for row, colour in drawn:
        yield from _line(row, key, colour, place)
    yield "</svg>"
    if banded:
        yield '<p class="note">Bands are 95 % intervals of the mean over seeds, cut where they leave the chart.</p>'


def colours(table: RunTable) -> list[str]:
    """One for each row, the same in every chart."""
    return [_COLOURS[index % len(_COLOURS)] for index in range(len(table.rows))]


def _unit(table: RunTable) -> str:
    """Of the horizontal axis."""
    return ", or ".join(dict.fromkeys(row.unit for row in table.rows))


def _step_ticks(rows: Sequence[Row], key: str) -> list[float]:
    """Round steps up to the last: the chart ends where the longest curve does."""
    steps = np.array([step for row in rows for step, _ in row.curve(key)])
    return [tick for tick in linear(steps, zero=True, count=5).ticks if tick <= steps.max()]


def _scale(rows: Sequence[Row], key: str) -> Scale:
    """Holds the lines whole, and of the bands what lies near them: those of two seeds would flatten every line."""
    lines = np.array([value for row in rows for _, value in row.curve(key)])
    bounds = np.array([value for row in rows for end in ("_low", "_high") for _, value in row.curve(f"{key}{end}")])
    room = (lines.max() - lines.min() or abs(lines.max()) or 1.0) / 2
    near = np.clip(bounds, lines.min() - room, lines.max() + room)
    return linear(np.concatenate([lines, near]), count=5)


def _band(row: Row, key: str, colour: str, place: Place) -> Iterator[str]:
    low, high = row.curve(f"{key}_low"), row.curve(f"{key}_high")
    if len(low) == 1 and len(high) == 1:
        (x, bottom), (_, top) = place(*low[0]), place(*high[0])
        yield f'<line x1="{x:.1f}" y1="{bottom:.1f}" x2="{x:.1f}" y2="{top:.1f}" stroke="{colour}" opacity="0.5"/>'
    elif low and high:
        yield f'<polygon points="{_points((*low, *reversed(high)), place)}" fill="{colour}" opacity="0.15"/>'


def _line(row: Row, key: str, colour: str, place: Place) -> Iterator[str]:
    if len(row.curve(key)) == 1:
        x, y = place(*row.curve(key)[0])
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
        return
    yield f'<polyline points="{_points(row.curve(key), place)}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _points(curve: Iterable[tuple[int, float]], place: Place) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in curve))


def _label(row: Row, colour: str) -> str:
    seeds = f" ({row.seeds} seeds)" if row.seeds > 1 else ""
    return f'<span><i style="background:{colour}"></i>{escape(row.name + seeds)}</span>'
