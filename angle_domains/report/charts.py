"""Charts as HTML: shapes in a stretched inline SVG, text beside it, so that letters keep their size on a phone.

Every position inside a chart is a fraction of its plot; the SVG has a box of 1000 by 1000.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import Float

from angle_domains.report.page import typeset
from angle_domains.report.scales import Axis, Scale

_POINTS = 600  # columns that a line is thinned to

Format = Callable[[float, int], str]  # (value, decimals)


@dataclass(frozen=True)
class Line:
    """One line; `style` is the class of its colour and dashes."""

    label: str
    value: Float[np.ndarray, " t"]
    style: str


@dataclass(frozen=True)
class Frame:
    """What surrounds a chart."""

    title: str
    unit: str  # of the vertical axis, in words
    axis: Axis
    scale: Scale
    form: Format  # how a value is written
    digits: int = 2  # decimals when it is read off; the axis takes what its ticks need
    size: str = "tall"  # tall, middle, low
    legend: bool = True


def lines(
    frame: Frame,
    series: Sequence[Line],
    *,
    worst: bool = False,
    fill: bool = False,
    mark: tuple[int, str] | None = None,
) -> str:
    """Lines, thinned to the last value of a column, or to its lowest where `worst` is what matters.

    `fill` shades between the first line and zero; `mark` puts a dot and words at a point of it.
    """
    buckets = columns(len(frame.axis.position))
    x = frame.axis.position[buckets[1:] - 1]
    thin = {line.label: _thin(line.value, buckets, np.fmin.reduceat if worst else None) for line in series}
    shapes = [_path(x, frame.scale.at(thin[line.label]), line.style) for line in reversed(series)]
    if fill:
        first = series[0]
        shapes.insert(0, _below(x, frame.scale.at(thin[first.label]), float(frame.scale.at(0.0)), first.style))
    readout = _readout(frame, buckets, [(line.label, line.style, thin[line.label]) for line in series])
    dot = _dot(frame, series[0].value, *mark) if mark else ""
    return _figure(frame, shapes, _legend([(line.label, line.style) for line in series]), dot + readout)


def areas(frame: Frame, series: Sequence[Line]) -> str:
    """Areas stacked over time: what is positive upward from zero, what is negative downward; columns show means."""
    buckets = columns(len(frame.axis.position), 300)
    x = frame.axis.position[buckets[1:] - 1]
    thin = {line.label: _thin(line.value, buckets, np.add.reduceat) / np.diff(buckets) for line in series}
    up, down, shapes = np.zeros(len(x)), np.zeros(len(x)), []
    for line in series:
        value = thin[line.label]
        for base, part in ((up, np.maximum(value, 0.0)), (down, np.minimum(value, 0.0))):
            if np.abs(part).max() > 1e-9:
                shapes.append(_band(x, frame.scale.at(base), frame.scale.at(base + part), line.style))
            base += part
    readout = _readout(frame, buckets, [(line.label, line.style, thin[line.label]) for line in series])
    return _figure(frame, shapes, _legend([(line.label, line.style) for line in series], block=True), readout)


def fan(frame: Frame, came: Line, median: Line, low: Float[np.ndarray, " t"], high: Float[np.ndarray, " t"]) -> str:
    """What came, and what was foreseen with the band that should hold most of it; not thinned."""
    x, every = frame.axis.position, np.arange(len(frame.axis.position) + 1)
    shapes = [_band(x, frame.scale.at(low), frame.scale.at(high), f"{median.style} faint")]
    shapes += [_path(x, frame.scale.at(line.value), line.style) for line in (median, came)]
    told = [(line.label, line.style, line.value) for line in (came, median)]
    told += [("from", median.style, low), ("to", median.style, high)]
    return _figure(
        frame, shapes, _legend([(line.label, line.style) for line in (came, median)]), _readout(frame, every, told)
    )


def bars(frame: Frame, value: Float[np.ndarray, " t"], style: str) -> str:
    """Upright bars, each between its position and the next."""
    edges = np.append(frame.axis.position, 1.0)
    zero, edge = _down(frame.scale.at(0.0)), 0.1 * np.diff(edges)
    shapes = [
        f'<path class="bar {style}" d="M{_n(left)} {zero}V{_down(top)}H{_n(right)}V{zero}Z"/>'
        for left, right, top in zip(edges[:-1] + edge, edges[1:] - edge, frame.scale.at(value), strict=True)
        if np.isfinite(top)
    ]
    index = np.arange(len(value) + 1)
    return _figure(frame, shapes, "", _readout(frame, index, [(frame.unit, style, value)], at="start"))


def columns(length: int, most: int = _POINTS) -> np.ndarray:
    """Edges of at most `most` groups of neighbouring bars."""
    return np.unique(np.linspace(0, length, min(length, most) + 1).round().astype(int))


def _thin(value: np.ndarray, buckets: np.ndarray, reduce: Callable[..., np.ndarray] | None) -> np.ndarray:
    return value[buckets[1:] - 1] if reduce is None else reduce(value, buckets[:-1])


def _path(x: np.ndarray, y: np.ndarray, style: str) -> str:
    """A line that breaks where values are missing."""
    shown = np.isfinite(y)
    starts = shown & ~np.concatenate(([False], shown[:-1]))
    points = [f"{'M' if starts[i] else 'L'}{_n(x[i])} {_down(y[i])}" for i in np.flatnonzero(shown)]
    return f'<path class="line {style}" d="{"".join(points)}"/>'


def _band(x: np.ndarray, low: np.ndarray, high: np.ndarray, style: str) -> str:
    there = "L".join(f"{_n(a)} {_down(b)}" for a, b in zip(x, high, strict=True))
    back = "L".join(f"{_n(a)} {_down(b)}" for a, b in zip(x[::-1], low[::-1], strict=True))
    return f'<path class="area {style}" d="M{there}L{back}Z"/>'


def _below(x: np.ndarray, y: np.ndarray, zero: float, style: str) -> str:
    return _band(x, np.full_like(y, zero), y, f"{style} faint")


def _dot(frame: Frame, value: np.ndarray, index: int, words: str) -> str:
    x, y = float(frame.axis.position[index]), 1.0 - float(frame.scale.at(value[index]))
    place = f'style="left:{100 * x:.2f}%;top:{100 * y:.2f}%"'
    return f'<i class="dot" {place}></i><span class="words{" left" * (x > 0.6)}" {place}>{escape(words)}</span>'


def _figure(frame: Frame, shapes: Sequence[str], legend: str, readout: str) -> str:
    across = [(float(frame.scale.at(tick)), frame.form(tick, frame.scale.digits)) for tick in frame.scale.ticks]
    grid = "".join(
        f'<path class="grid{" zero" * (tick == 0.0)}" d="M0 {_down(y)}H1000"/>'
        for (y, _), tick in zip(across, frame.scale.ticks, strict=True)
    )
    marks = "".join(f'<span class="y" style="top:{100 * (1 - y):.2f}%">{typeset(text)}</span>' for y, text in across)
    marks += "".join(
        f'<span class="x{" minor" * (i % 2)}{" end" * (x > 0.97)}" style="left:{100 * x:.2f}%">{escape(text)}</span>'
        for i, (x, text) in enumerate(frame.axis.ticks)
    )
    title = f"<b>{escape(frame.title)}</b> " if frame.title else ""
    ticks = "".join(f'<path class="grid" d="M{_n(x)} 0V1000"/>' for x, _ in frame.axis.ticks)
    return (
        f'<figure class="chart"><figcaption>{title}<span>{escape(frame.unit)}</span></figcaption>'
        f'{legend if frame.legend else ""}<div class="plot {frame.size}">'
        f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(frame.title)} {escape(frame.unit)}">{grid}{ticks}{"".join(shapes)}</svg>'
        f"{marks}{readout}</div></figure>"
    )


def _legend(entries: Sequence[tuple[str, str]], *, block: bool = False) -> str:
    """Swatches drawn as the shapes are, dashes included."""
    shape = 'class="area {}" d="M4 0H22V10H4Z"' if block else 'class="line {}" d="M0 5H26"'
    items = "".join(
        f'<li><svg viewBox="0 0 26 10" aria-hidden="true"><path {shape.format(style)}/></svg>{escape(label)}</li>'
        for label, style in entries
    )
    return f'<ul class="legend">{items}</ul>'


def _readout(frame: Frame, buckets: np.ndarray, series: Sequence[tuple[str, str, np.ndarray]], at: str = "end") -> str:
    """What the page's script shows under the pointer: dates, positions and the values as they are to be read."""
    index = buckets[:-1] if at == "start" else buckets[1:] - 1
    content = {
        "at": [round(float(x), 4) for x in frame.axis.position[index]],
        "when": frame.axis.name[index].tolist(),
        "series": [
            [label, style, [frame.form(v, frame.digits) if np.isfinite(v) else "–" for v in value]]
            for label, style, value in series
        ],
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json">{text}</script>'


def _n(x: float) -> str:
    return f"{1000 * x:.1f}".rstrip("0").rstrip(".")


def _down(y: float | np.ndarray) -> str:
    """SVG counts from the top."""
    return _n(1.0 - float(y))
