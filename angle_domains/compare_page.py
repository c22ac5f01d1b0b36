"""The page of a comparison: one file that needs nothing else."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from angle_domains.compare_curves import curves
from angle_domains.run_table import CURVES, FACTS, NOTE, RunTable, number

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1b2733;background:#fff;max-width:1200px;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}
th,td{padding:.3rem .7rem;text-align:right;border-bottom:1px solid #dde3ea;white-space:nowrap}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:#fff}
thead th{border-bottom:2px solid #1b2733}
small,.note{color:#5b6b7b} h2{margin-top:2.2rem} svg text{font:13px system-ui,sans-serif;fill:#1b2733}
"""
_WIDTH, _LABEL, _BAR = 900, 240, 30  # pixels: of a chart, its names, one run


def write_page(table: RunTable, path: Path) -> Path:
    """Writes the page; every text from a run is escaped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(_page(table)), encoding="utf-8")
    return path


def _page(table: RunTable) -> Iterator[str]:
    names = ", ".join(row.name for row in table.rows)
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(names)}</title>'
    yield f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
    yield f"<h1>{len(table.rows)} runs side by side</h1>"
    yield f'<p class="note">{escape(NOTE)}.</p>'
    for key in CURVES:
        drawn = list(curves(table, key))
        if drawn:
            yield f"<h2>{escape(key)} while learning</h2>"
            yield from drawn
    for key in (key for key in table.keys if any(row.interval(key) for row in table.rows)):
        yield f"<h2>{escape(key)}</h2>"
        yield from _intervals(table, key)
    yield "<h2>Metrics</h2>"
    facts = [[fact, *(str(getattr(row, fact)) for row in table.rows)] for fact in FACTS]
    yield from _table(table, [*facts, *([key, *(row.cell(key) for row in table.rows)] for key in table.keys)])
    if table.differing:
        yield "<h2>Settings that differ</h2>"
        yield from _table(table, [[k, *(row.params.get(k, "–") for row in table.rows)] for k in table.differing])
    link = escape(table.link, quote=True)
    yield f'<p>While <code>angle-domains ui</code> runs: <a href="{link}">the same in MLflow</a>.</p>'
    yield f"<p><small>{escape(table.store.shown)}: {', '.join(row.run_id for row in table.rows)}</small></p>"
    yield "</body></html>"


def _table(table: RunTable, lines: Sequence[Sequence[str]]) -> Iterator[str]:
    head = "".join(f"<th>{escape(row.name)}</th>" for row in table.rows)
    yield f'<div class="wide"><table><thead><tr><th></th>{head}</tr></thead><tbody>'
    for line in lines:
        yield "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in line) + "</tr>"
    yield "</tbody></table></div>"


def _intervals(table: RunTable, key: str) -> Iterator[str]:
    """A dot for each run's value, a line for its interval, and a dashed line at zero."""
    values = [(row.name, row.metrics[key], row.interval(key)) for row in table.rows if key in row.metrics]
    ends = [0.0, *(x for _, value, interval in values for x in (value, *(interval or ())))]
    low, high = min(ends), max(ends)
    scale = (_WIDTH - _LABEL - 120) / ((high - low) or 1.0)
    height = _BAR * len(values) + 10

    def x(value: float) -> str:
        return f"{_LABEL + 20 + (value - low) * scale:.1f}"

    yield f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img" aria-label="{escape(key, quote=True)}">'
    yield f'<line x1="{x(0)}" x2="{x(0)}" y1="0" y2="{height}" stroke="#9aa7b4" stroke-dasharray="4 4"/>'
    for index, (name, value, interval) in enumerate(values):
        y = _BAR * index + 20
        label = name if len(name) <= 32 else f"{name[:31]}…"
        yield f'<text x="0" y="{y + 5}">{escape(label)}</text>'
        if interval:
            a, b = (x(bound) for bound in interval)
            yield f'<line x1="{a}" x2="{b}" y1="{y}" y2="{y}" stroke="#2563a8" stroke-width="3"/>'
        yield f'<circle cx="{x(value)}" cy="{y}" r="5" fill="#123a63"/>'
        yield f'<text x="{_WIDTH - 70}" y="{y + 5}">{number(value)}</text>'
    yield "</svg>"
