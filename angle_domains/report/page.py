"""The page around a report: one HTML file that fetches nothing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from angle_domains.evaluation.bootstrap import Interval


@dataclass(frozen=True)
class Cell:
    """A cell of a table: a value, smaller text beneath it, and attributes ready for HTML."""

    text: str
    below: str = ""
    attributes: str = ""


Row = Sequence[str | Cell]


def typeset(text: str) -> str:
    """Escaped for HTML, with a true minus before numbers."""
    return re.sub(r"(?<![\w-])-(?=[\d.])", "−", escape(text))


def write_page(path: Path, title: str, sections: Sequence[str]) -> Path:
    """Writes the page, making its folder; the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(title, sections), encoding="utf-8")
    return path


def page(title: str, sections: Sequence[str]) -> str:
    """The whole document; `sections` are HTML."""
    here = files("angle_domains.report")
    style, script = (here.joinpath(name).read_text(encoding="utf-8") for name in ("style.css", "page.js"))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # an empty icon keeps browsers from asking the server for one
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(sections)
        + f"\n</main>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def section(title: str, *parts: str, name: str = "") -> str:
    """A section under a heading; `name` is its anchor."""
    return f'<section id="{escape(name)}">\n<h2>{escape(title)}</h2>\n' + "\n".join(parts) + "\n</section>"


def paragraph(text: str, style: str = "note") -> str:
    return f'<p class="{style}">{typeset(text)}</p>'


def table(head: Sequence[str], rows: Sequence[Row], *, own: int = 1, style: str = "") -> str:
    """A table whose first column names the rows; column `own` is the agent's. Scrolls within itself on a phone."""
    top = "".join(f'<th scope="col"{_own(i, own)}>{escape(text)}</th>' for i, text in enumerate(head))
    body = "".join(f"<tr>{''.join(_cell(cell, i, own) for i, cell in enumerate(row))}</tr>\n" for row in rows)
    inside = f"<thead><tr>{top}</tr></thead>\n<tbody>\n{body}</tbody>"
    return f'<div class="scroll"><table class="{style}">{inside}</table></div>'


def _cell(cell: str | Cell, column: int, own: int) -> str:
    text, below, attributes = (cell.text, cell.below, cell.attributes) if isinstance(cell, Cell) else (cell, "", "")
    small = f"<small>{typeset(below)}</small>" if below else ""
    tag, scope = ("th", ' scope="row"') if column == 0 else ("td", _own(column, own))
    return f"<{tag}{scope}{attributes}>{typeset(text)}{small}</{tag}>"


def _own(column: int, own: int) -> str:
    return ' class="own"' if column == own else ""


def tiles(entries: Sequence[tuple[str, str, str]]) -> str:
    """Large numbers: (name, value, what stands beneath), in full rows as far as they can be."""
    rows = -(-len(entries) // 6)
    items = "".join(
        f"<li><span>{escape(name)}</span><b>{typeset(value)}</b><span>{typeset(below)}</span></li>"
        for name, value, below in entries
    )
    return f'<ul class="tiles" style="--columns: {-(-len(entries) // rows)}">{items}</ul>'


def definitions(entries: Mapping[str, str]) -> str:
    return (
        "<dl>" + "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in entries.items()) + "</dl>"
    )


def forest(
    rows: Sequence[tuple[str, Interval, str]],
    ticks: Sequence[float],
    form: str,
    *,
    marks: Sequence[tuple[str, float, str]] = (),
) -> str:
    """Intervals on one axis that ends with the ticks, zero marked: (name, interval, what stands beside it).

    `marks` are lines across all of them: (name, value, name of a colour).
    """
    low, high = ticks[0], ticks[-1]

    def at(value: float) -> str:
        return f"{100 * min(1.0, max(0.0, (value - low) / (high - low))):.2f}%"

    rules = "".join(f'<u{" class=zero" * (tick == 0.0)} style="left:{at(tick)}"></u>' for tick in ticks)
    rules += "".join(f'<u class="mark {colour}" style="left:{at(value)}"></u>' for _, value, colour in marks)
    names = "".join(f'<li><i class="{colour}"></i>{escape(name)} {value:.4g}</li>' for name, value, colour in marks)
    key = f'<ul class="legend marks">{names}</ul>' if marks else ""
    body = "".join(
        f'<div><span>{typeset(name)}</span><span class="band">{rules}<i style="left:{at(found.low)};'
        f'right:calc(100% - {at(found.high)})"></i><b style="left:{at(found.estimate)}"></b></span>'
        f'<span class="number">{typeset(beside)}</span></div>'
        for name, found, beside in rows
    )
    axis = "".join(f'<span class="x" style="left:{at(tick)}">{typeset(f"{tick:{form}}")}</span>' for tick in ticks)
    return f'{key}<div class="forest">{body}<div class="axis"><span class="band">{axis}</span></div></div>'


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted keys, as `--set` takes them."""
    flat: dict[str, str] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return flat
