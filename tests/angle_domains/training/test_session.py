"""Runs that go on after damage: nothing whole is lost, and one sentence says what was found."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from angle_domains.cli import main
from angle_domains.errors import CheckpointError, ConfigError
from angle_domains.runs import RunFolder
from angle_domains.tracking import Journal
from angle_domains.training import AgentTrainer, train
from tests.angle_domains.training.worlds import Lines, points, the_run, weights


class Crash(BaseException):
    """Whatever ends the process."""


def alter(manifest: Path, *, sealed: bool, **meta: Any) -> None:
    """Changes the meta data of a checkpoint (None: takes a key away), as now or as before manifests had seals."""
    told = json.loads(manifest.read_text())
    told["meta"] = {key: value for key, value in (told["meta"] | meta).items() if value is not None}
    if not sealed:
        told["schema"] = 1
        del told["seal"]
    manifest.write_text(json.dumps(told))


@pytest.mark.parametrize("sealed", [True, False])
def test_a_step_that_was_altered_costs_no_checkpoint(configure: Any, tmp_path: Path, sealed: bool) -> None:
    train(configure("name=one"), console=Lines(), root=tmp_path)
    run = RunFolder(tmp_path / "one")
    steps, expected = [int(folder.name[-12:]) for folder in run.saved], weights(run)
    alter(run.last / "manifest.json", sealed=sealed, step=256)
    console = Lines()
    [result] = train(configure("name=one"), console=console, root=tmp_path, resume="one")
    assert result.status == "FINISHED"
    assert any("manifest.json is damaged" in line and "before it is used" in line for line in console.told)
    assert f"one: goes on at step {steps[-2]:,} of 1,536" in console.told
    assert [int(folder.name[-12:]) for folder in run.saved] == steps
    assert weights(run) == expected


def test_what_a_manifest_lacks_is_one_sentence(
    configure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    train(configure("name=one"), console=Lines())
    run = RunFolder(tmp_path / "runs" / "one")
    for folder in run.saved:
        alter(folder / "manifest.json", sealed=False, config=None)
    for words in (["play", "--checkpoint", "one"], ["train", "--resume", "one", "--steps", "2048"]):
        assert main(words) == 2
        assert "manifest.json is damaged: its meta data lack config" in capsys.readouterr().err
    assert len(run.saved) >= 2


def crash(*_: Any, **__: Any) -> None:
    raise Crash


def test_ended_before_its_first_checkpoint_a_run_begins_anew_as_the_same_run(
    configure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure("name=one", "tracking.uri=null")
    train(config, console=Lines(), root=tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(AgentTrainer, "_save", crash)
        with pytest.raises(Crash):
            train(config, console=Lines(), root=tmp_path)
    before = the_run(tmp_path).info.run_id
    with pytest.raises(ConfigError, match="seed is 0 in the run one and cannot become 7"):
        train(configure("name=one", "tracking.uri=null", "seed=7"), console=Lines(), root=tmp_path, resume="one")
    console = Lines()
    [result] = train(config, console=console, root=tmp_path, resume="one")
    assert result.status == "FINISHED"
    assert "one: ended before its first checkpoint, and begins anew" in console.told
    assert (the_run(tmp_path).info.run_id, the_run(tmp_path).info.status) == (before, "FINISHED")
    assert points(tmp_path) == points(tmp_path / "whole")
    assert weights(RunFolder(tmp_path / "one")) == weights(RunFolder(tmp_path / "whole" / "one"))


@pytest.mark.parametrize("gone", [True, False])
def test_where_checkpoints_were_and_none_is_whole_nothing_begins_anew(
    configure: Any, tmp_path: Path, gone: bool
) -> None:
    train(configure("name=one"), console=Lines(), root=tmp_path)
    run = RunFolder(tmp_path / "one")
    for folder in run.saved:
        (folder / "tensors.safetensors").write_bytes(b"damaged")
        if gone:
            shutil.rmtree(folder)
    before = run.saved
    with pytest.raises(CheckpointError, match="has no whole checkpoint to resume from"):
        train(configure("name=one"), console=Lines(), root=tmp_path, resume="one")
    assert run.saved == before


def test_what_a_run_had_not_sent_at_its_end_is_sent_when_it_is_asked_to_go_on(configure: Any, tmp_path: Path) -> None:
    """As SIGKILL leaves it between the last word to the disk and the last one to the store."""
    config = configure("name=one", "tracking.uri=null")
    train(config, console=Lines(), root=tmp_path)
    expected, before = points(tmp_path), the_run(tmp_path).info
    (tmp_path / "mlflow.db").unlink()
    journal = Journal(tmp_path / "one")
    journal.store(replace(journal.load(), sent=0, closed=False, run_id=None, experiment_id=None))
    with pytest.raises(ConfigError, match="has finished its 1,536 steps"):
        train(config, console=Lines(), root=tmp_path, resume="one")
    after = the_run(tmp_path).info
    assert points(tmp_path) == expected
    assert (after.status, after.end_time) == ("FINISHED", before.end_time)
    assert journal.arrived(journal.load())
