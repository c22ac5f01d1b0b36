"""No patient, stay, date or rare word of the records reaches anything that a run leaves behind."""

import logging
import traceback
from pathlib import Path

import polars as pl
import pytest
import yaml

from angle_domains.config import AgentConfig, load_config
from angle_domains.errors import FeedError
from angle_domains.evaluation.clinical import play
from angle_domains.policy import load_policy
from angle_domains.showing import Showing
from angle_domains.tables import make_feed
from angle_domains.training import train
from angle_domains.training.tables import write_tables
from feeds.clinical.audit import check
from tests.angle_domains.training.worlds import Lines
from tests.feeds.clinical.tables import ROLES, table

CANARIES = ("CANARYPAT", "CANARYSTAY", "2031-05", "2031/05", "Canary Ann", "Canary Hospital", "canary lactate")
DAY = pl.datetime(2031, 5, 17)


def planted(folder: Path, broken: str | None = None) -> Path:
    """A CSV of 90 patients: their ids and times can be told anywhere, and one has a category and a site of her own."""
    one = pl.col("subject_id") == "MRN7004"
    frame = table(90).with_columns(
        subject_id=pl.col("subject_id").str.replace("MRN", "CANARYPAT"),
        stay_id=pl.format("CANARYSTAY{}", "stay_id"),
        time_hour=DAY + pl.duration(hours=pl.col("time_hour").cast(pl.Int64)),
        gender=pl.when(one).then(pl.lit("Canary Ann, called Otherwise")).otherwise("gender"),
        site=pl.when(one).then(pl.lit("Canary Hospital")).otherwise("site"),
    )
    if broken is not None:
        frame = frame.with_columns(
            lactate=pl.when(pl.col("site") == "Canary Hospital")
            .then(pl.lit(broken))
            .otherwise(pl.col("lactate").cast(str))
        )
    path = folder / "table.csv"
    folder.mkdir(parents=True)
    frame.write_csv(path)
    (folder / "schema.yaml").write_text(yaml.safe_dump(ROLES | {"site": "site"}, sort_keys=False))
    return path


def configure(path: Path) -> AgentConfig:
    small = (
        "training.steps=60",
        "training.evaluate_every=60",
        "training.checkpoint_every=30",
        "feed.states.masks=true",
    )
    return load_config(feed="clinical", agent="bc", overrides=(f"feed.path={path}", "name=one", "device=cpu", *small))


def leaks(root: Path) -> list[str]:
    """Which canary stands in which file, in any letters that a file may be written in."""
    found = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        content = path.read_bytes().lower()
        for canary in CANARIES:
            if any(canary.lower().encode(letters) in content for letters in ("utf-8", "utf-16-le")):
                found.append(f"{canary} in {path.relative_to(root)}")
    return found


def test_canaries_are_found_where_they_are(tmp_path: Path) -> None:
    """Else the next test could not fail."""
    planted(tmp_path / "data")
    assert len(leaks(tmp_path)) == 5


@pytest.mark.slow
def test_nothing_that_a_run_leaves_behind_holds_a_canary(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    root, config, console = tmp_path / "runs", configure(planted(tmp_path / "data")), Lines()
    [result] = train(config, console=console, root=root)
    assert result.status == "FINISHED"
    told = [*console.told, *result.lines, *write_tables("one", "test", root / "latex", root)]
    policy, feed = load_policy("one", root), make_feed("clinical", config.feed)
    told += [*play(feed, policy.agent, Showing(episodes=3)), check(str(config.feed.path), config.feed).text]
    told += [repr(feed.records), repr(feed.episodes("train")), str(feed.state_dict()), str(feed.spec)]
    for number, wrong in enumerate(("canary lactate", "-7")):
        try:
            train(configure(planted(tmp_path / f"broken{number}", wrong)), console=console, root=root)
        except FeedError:
            told.append(traceback.format_exc())
    assert sum("FeedError" in text for text in told) == 2
    (root / "terminal.txt").write_text("\n".join((*told, caplog.text)))
    kept = {path.name for path in (root / "artifacts").rglob("*")}
    assert {"report.html", "report.json", "report.md"} <= kept
    kinds = {path.suffix for path in root.rglob("*")}
    assert {".html", ".json", ".md", ".tex", ".db", ".safetensors", ".yaml", ".txt"} <= kinds
    assert not leaks(root)
