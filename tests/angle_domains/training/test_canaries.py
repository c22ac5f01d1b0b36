"""No patient, stay, date or rare word of the records reaches anything that a run leaves behind."""

import logging
import stat
import traceback
from pathlib import Path

import numpy as np
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
from feeds.clinical.feed import ClinicalFeed
from tests.angle_domains.training.worlds import Lines
from tests.feeds.clinical.tables import ROLES, table

CANARIES = ("CANARYPAT", "CANARYSTAY", "2031-05", "2031/05", "Canary Ann", "Canary Hospital", "canary lactate")
NUMBER = 9.271862  # a lactate that one patient has once, the highest of all
DAY = pl.datetime(2031, 5, 17)


def planted(folder: Path, broken: str | None = None) -> Path:
    """A CSV of 90 patients: their ids and times can be told anywhere, and one has a category and a site of her own."""
    one = pl.col("subject_id") == "MRN7004"
    once = one & (pl.col("time_hour") == 1) & (pl.col("stay_id") == pl.col("stay_id").filter(one).min())
    frame = table(90).with_columns(
        subject_id=pl.col("subject_id").str.replace("MRN", "CANARYPAT"),
        stay_id=pl.format("CANARYSTAY{}", "stay_id"),
        time_hour=DAY + pl.duration(hours=pl.col("time_hour").cast(pl.Int64)),
        gender=pl.when(one).then(pl.lit("Canary Ann, called Otherwise")).otherwise("gender"),
        site=pl.when(one).then(pl.lit("Canary Hospital")).otherwise("site"),
        lactate=pl.when(once).then(NUMBER).otherwise("lactate"),
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


def configure(path: Path, agent: str = "bc", *more: str) -> AgentConfig:
    small = (
        "training.steps=60",
        "training.evaluate_every=60",
        "training.checkpoint_every=30",
        "training.judging.fqe_updates=60",
        "feed.states.masks=true",
    )
    told = (f"feed.path={path}", "name=one", "device=cpu", *small, *more)
    return load_config(feed="clinical", agent=agent, overrides=told)


def numbers(made: ClinicalFeed) -> list[bytes]:
    """The number as it may stand in a file: as text, and in bytes, as it was read and as it is shown to agents."""
    records, rows = made.part("train"), made.episodes("train")
    [row] = np.flatnonzero(records.values["lactate"] == NUMBER)
    seen = [at for at, name in enumerate(made.spec.blocks[0].features) if name == "lactate"]
    forms = [NUMBER, *rows.observation[row, seen].tolist()]
    kinds = [np.asarray(value, kind).tobytes() for value in forms for kind in ("<f4", "<f8")]
    return [*kinds, *(f"{value:.4f}".encode() for value in forms)]


def numeric_leaks(root: Path, made: ClinicalFeed) -> list[str]:
    wanted = numbers(made)
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return [str(path.relative_to(root)) for path in files if any(one in path.read_bytes() for one in wanted)]


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
    made = make_feed("clinical", configure(tmp_path / "data" / "table.csv").feed)
    assert numeric_leaks(tmp_path, made) == []  # 9.271862 is written in full there
    np.save(tmp_path / "rows.npy", made.episodes("train").observation)
    assert numeric_leaks(tmp_path, made) == ["rows.npy"]


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


PRACTISED = ("training.streams=4", "agent.horizon=16", "agent.anneal_steps=null", "training.model.updates=30")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("agent", "more"),
    [
        ("rcql", ("agent.replay.batch=8",)),
        ("vi", ("feed.states.drop=[mbp,lactate,age]", "feed.states.since=false", "feed.states.elapsed=false")),
        ("ppo", (*PRACTISED, "training.model.members=2", "training.steps=128")),
        ("bc", ("meta.on=true", "training.judging.behaviour.kind=recurrent", "training.judging.behaviour.epochs=2")),
    ],
    ids=["recurrent", "counted", "practised", "beside"],
)
def test_whatever_learned_keeps_neither_a_canary_nor_a_row(agent: str, more: tuple[str, ...], tmp_path: Path) -> None:
    root, config, console = tmp_path / "runs", configure(planted(tmp_path / "data"), agent, *more), Lines()
    [result] = train(config, console=console, root=root)
    assert result.status == "FINISHED"
    assert stat.S_IMODE((root / "one").stat().st_mode) == 0o700
    (root / "terminal.txt").write_text("\n".join((*console.told, *result.lines)))
    assert not leaks(root)
    assert not numeric_leaks(root, make_feed("clinical", config.feed))
