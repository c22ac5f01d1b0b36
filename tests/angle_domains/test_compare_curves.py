import re
from dataclasses import replace
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


def points(text: str) -> list[tuple[float, float]]:
    found = re.findall(r'polyline points="([^"]*)"', text)[0].split()
    return [(float(x), float(y)) for x, y in (point.split(",") for point in found)]


def banded(low: float, high: float) -> Row:
    bounds = {f"validation__score_{end}": ((3000, v), (6144, v)) for end, v in (("low", low), ("high", high))}
    return row("wide", validation__score=((3000, 0.0), (6144, 300.0)), **bounds)


def test_a_band_far_wider_than_the_lines_is_cut_and_does_not_flatten_them() -> None:
    narrow, wide = (chart(banded(low, high)) for low, high in ((-150.0, 450.0), (-9000.0, 9000.0)))
    assert points(narrow) == points(wide)
    assert points(wide)[0][1] - points(wide)[1][1] >= 280 / 3
    polygon = wide[wide.index("<polygon") :]
    assert wide.index('<svg x="70" y="10" width="800" height="280"') < wide.index("<polygon") < wide.index("<polyline")
    assert min(float(part.split(",")[1]) for part in re.findall(r"[\d.-]+,[\d.-]+", polygon)) < 0.0  # cut, not bent


def test_the_axis_ends_with_the_longest_curve_and_is_named() -> None:
    text = chart(banded(-150.0, 450.0))
    assert points(text)[-1][0] == 870.0
    assert ">4,000<" in text
    assert ">8,000<" not in text
    assert ">environment steps<" in text
    assert ">−200<" in text


def test_the_legend_tells_how_many_seeds_a_run_stands_for() -> None:
    line = ((100, 1.0), (200, 3.0))
    text = chart(row("one", validation__score=line), replace(row("many", validation__score=line), seeds=3))
    assert re.findall(r"</i>([^<]*)<", text) == ["one", "many (3 seeds)"]
    assert "Bands" not in text  # none is drawn


def test_a_single_point_has_its_interval() -> None:
    bounds = {"validation__score_low": ((200, 1.0),), "validation__score_high": ((200, 3.0),)}
    text = chart(
        row("two", validation__score=((100, 1.0), (200, 3.0))), row("o", validation__score=((200, 2.0),), **bounds)
    )
    assert len(re.findall(r'<line x1="870.0" y1="[\d.]+" x2="870.0"', text)) == 1
