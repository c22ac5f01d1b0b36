import re
from typing import Any

from angle_domains.compare_curves import curves
from angle_domains.run_table import Row, RunTable


def row(name: str, **drawn: Any) -> Row:
    facts = {"run_id": name, "experiment_id": "1", "feed": "classic", "agent": "dqn", "status": "FINISHED", "seeds": 1}
    named = {key.replace("__", "/"): value for key, value in drawn.items()}
    return Row(name=name, **facts, metrics={}, params={}, curves=named)


def chart(*rows: Row) -> str:
    return "\n".join(curves(RunTable(None, rows), "validation/score"))  # type: ignore[arg-type]


def test_every_run_has_a_line_and_several_seeds_a_band() -> None:
    one = row("<one>", validation__score=((100, 1.0), (200, 3.0)))
    bounds = {"validation__score_low": ((100, 0.0), (200, 2.0)), "validation__score_high": ((100, 4.0), (200, 8.0))}
    many = row("many", validation__score=((100, 2.0), (200, 5.0)), **bounds)
    text = chart(one, many)
    assert (text.count("<polyline"), text.count("<polygon")) == (2, 1)
    assert "&lt;one&gt;" in text
    assert "<one>" not in text
    first, last = re.findall(r'polyline points="([^"]*)"', text)[0].split()
    (x0, y0), (x1, y1) = ([float(part) for part in point.split(",")] for point in (first, last))
    assert x1 - x0 == 400.0  # half of the plot for half of the steps
    assert y0 - y1 == 70.0  # two of the eight that the axis spans, upward


def test_a_single_point_is_no_curve() -> None:
    single = row("one", validation__score=((100, 1.0),))
    assert chart(single, row("none")) == ""
    assert chart(single, row("two", validation__score=((100, 1.0), (200, 3.0)))).count("<circle") == 1  # beside one
