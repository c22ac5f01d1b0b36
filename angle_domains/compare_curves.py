"""Learning curves of several runs in one chart, with a band where a run stands for several seeds."""

from collections.abc import Callable, Iterator
from html import escape

import numpy as np

from angle_domains.report.scales import linear
from angle_domains.run_table import Row, RunTable

_COLOURS = ("#123a63", "#c2571a", "#2a7f4f", "#8a3f8f", "#a58a1f", "#4b8fb5", "#b03a4a", "#5b6b7b")
_LEFT, _TOP, _PLOT, _HEIGHT = 70, 10, 800, 280  # pixels


def curves(table: RunTable, key: str) -> Iterator[str]:
    """The chart as HTML; nothing where fewer than two points of any run are known."""
    drawn = [(row, colour) for row, colour in zip(table.rows, _cycle(len(table.rows)), strict=True) if row.curve(key)]
    if not any(len(row.curve(key)) > 1 for row, _ in drawn):
        return
    ends = [row.curve(f"{key}{end}") for row, _ in drawn for end in ("", "_low", "_high")]
    steps = linear(np.array([step for curve in ends for step, _ in curve]), zero=True, count=5)
    values = linear(np.array([value for curve in ends for _, value in curve]), count=5)

    def place(step: float, value: float) -> str:
        across, up = float(steps.at(step)), float(values.at(value))
        return f"{_LEFT + across * _PLOT:.1f},{_TOP + (1 - up) * _HEIGHT:.1f}"

    yield f'<svg viewBox="0 0 {_LEFT + _PLOT + 40} {_HEIGHT + 50}" role="img" aria-label="{escape(key, quote=True)}">'
    for tick in values.ticks:
        left, right = place(steps.low, tick).split(","), place(steps.high, tick).split(",")
        yield f'<line x1="{left[0]}" y1="{left[1]}" x2="{right[0]}" y2="{right[1]}" stroke="#dde3ea"/>'
        yield f'<text x="{_LEFT - 8}" y="{float(left[1]) + 4:.1f}" text-anchor="end">{tick:,.4g}</text>'
    for tick in steps.ticks:
        x = place(tick, values.low).split(",")[0]
        yield f'<text x="{x}" y="{_TOP + _HEIGHT + 22}" text-anchor="middle">{tick:,.0f}</text>'
    for row, colour in drawn:
        yield from _line(row, key, colour, place)
    yield "</svg>"
    yield f'<p class="note">{escape(key)} over environment steps; a band is the 95 % interval over seeds.</p>'
    yield "<p>" + " ".join(_label(row, colour) for row, colour in drawn) + "</p>"


def _line(row: Row, key: str, colour: str, place: Callable[[float, float], str]) -> Iterator[str]:
    low, high = row.curve(f"{key}_low"), row.curve(f"{key}_high")
    if low and high:
        outline = " ".join(place(*point) for point in (*low, *reversed(high)))
        yield f'<polygon points="{outline}" fill="{colour}" opacity="0.15"/>'
    if len(row.curve(key)) == 1:
        x, y = place(*row.curve(key)[0]).split(",")
        yield f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/>'
        return
    points = " ".join(place(*point) for point in row.curve(key))
    yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _label(row: Row, colour: str) -> str:
    return f'<span style="color:{colour}">■</span> {escape(row.name)}&ensp;'


def _cycle(count: int) -> list[str]:
    return [_COLOURS[index % len(_COLOURS)] for index in range(count)]
