"""Runs from opening to their last word, in processes of their own where signals are sent."""

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from angle_domains import checkpoint
from angle_domains.errors import CheckpointError, ConfigError
from angle_domains.policy import load_policy
from angle_domains.runs import RunFolder
from angle_domains.tracking import MemoryTracker
from angle_domains.tracking.gate import REVISED
from angle_domains.training import evaluate, session, train
from tests.angle_domains.training.worlds import Lines, points, start, the_run, wait_for, weights


def test_a_run_ends_with_its_report_and_the_test_part_opened_once(configure: Any, tmp_path: Path) -> None:
    [result] = train(configure("name=one"), console=Lines(), root=tmp_path)
    run = RunFolder(tmp_path / "one")
    assert (result.status, result.exit_code) == ("FINISHED", 0)
    assert result.report == run.report
    assert any("equal weight" in line for line in result.lines)
    assert "best of 1 trial" in "\n".join(result.lines)
    assert len(run.note()["test_opened"]) == 1
    [again] = evaluate("one", root=tmp_path)
    assert again.metrics | {"dsr": 0.0} == result.metrics | {"dsr": 0.0}
    assert again.metrics["dsr"] < result.metrics["dsr"]  # it was looked at twice
    assert len(run.note()["test_opened"]) == 2
    assert "best of 2 trials" in "\n".join(again.lines)
    [validation] = evaluate("one", split="validation", root=tmp_path)
    assert validation.report == run.path / "report-validation.html"
    assert len(run.note()["test_opened"]) == 2
    with pytest.raises(ConfigError, match="--split tset"):
        evaluate("one", split="tset", root=tmp_path)


