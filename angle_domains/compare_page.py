"""The page of a comparison: one file that needs nothing else."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import numpy as np

from angle_domains.compare_curves import colours, curves
from angle_domains.report.banner import banner
from angle_domains.report.page import typeset
from angle_domains.report.scales import linear
from angle_domains.run_table import CURVES, FACTS, NOTE, RunTable

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1b2733;background:#fff;max-width:1200px;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}
th,td{padding:.3rem .7rem;text-align:right;border-bottom:1px solid #dde3ea;white-space:nowrap}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:#fff}
thead th{border-bottom:2px solid #1b2733}
small,.note{color:#5b6b7b} .note{margin:.2rem 0 .6rem} h2{margin:2.2rem 0 .2rem}
.legend{display:flex;flex-wrap:wrap;gap:.1rem 1.2rem;margin:.4rem 0}
.legend i{display:inline-block;width:.8em;height:.8em;margin-right:.45em;border-radius:2px}
svg{max-width:100%;height:auto} svg text{font:13px system-ui,sans-serif;fill:#1b2733;font-variant-numeric:tabular-nums}
"""
_WIDTH, _LABEL, _NUMBERS, _BAR = 900, 220, 180, 30  # pixels: of a chart, its names and numbers, one run
_LETTERS = 28  # of a name
_MEANING = {  # of the keys that have charts
    "validation/score": "What the checkpoints are chosen by, on the validation part",
    "episode/return": "Mean return of the episodes of training, actions drawn as the agent explores",
    "test/return": "Mean return of whole episodes of the test part",
    "test/iqm": "Mean of the middle half of the returns on the test part",
    "test/human_normalised": "Return on the test part: 0 is random play, 1 a professional tester",
    "test/wis": "Value of a stay on the recorded test patients by weighted importance sampling",
    "test/sharpe": "Sharpe ratio of the test part, annualised",
    "test/excess_sharpe": "Sharpe ratio of the test part less that of equal weight",
    "test/cagr": "Growth of wealth in a year of the test part",
    "test/max_drawdown": "Deepest fall below the highest wealth so far, on the test part",
}


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
    if told := banner(row.feed for row in table.rows):
        yield f"<p>{told}</p>"
    yield f'<p class="note">{escape(NOTE)}.</p>'
    for key in CURVES:
        drawn = list(curves(table, key))
        if drawn:
            yield from _heading(key, " while learning")
            yield from drawn
    for key in (key for key in table.keys if any(row.interval(key) for row in table.rows)):
        yield from _heading(key)
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


def _heading(key: str, more: str = "") -> Iterator[str]:
    yield f"<h2>{escape(key)}{more}</h2>"
    if key in _MEANING:
        yield f'<p class="note">{_MEANING[key]}.</p>'


def _table(table: RunTable, lines: Sequence[Sequence[str]]) -> Iterator[str]:
    head = "".join(f"<th>{escape(row.name)}</th>" for row in table.rows)
    yield f'<div class="wide"><table><thead><tr><th></th>{head}</tr></thead><tbody>'
    for line in lines:
        yield "<tr>" + "".join(f"<td>{typeset(text)}</td>" for text in line) + "</tr>"
    yield "</tbody></table></div>"


def _intervals(table: RunTable, key: str) -> Iterator[str]:
    """A dot for each run's value and a line for its interval over an axis with zero dashed; the numbers beside them."""
    shown = [(row, colour) for row, colour in zip(table.rows, colours(table), strict=True) if key in row.metrics]
    ends = [x for row, _ in shown for x in (row.metrics[key], *(row.interval(key) or ()))]
    scale, height = linear(np.array(ends), zero=True, count=5), _BAR * len(shown) + 10
    across = _WIDTH - _LABEL - _NUMBERS

    def x(value: float) -> str:
        return f"{_LABEL + float(scale.at(value)) * across:.1f}"

    yield (
        f'<svg viewBox="0 0 {_WIDTH} {height + 22}" width="{_WIDTH}" role="img" aria-label="{escape(key, quote=True)}">'
    )
    for tick in scale.ticks:
        stroke = '"#5b6b7b" stroke-dasharray="4 4"' if tick == 0 else '"#dde3ea"'
        yield f'<line x1="{x(tick)}" x2="{x(tick)}" y1="0" y2="{height}" stroke={stroke}/>'
        label = typeset(f"{tick:,.4g}")
        yield f'<text x="{x(tick)}" y="{height + 17}" text-anchor="middle">{label}</text>'
    for index, (row, colour) in enumerate(shown):
        y = _BAR * index + 20
        name = row.name if len(row.name) <= _LETTERS else f"{row.name[: _LETTERS - 1]}…"
        yield f'<text x="0" y="{y + 5}">{escape(name)}</text>'
        interval = row.interval(key)
        if interval:
            a, b = (x(bound) for bound in interval)
            yield f'<line x1="{a}" x2="{b}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3" opacity="0.6"/>'
        yield f'<circle cx="{x(row.metrics[key])}" cy="{y}" r="5" fill="{colour}"/>'
        yield f'<text x="{_WIDTH}" y="{y + 5}" text-anchor="end">{typeset(row.cell(key))}</text>'
    yield "</svg>"
