"""Charts show the values they were given."""

import json
import re

import numpy as np
import pytest

from angle_domains.report.charts import Frame, Line, areas, bars, columns, lines
from angle_domains.report.scales import linear, time_axis


def frame(values: np.ndarray, **settings: object) -> Frame:
    stamps = np.datetime64("2020-01-01", "us") + np.arange(values.shape[-1]) * np.timedelta64(1, "D")
    scale = linear(values, zero=True)
    return Frame("Title", "unit", time_axis(stamps), scale, lambda value, digits: f"{value:.{digits}f}", **settings)


def points(path: str) -> np.ndarray:
    """Corners `[K, 2]` of an SVG path, as fractions from the lower left."""
    found = np.array([[float(x), float(y)] for x, y in re.findall(r"[ML]([\d.-]+) ([\d.-]+)", path)])
    return np.stack([found[:, 0], 1000.0 - found[:, 1]], 1) / 1000.0


def path_of(html: str, style: str) -> str:
    found = re.search(rf'<path class="{style}" d="([^"]*)"/>', html.split("</ul>")[-1])
    assert found
    return found[1]


def readout(html: str) -> dict[str, list[object]]:
    found = re.search(r'<script type="application/json">(.*?)</script>', html, re.S)
    assert found
    return json.loads(found[1])


def test_a_line_goes_through_its_values() -> None:
    value = np.array([0.0, 0.4, 1.0, 0.6])
    html = lines(frame(value), [Line("wealth", value, "s0")])
    np.testing.assert_allclose(points(path_of(html, "line s0"))[:, 1], value, atol=1e-4)
    np.testing.assert_allclose(points(path_of(html, "line s0"))[:, 0], [0, 1 / 3, 2 / 3, 1], atol=1e-3)


def test_a_line_breaks_where_values_are_missing() -> None:
    value = np.array([0.0, np.nan, 1.0, 0.5])
    path = path_of(lines(frame(value), [Line("wealth", value, "s0")]), "line s0")
    assert path.count("M") == 2
    assert len(points(path)) == 3


def test_thinning_keeps_ends_and_the_worst() -> None:
    value = np.zeros(10_000)
    value[5_003] = -1.0
    plain = points(path_of(lines(frame(value), [Line("d", value, "s0")]), "line s0"))
    worst = points(path_of(lines(frame(value), [Line("d", value, "s0")], worst=True), "line s0"))
    assert len(plain) == len(worst) == 600
    assert worst[:, 1].min() == 0.0
    assert plain[-1, 0] == 1.0


@pytest.mark.parametrize("length", [1, 5, 599, 600, 601, 12345])
def test_columns_cover_every_bar_once(length: int) -> None:
    edges = columns(length)
    assert edges[0] == 0
    assert edges[-1] == length
    assert (np.diff(edges) >= 1).all()
    assert len(edges) - 1 == min(length, 600)


def test_areas_are_stacked_away_from_zero() -> None:
    up, more, down = np.array([0.2, 0.3]), np.array([0.5, 0.4]), np.array([-0.25, -0.25])
    both = np.array([[0.7, 0.7], [-0.25, -0.25]])
    shown = frame(both)
    html = areas(shown, [Line("a", up, "w0"), Line("b", more, "w1"), Line("c", down, "w2")])
    scale = shown.scale
    np.testing.assert_allclose(points(path_of(html, "area w0"))[:2, 1], scale.at(up), atol=1e-4)
    np.testing.assert_allclose(points(path_of(html, "area w1"))[:2, 1], scale.at(up + more), atol=1e-4)
    np.testing.assert_allclose(points(path_of(html, "area w2"))[:2, 1], scale.at(down), atol=1e-4)
    np.testing.assert_allclose(points(path_of(html, "area w1"))[2:, 1], scale.at(up[::-1]), atol=1e-4)


def test_what_changes_sign_is_on_both_sides() -> None:
    value = np.array([0.5, -0.5])
    html = areas(frame(value), [Line("a", value, "w0")])
    assert html.split("</ul>")[-1].count('class="area w0"') == 2


def test_bars_stand_on_zero() -> None:
    value = np.array([1.0, np.nan, 2.0])
    html = bars(frame(value), value, "s0")
    assert html.count('class="bar s0"') == 2
    assert "V500" in html  # the first is half as high as the scale


def test_the_readout_holds_dates_and_values() -> None:
    value = np.array([0.0, 0.25, 1.0])
    found = readout(lines(frame(value, digits=2), [Line("a </script> b", value, "s0")]))
    assert found["when"] == ["2020-01-01", "2020-01-02", "2020-01-03"]
    assert found["at"] == [0.0, 0.5, 1.0]
    assert found["series"] == [["a </script> b", "s0", ["0.00", "0.25", "1.00"]]]


def test_words_are_escaped() -> None:
    value = np.array([0.0, 1.0])
    html = lines(frame(value), [Line("<b>&", value, "s0")], mark=(1, "<i>"))
    assert "<b>&" not in html
    assert "&lt;b&gt;&amp;" in html
    assert "&lt;i&gt;" in html


def test_a_mark_lies_on_the_line() -> None:
    value = np.array([0.0, 0.5, 1.0, 0.5])
    html = lines(frame(value), [Line("a", value, "s0")], mark=(2, "best"))
    assert '<i class="dot" style="left:66.67%;top:0.00%"></i>' in html
    assert 'class="words left"' in html  # near the right edge the words go to the left


def test_a_legend_is_drawn_like_its_lines() -> None:
    value = np.array([0.0, 1.0])
    html = lines(frame(value), [Line("one", value, "s0"), Line("two", value, "s1")])
    assert re.findall(r"</svg>(\w+)</li>", html) == ["one", "two"]
    assert "legend" not in lines(frame(value, legend=False), [Line("one", value, "s0")])