def test_a_disk_that_is_full_ends_the_run_with_its_trackers(
    configure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker, save = MemoryTracker(), RunFolder.save

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    def filling(self: RunFolder, *given: Any, **named: Any) -> Path:
        monkeypatch.setattr(os, "replace", full)  # from here on, for run.json too
        return save(self, *given, **named)

    monkeypatch.setattr(session, "open_tracker", lambda *_: tracker)
    monkeypatch.setattr(RunFolder, "save", filling)
    with pytest.raises(CheckpointError, match="could not be written: .*No space left"):
        train(configure("name=one"), console=Lines(), root=tmp_path)
    assert tracker.status == "FAILED"


def test_a_policy_acts_without_its_feed(configure: Any, tmp_path: Path) -> None:
    train(configure("name=one"), console=Lines(), root=tmp_path)
    policy = load_policy("one", tmp_path)
    size = policy.spec.observation_space.shape
    assert size is not None
    observation = np.zeros((4, *size), np.float32)
    action = policy.predict(observation)
    assert action.shape == (4, 3)
    assert np.array_equal(action, policy.predict(observation))
    with pytest.raises(ValueError, match="should have shape"):
        policy.predict(observation[:, 1:])


def test_a_name_is_used_once_and_a_finished_run_does_not_go_on(configure: Any, tmp_path: Path) -> None:
    train(configure("name=one"), console=Lines(), root=tmp_path)
    with pytest.raises(ConfigError, match="exists"):
        train(configure("name=one"), console=Lines(), root=tmp_path)
    with pytest.raises(ConfigError, match="has finished its 1,536 steps"):
        train(configure("name=one"), console=Lines(), root=tmp_path, resume="one")
    [longer] = train(configure("name=one", "training.steps=2048"), console=Lines(), root=tmp_path, resume="one")
    assert longer.status == "FINISHED"
    assert checkpoint.read_meta(RunFolder(tmp_path / "one").last.resolve())["step"] == 2048


def test_every_opening_of_the_test_part_is_a_trial(configure: Any, tmp_path: Path) -> None:
    train(configure("name=one"), console=Lines(), root=tmp_path)
    [second] = train(configure("name=two"), console=Lines(), root=tmp_path)
    assert "best of 2 trials" in "\n".join(second.lines)
    [again] = evaluate("two", root=tmp_path)
    assert "best of 3 trials" in "\n".join(again.lines)
    [longer] = train(configure("name=two", "training.steps=2048"), console=Lines(), root=tmp_path, resume="two")
    assert "best of 4 trials" in "\n".join(longer.lines)


def test_other_data_are_not_taken_for_those_of_the_run(configure: Any, tmp_path: Path, prices: Path) -> None:
    file = tmp_path / "prices.parquet"
    file.write_bytes(prices.read_bytes())
    config = configure("name=one", f"feed.path={file}")
    train(config, console=Lines(), root=tmp_path)
    frame = pl.read_parquet(file)
    frame.with_columns(pl.col("A") * 2.0).write_parquet(file)
    longer = configure("name=one", f"feed.path={file}", "training.steps=2048")
    with pytest.raises(CheckpointError, match="trained on data with SHA-256"):
        train(longer, console=Lines(), root=tmp_path, resume="one")
    with pytest.raises(CheckpointError, match="trained on data with SHA-256"):
        evaluate("one", root=tmp_path)
    assert len(RunFolder(tmp_path / "one").note()["test_opened"]) == 1


def test_a_resume_that_fails_changes_nothing(configure: Any, tmp_path: Path) -> None:
    train(configure("name=one"), console=Lines(), root=tmp_path)
    before = (tmp_path / "one" / "config.yaml").read_text()
    other = configure("name=one", "agent.network.hidden=[7]", "training.steps=2048")
    with pytest.raises(ConfigError, match=r"agent.network.hidden is .* cannot become"):
        train(other, console=Lines(), root=tmp_path, resume="one")
    assert (tmp_path / "one" / "config.yaml").read_text() == before


def test_what_makes_a_run_that_run_stays(configure: Any, tmp_path: Path) -> None:
    train(configure("name=one"), console=Lines(), root=tmp_path)
    for change in ("seed=7", "name=other", "tracking.experiment=other", "agent.gamma=0.5", "feed.fill=same_close"):
        with pytest.raises(ConfigError, match=f"{change.partition('=')[0]} is .* cannot become"):
            train(configure("name=one", "training.steps=2048", change), console=Lines(), root=tmp_path, resume="one")


def test_a_mistake_does_not_use_up_a_name(configure: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tracking URI"):
        train(configure("name=one", "tracking.uri=nonsense"), console=Lines(), root=tmp_path)
    [result] = train(configure("name=one"), console=Lines(), root=tmp_path)
    assert result.status == "FINISHED"


def test_a_seed_whose_run_stands_stops_the_group_before_it_begins(configure: Any, tmp_path: Path) -> None:
    train(configure("name=many-seed-1", "seed=1"), console=Lines(), root=tmp_path)
    with pytest.raises(ConfigError, match="many-seed-1 exists"):
        train(configure("name=many"), console=Lines(), seeds=[0, 1], root=tmp_path)
    assert not (tmp_path / "many-seed-0").exists()


def test_a_signal_while_the_test_part_is_judged_lets_that_end(
    configure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = session.judge_run

    def interrupted(*given: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return judge(*given, **named)

    monkeypatch.setattr(session, "judge_run", interrupted)
    results = train(configure("name=many"), console=Lines(), seeds=[0, 1], root=tmp_path)
    assert [(result.name, result.status) for result in results] == [("many-seed-0", "FINISHED"), ("many", "KILLED")]
    assert "seeds without a result: 1" in results[-1].lines[-1]
    assert results[-1].exit_code == 143


def test_a_budget_far_below_one_window_is_refused(configure: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="less than half of one window"):
        train(configure("training.steps=10", "training.streams=100"), console=Lines(), root=tmp_path)


def test_several_seeds_are_runs_of_their_own(configure: Any, tmp_path: Path) -> None:
    results = train(configure("name=many"), console=Lines(), seeds=[3, 4], root=tmp_path)
    assert [result.name for result in results] == ["many-seed-3", "many-seed-4", "many"]
    assert {result.status for result in results} == {"FINISHED"}
    assert weights(RunFolder(tmp_path / "many-seed-3")) != weights(RunFolder(tmp_path / "many-seed-4"))
    with pytest.raises(ConfigError, match="stands twice"):
        train(configure("name=twice"), console=Lines(), seeds=[3, 3], root=tmp_path)


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(configure: Any, tmp_path: Path) -> None:
    train(configure("name=one"), console=Lines(), root=tmp_path)
    run = RunFolder(tmp_path / "one")
    expected = weights(run)
    (run.last / "tensors.safetensors").write_bytes(b"damaged")
    console = Lines()
    train(configure("name=one"), console=console, root=tmp_path, resume="one")
    assert any("is damaged" in line and "before it is used" in line for line in console.told)
    assert weights(run) == expected


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_says_how_to_go_on(configure: Any, tmp_path: Path, number: int, code: int) -> None:
    config = configure("name=one", "training.steps=10_000_000", "tracking.uri=null")
    process = start(config, tmp_path)
    run = RunFolder(tmp_path / "runs" / "one")
    wait_for(run.last, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "--resume one" in out
    assert "Traceback" not in err
    assert run.note()["status"] == "KILLED"
    assert the_run(tmp_path / "runs").info.status == "KILLED"


@pytest.mark.slow
def test_the_command_line_goes_on_after_sigkill_at_random_moments(configure: Any, tmp_path: Path) -> None:
    """From its first import to its last word; `test_kills` has more moments, in processes that begin faster."""
    config = configure("name=one", "tracking.uri=null", "training.steps=8192", "training.checkpoint_every=128")
    whole, run, chance = tmp_path / "whole", RunFolder(tmp_path / "runs" / "one"), random.Random(1)
    whole.mkdir()
    began = time.monotonic()
    process = start(config, whole)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    longest = time.monotonic() - began
    for _ in range(3):
        process = start(config, tmp_path, *(("--resume", "one") if run.config.exists() else ()))
        time.sleep(chance.uniform(0.0, longest))
        process.kill()
        process.communicate()
    process = start(config, tmp_path, *(("--resume", "one") if run.config.exists() else ()))
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0 or "has finished" in err, err
    assert "Traceback" not in out + err
    assert weights(run) == weights(RunFolder(whole / "runs" / "one"))
    assert run.note()["curve"] == RunFolder(whole / "runs" / "one").note()["curve"]
    found, expected = points(run.path.parent), points(whole / "runs")
    assert found.keys() == expected.keys()
    assert all(found[key] == expected[key] for key in found.keys() - REVISED)


def test_what_cannot_be_resumed_is_named(configure: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no run 'nowhere'"):
        train(configure(), console=Lines(), root=tmp_path, resume="nowhere")


def test_a_run_takes_the_threads_and_schedules_span_the_steps_that_it_is_given(
    configure: Any, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr("torch.set_num_threads", asked.append)
    config = configure("training.threads=1", "agent.anneal_steps=run", "agent.learning_rate_end=0.0", "name=spans")
    train(config, console=Lines(), root=runs)
    assert asked == [1]
    policy = load_policy("spans", runs)
    assert policy.agent.config.anneal_steps == 1536
    assert policy.config.agent.anneal_steps == "run"  # so that a run which goes on with more steps spans them
