"""Openings of the test part after a run has ended: each is a trial, here and in the store."""

import signal
from pathlib import Path
from typing import Any

import pytest

from angle_domains.runs import RunFolder
from angle_domains.tracking import open_tracker, recover, resolve_store
from angle_domains.tracking.courier import Courier
from angle_domains.tracking.store import connect
from angle_domains.training import AgentTrainer, evaluate, train, verdicts
from angle_domains.training.session import run_info
from angle_domains.training.signals import StopSignal
from tests.angle_domains.training.worlds import Lines, the_run


def test_a_further_opening_reaches_the_run_in_mlflow_and_changes_nothing_else_there(
    configure: Any, tmp_path: Path
) -> None:
    [result] = train(configure("name=one", "tracking.uri=null"), console=Lines(), root=tmp_path)
    before = the_run(tmp_path)
    assert before.data.metrics["test/openings"] == 1
    evaluate("one", split="validation", root=tmp_path)
    [again] = evaluate("one", root=tmp_path)
    after = the_run(tmp_path)
    revised = {"test/openings": 2.0, "test/dsr": pytest.approx(again.metrics["dsr"])}
    assert after.data.metrics == before.data.metrics | revised
    assert again.metrics["dsr"] < result.metrics["dsr"]
    assert (after.info.run_id, after.info.status) == (before.info.run_id, "FINISHED")
    assert after.info.end_time == before.info.end_time
    assert after.data.tags == before.data.tags
    points = connect(resolve_store(None, tmp_path)).get_metric_history(after.info.run_id, "test/openings")
    assert [(point.step, point.value) for point in points] == [(1536, 1.0), (1536, 2.0)]


def test_an_opening_is_not_lost_where_the_store_is_away_or_judging_fails(
    configure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(configure("name=one", "tracking.uri=null"), console=Lines(), root=tmp_path)

    def away(courier: Courier) -> None:
        raise ConnectionError("the store is away")

    with monkeypatch.context() as patch:
        patch.setattr(Courier, "deliver", away)
        [result] = evaluate("one", root=tmp_path)
        assert result.exit_code == 0
    assert the_run(tmp_path).data.metrics["test/openings"] == 1
    recover(resolve_store(None, tmp_path), tmp_path)
    assert the_run(tmp_path).data.metrics["test/openings"] == 2

    monkeypatch.setattr(verdicts, "count_trials", away)  # after the opening was noted
    with pytest.raises(TypeError):
        evaluate("one", root=tmp_path)
    assert the_run(tmp_path).data.metrics["test/openings"] == 3


def test_a_run_that_was_stopped_is_a_trial_of_the_store_once_it_is_evaluated(configure: Any, tmp_path: Path) -> None:
    config = configure("name=one", "tracking.uri=null")
    trainer, folder = AgentTrainer(config, RunFolder(tmp_path / "one"), Lines()), RunFolder(tmp_path / "one")
    folder.create(config.to_dict())
    tracker = open_tracker(config.tracking, run_info(config, "one", seed=0), folder.path)
    stop = StopSignal()
    stop.caught = signal.SIGTERM  # after the first update
    trainer.train(tracker, stop)
    tracker.finish("KILLED")
    [result] = evaluate("one", root=tmp_path)
    run = the_run(tmp_path)
    assert run.info.status == "KILLED"
    assert (run.data.metrics["test/openings"], run.data.metrics["test/sharpe"]) == (1, result.metrics["sharpe"])


def test_openings_of_other_machines_are_trials(configure: Any, tmp_path: Path) -> None:
    store = f"tracking.uri=sqlite:///{tmp_path}/shared/mlflow.db"
    train(configure("name=one", store), console=Lines(), root=tmp_path / "there")
    evaluate("one", root=tmp_path / "there")
    [here] = train(configure("name=two", store), console=Lines(), root=tmp_path / "here")
    assert "best of 3 trials" in "\n".join(here.lines)
    [again] = evaluate("two", root=tmp_path / "here")
    assert "best of 4 trials" in "\n".join(again.lines)


def test_where_tracking_is_off_an_evaluation_tracks_nothing(configure: Any, tmp_path: Path) -> None:
    train(configure("name=one"), console=Lines(), root=tmp_path)
    before = {path.name for path in (tmp_path / "one").iterdir()}
    evaluate("one", root=tmp_path)
    assert {path.name for path in (tmp_path / "one").iterdir()} == before
    assert not (tmp_path / "mlflow.db").exists()
