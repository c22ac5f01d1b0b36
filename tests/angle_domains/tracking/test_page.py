import urllib.error
import urllib.request
from pathlib import Path

import pytest

from angle_domains.tracking import finish_parent
from angle_domains.ui import compare_link, experiment_link
from tests.angle_domains.tracking.conftest import Server
from tests.angle_domains.tracking.worlds import opened
from tests.conftest_browser import browser_page

pytestmark = pytest.mark.xdist_group("mlflow-server")  # one server for all

# What the charts of the page draw; on canvases, so that there are no elements to count.
DRAWN = """() => [...document.querySelectorAll('.js-plotly-plot')].flatMap(plot => plot.data || [])
    .map(curve => ({type: curve.type || '', y: [...(curve.y || [])]}))"""


def three_runs(server: Server) -> tuple[list[str], str, str]:
    """Ids of three seeds, their parent's name and their experiment."""
    parent = opened(server.runs, "together", seed=None, experiment="page")
    ids, folders = [], []
    for seed in range(3):
        name = f"alone-{seed}"
        tracker = opened(
            server.runs, name, seed=seed, experiment="page", parent=parent.reference, params={"seed": seed}
        )
        for step in range(0, 1_000, 100):
            tracker.log({"episode/return": step / 1_000 + seed, "validation/score": seed * 0.1}, step)
        tracker.log({"test/sharpe": 0.5 + seed}, 1_000)
        tracker.finish()
        ids.append(tracker.run_id or "")
        folders.append(server.runs / name)
    finish_parent(parent, folders)
    assert parent.writer is not None
    return ids, parent.journal.folder.name, parent.writer.courier.delivery.experiment_id or ""


@pytest.mark.page
def test_the_links_show_charts_in_the_real_ui(server: Server, tmp_path: Path) -> None:
    with browser_page() as page:
        ids, parent, experiment = three_runs(server)
        base = server.address
        page.goto(compare_link(base, ids, [experiment]))
        page.get_by_text("Comparing 3 Runs from 1 Experiment").wait_for(timeout=60_000)
        page.locator(".js-plotly-plot svg.main-svg").first.wait_for(timeout=60_000)
        for seed in range(3):
            page.get_by_text(f"alone-{seed}", exact=True).first.wait_for()
        assert page.locator(".js-plotly-plot").first.get_by_text("episode/return").count() == 1  # an axis
        assert "No charts" not in page.inner_text("body")
        assert page.get_by_text("test/sharpe", exact=True).count() >= 1
        page.screenshot(path=tmp_path / "comparison.png")
        page.get_by_role("tab", name="Scatter Plot").click()
        page.wait_for_function(f"({DRAWN})().some(curve => curve.type.startsWith('scatter'))")
        (points,) = page.evaluate(DRAWN)
        assert sorted(points["y"]) == pytest.approx([0.9, 1.9, 2.9])  # a point for each run
        page.screenshot(path=tmp_path / "scatter.png")

        page.goto("about:blank")
        page.goto(experiment_link(base, experiment))
        page.get_by_text(f"{parent} (episode/return)").first.wait_for(timeout=60_000)
        page.wait_for_function(f"({DRAWN})().some(curve => curve.y.length == 10)", timeout=60_000)
        curves = [curve["y"] for curve in page.evaluate(DRAWN)]
        assert pytest.approx([step / 10 + 1 for step in range(10)]) in curves  # the mean of the seeds
        assert page.get_by_text(f"{parent} (test/sharpe_low)").count() == 1  # the interval stands beside the mean
        page.screenshot(path=tmp_path / "experiment.png")
    print(f"screenshots in {tmp_path}")


def test_the_server_answers_this_host_alone(server: Server) -> None:
    def status(headers: dict[str, str]) -> int:
        request = urllib.request.Request(
            f"{server.address}/api/2.0/mlflow/experiments/get?experiment_id=0", headers=headers
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert status({}) == 200
    assert status({"Host": "evil.example"}) == 403
