import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from angle_domains.compare import compare
from angle_domains.compare_page import write_page
from angle_domains.errors import AngleError, ConfigError
from angle_domains.run_table import Row, RunTable
from angle_domains.tracking import MlflowTracker, RunInfo, Store, finish_parent, resolve_store

INFO = RunInfo("x", "market", "market", "ppo", 0)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder of runs (two alone, one of two seeds) and the ids by name."""
    runs, ids = tmp_path_factory.mktemp("compare") / "runs", {}
    os.environ.pop("MLFLOW_TRACKING_URI", None)

    def run(name: str, lr: float, sharpe: float, parent: str | None = None) -> None:
        tracker = MlflowTracker(resolve_store(None, runs), runs / name, interval=0.1)
        tracker.start(replace(INFO, name=name, params={"lr": lr, "gamma": 0.9, "feed.path": "sp500"}, parent=parent))
        for step, speed in ((50, 31_234.0), (100, 51_234.0)):
            tracker.log({"episode/return": sharpe / 10, "time/steps_per_second": speed}, step)
        bounds = {"test/sharpe_low": sharpe - 1, "test/sharpe_high": sharpe + 1}
        tracker.log({"test/sharpe": sharpe, "test/cost_drag": 0.0123, **bounds}, 100)
        tracker.finish()
        ids[name] = tracker.run_id or ""

    run("first", 0.1, 0.5)
    run("<b>second</b>", 0.2, 1.5)
    parent = MlflowTracker(resolve_store(None, runs), runs / "seeds", interval=0.1)
    parent.start(replace(INFO, name="seeds", agent="a2c", seed=None, params={"lr": 0.1}))
    for seed in (0, 1):
        run(f"seeds-{seed}", 0.1, float(seed), parent.reference)
    finish_parent(parent, [runs / "seeds-0", runs / "seeds-1"])
    ids["seeds"] = parent.run_id or ""
    return runs, ids


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def page_of(lines: list[str]) -> str:
    (place,) = [line.removeprefix("page: ") for line in lines if line.startswith("page: ")]
    return Path(place).read_text()


def test_runs_stand_side_by_side_with_intervals(
    tracked: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    runs, ids = tracked
    lines = list(compare(["first", ids["<b>second</b>"], str(runs / "seeds")], root=runs))
    table = {cells[0]: cells[1:] for line in lines if len(cells := re.split(r"\s*[│┃]\s*", line.strip("│┃ "))) == 4}
    assert table["run"] == ["first", "<b>second</b>", "seeds"]
    assert table["agent"] == ["ppo", "ppo", "a2c"]
    assert table["data"] == ["sp500", "sp500", "–"]
    assert table["seeds"] == ["1", "1", "2"]
    assert table["test/sharpe"] == ["0.5 [-0.5, 1.5]", "1.5 [0.5, 2.5]", "0.5 [-5.853, 6.853]"]
    assert table["test/cost_drag"] == ["0.0123"] * 3
    assert table["time/steps_per_second"] == ["41,234"] * 3
    assert list(table)[-1] == "time/steps_per_second"
    link = lines[-1]
    assert all(ids[name] in link for name in ("first", "<b>second</b>", "seeds"))
    assert "/#/compare-runs?" in link


def test_the_page_needs_nothing_else_and_runs_no_foreign_markup(tracked: tuple[Path, dict[str, str]]) -> None:
    runs, ids = tracked
    page = page_of(list(compare(["first", ids["<b>second</b>"]], root=runs)))
    tags = Tags(page).seen
    assert not {"b", "script", "link", "img", "iframe"} & {tag for tag, _ in tags}
    assert [attributes["href"] for tag, attributes in tags if tag == "a"] != []
    assert len([tag for tag, _ in tags if tag == "circle"]) == 2
    assert "&lt;b&gt;second&lt;/b&gt;" in page
    settings = page[page.index("Settings that differ") :]
    assert "<td>lr</td><td>0.1</td><td>0.2</td>" in settings
    assert "gamma" not in settings


def test_intervals_stand_over_an_axis_with_their_numbers_beside_them(tracked: tuple[Path, dict[str, str]]) -> None:
    page = page_of(list(compare(["first", "seeds"], root=tracked[0])))
    chart = page[page.index("<h2>test/sharpe</h2>") : page.index("<h2>Metrics</h2>")]
    chart = chart[: chart.index("</svg>")]
    assert "Sharpe ratio of the test part, annualised." in chart
    assert re.findall(r'text-anchor="middle">([^<]*)<', chart) == ["−10", "−5", "0", "5", "10"]
    assert re.findall(r'text-anchor="end">([^<]*)<', chart) == ["0.5 [−0.5, 1.5]", "0.5 [−5.853, 6.853]"]
    (dot,) = set(re.findall(r'cx="([\d.]+)"', chart))
    ticks = re.findall(r'<text x="([\d.]+)" y="87" text-anchor="middle">', chart)
    zero, five = float(ticks[2]), float(ticks[3])
    assert float(dot) == pytest.approx(zero + (five - zero) / 10, abs=0.1)
    low, high = re.findall(r'<line x1="([\d.]+)" x2="([\d.]+)" y1="50"', chart)[0]
    assert [float(low), float(high)] == pytest.approx(
        [zero + (five - zero) * bound / 5 for bound in (-5.853, 6.853)], abs=0.2
    )


def test_the_last_runs_leave_children_to_their_parent(tracked: tuple[Path, dict[str, str]]) -> None:
    runs, ids = tracked
    link = list(compare(last=2, root=runs))[-1]
    assert ids["seeds"] in link
    assert ids["<b>second</b>"] in link
    assert ids["first"] not in link
    assert ids["seeds-0"] not in link


def test_a_filter_and_an_experiment_find_runs(tracked: tuple[Path, dict[str, str]]) -> None:
    runs, ids = tracked
    link = list(compare(filter="tags.agent = 'ppo' and metrics.`test/sharpe` > 1", experiment="market", root=runs))[-1]
    assert ids["<b>second</b>"] in link
    assert ids["first"] not in link


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"runs": ["frist"]}, "no run is called 'frist': did you mean 'first'"),
        ({"runs": ["0" * 32]}, "no run has the id"),
        ({"filter": "tags.agent ="}, "the filter 'tags.agent ='"),
        ({"filter": "tags.agent = 'nobody'"}, "no run matches"),
        ({"last": 1, "experiment": "markte"}, "no experiment is called 'markte': did you mean 'market'"),
        ({"runs": ["first"], "last": 2}, "not both"),
        ({"runs": ["first"], "experiment": "market"}, "not both"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    tracked: tuple[Path, dict[str, str]], asked: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        list(compare(**asked, root=tracked[0]))


def test_a_server_that_is_away_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(AngleError, match=r"^http://\*\*\*@127.0.0.1:9 does not answer: ") as caught:
        list(compare(last=3, uri="http://me:s3cret@127.0.0.1:9", root=tmp_path))
    assert "s3cret" not in str(caught.value)


def test_without_any_run_a_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(ConfigError, match="no run has been tracked there yet"):
        list(compare(last=3, root=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_many_runs_are_lines(tracked: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("angle_domains.compare._FEW", 1)
    lines = list(compare(["first", "seeds"], root=tracked[0]))
    (line,) = [line for line in lines if line.startswith("│ first")]
    assert "0.5 [-0.5, 1.5]" in line
    assert "41,234" in line


@pytest.mark.parametrize(
    ("feeds", "said"),
    [(("clinical",), 1), (("market", "icu-sepsis"), 1), (("glucose", "glucose"), 1), (("market", "gone"), 0)],
)
def test_a_page_with_a_run_on_patients_says_that_it_is_research(
    feeds: tuple[str, ...], said: int, tmp_path: Path
) -> None:
    rows = tuple(Row(f"r{at}", str(at), "0", feed, "ppo", "FINISHED", 1, {}, {}) for at, feed in enumerate(feeds))
    page = write_page(RunTable(Store("sqlite:///none"), rows), tmp_path / "page.html").read_text()
    assert page.count("Research, not for care.") == said


def test_a_refused_value_is_said_to_be_that_and_updates_are_called_updates(tmp_path: Path) -> None:
    rows = [
        Row("a", "1", "0", "clinical", "cql", "FINISHED", 1, metrics, {"training.steps": "20000", **more})
        for metrics, more in (
            ({"test/refused": 1.0}, {}),
            ({"test/refused": 0.0, "test/wis": 0.8, "test/wis_low": 0.7, "test/wis_high": 0.9}, {}),
        )
    ]
    table = RunTable(Store("sqlite:///none"), tuple(rows))
    assert "test/wis" in table.keys
    assert [row.cell("test/wis") for row in table.rows] == ["not estimable", "0.8 [0.7, 0.9]"]
    assert rows[0].trained == "20,000 updates"
    plays = Row("b", "2", "0", "market", "ppo", "FINISHED", 1, {"test/sharpe": 1.0}, {"training.steps": "1536"})
    assert plays.trained == "1,536 environment steps"
    assert plays.cell("test/wis") == "–"
    alike = {"test/return": 500.0, "test/return_low": 500.0, "test/return_high": 500.0}  # no interval can be had
    level = Row("d", "4", "0", "classic", "ppo", "FINISHED", 1, alike, {})
    assert level.cell("test/return") == "500"
    control = Row("c", "3", "0", "clinical", "dqn", "FINISHED", 1, {}, {"training.source": "records"})
    assert (control.unit, control.trained) == ("updates", "–")
