"""Groups of seeds: stopped between children or within one, they go on by the group's name to the same end."""

import signal
from pathlib import Path
from typing import Any

import pytest

from angle_domains.compare import compare
from angle_domains.config import AgentConfig
from angle_domains.errors import ConfigError
from angle_domains.runs import RunFolder
from angle_domains.tracking import resolve_store
from angle_domains.tracking.store import connect
from angle_domains.training import session, train
from angle_domains.training.trainer import AgentTrainer
from tests.angle_domains.training.worlds import Lines, start, the_run, wait_for, weights

PARENT = "mlflow.parentRunId"


class Crash(BaseException):
    """Whatever ends the process, but for SIGKILL, which has a test of its own."""


def begin(config: AgentConfig, root: Path, seeds: list[int], resume: str | None = None) -> list[Any]:
    return train(config, console=Lines(), seeds=None if resume else seeds, resume=resume, root=root)


def stop_after_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal comes while the first child is judged: it ends, and no other begins."""
    judge = session.judge_run

    def interrupted(*given: Any, **named: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return judge(*given, **named)

    monkeypatch.setattr(session, "judge_run", interrupted)


def fail_after(monkeypatch: pytest.MonkeyPatch, name: str, saves: int) -> None:
    """The run of that name dies in place of its next save once it has saved so often."""
    save, done = AgentTrainer._save, []

    def dying(trainer: AgentTrainer, *given: Any, **named: Any) -> None:
        if trainer.run.name == name and len(done) == saves:
            raise Crash
        save(trainer, *given, **named)
        done.extend([None] * (trainer.run.name == name))

    monkeypatch.setattr(AgentTrainer, "_save", dying)


def test_stopped_between_children_the_rest_begins(
    configure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure("name=many", "tracking.uri=null")
    with monkeypatch.context() as patch:
        stop_after_first(patch)
        *_, told = begin(config, tmp_path, [3, 4])
    assert (told.status, told.lines[-1]) == (
        "KILLED",
        "seeds without a result: 4; go on with all of them: angle-domains train --resume many",
    )
    assert not any("mean of" in line for line in told.lines)
    parent, first = the_run(tmp_path, "many"), the_run(tmp_path, "many-seed-3")
    assert (parent.info.status, parent.data.metrics) == ("KILLED", {})  # of one seed is no mean of the group
    before = (tmp_path / "many-seed-3" / "run.json").read_text()

    results = begin(config, tmp_path, [], resume="many")
    assert [(result.name, result.status) for result in results] == [("many-seed-4", "FINISHED"), ("many", "FINISHED")]
    assert (tmp_path / "many-seed-3" / "run.json").read_text() == before
    after, second = the_run(tmp_path, "many"), the_run(tmp_path, "many-seed-4")
    assert (after.info.run_id, after.info.status) == (parent.info.run_id, "FINISHED")
    assert the_run(tmp_path, "many-seed-3").info.end_time == first.info.end_time
    assert {first.data.tags[PARENT], second.data.tags[PARENT]} == {parent.info.run_id}
    mean = (first.data.metrics["test/sharpe"] + second.data.metrics["test/sharpe"]) / 2
    assert after.data.metrics["test/sharpe"] == pytest.approx(mean)
    assert after.data.metrics["test/sharpe_low"] < mean < after.data.metrics["test/sharpe_high"]
    with pytest.raises(ConfigError, match=r"all seeds of many have finished their 1,536 steps: give more with --steps"):
        begin(config, tmp_path, [], resume="many")


@pytest.mark.parametrize("saves", [0, 2])
def test_ended_within_a_child_it_goes_on_from_what_it_saved(
    configure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saves: int
) -> None:
    config = configure("name=many", "tracking.uri=null")
    with monkeypatch.context() as patch:
        fail_after(patch, "many-seed-4", saves)
        with pytest.raises(Crash):
            begin(config, tmp_path, [3, 4, 5])
    child = RunFolder(tmp_path / "many-seed-4")
    assert child.config.exists()
    assert child.last.exists() == bool(saves)
    ids = {name: the_run(tmp_path, name).info.run_id for name in ("many", "many-seed-3", "many-seed-4")}
    results = begin(config, tmp_path, [], resume="many")
    assert [result.name for result in results] == ["many-seed-4", "many-seed-5", "many"]
    assert {result.status for result in results} == {"FINISHED"}
    assert ids == {name: the_run(tmp_path, name).info.run_id for name in ids}

    [whole] = train(configure("name=whole", "seed=4"), console=Lines(), root=tmp_path / "whole")
    assert whole.status == "FINISHED"
    assert weights(child) == weights(RunFolder(tmp_path / "whole" / "whole"))
    client = connect(resolve_store(None, tmp_path))
    parent = the_run(tmp_path, "many")
    found = client.search_runs([parent.info.experiment_id], f"tags.`{PARENT}` = '{ids['many']}'")
    assert {run.info.run_name for run in found} == {"many-seed-3", "many-seed-4", "many-seed-5"}
    assert {run.info.status for run in found} == {"FINISHED"}
    assert "test/sharpe_low" in parent.data.metrics


@pytest.mark.slow
def test_a_group_goes_on_after_sigkill(configure: Any, tmp_path: Path) -> None:
    config = configure("name=many", "tracking.uri=null", "training.steps=8192", "training.checkpoint_every=128")
    process = start(config, tmp_path, "--config", "config.yaml", "--seeds", "3,4")
    root, status = tmp_path / "runs", {}
    wait_for(root / "many-seed-4" / "last", process)
    process.kill()
    process.communicate()
    for name in ("many", "many-seed-3", "many-seed-4"):
        status[name] = the_run(root, name).info.status
    assert status == {"many": "RUNNING", "many-seed-3": "FINISHED", "many-seed-4": "RUNNING"}
    process = start(config, tmp_path, "--resume", "many")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert "test/sharpe" in out
    assert {the_run(root, name).info.status for name in status} == {"FINISHED"}
    [whole] = train(configure("name=whole", "seed=4", "training.steps=8192"), console=Lines(), root=tmp_path)
    assert whole.status == "FINISHED"
    assert weights(RunFolder(root / "many-seed-4")) == weights(RunFolder(tmp_path / "whole"))


def test_where_all_children_have_ended_only_the_parent_is_finished(
    configure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure("name=many")
    with monkeypatch.context() as patch:
        stop_after_first(patch)
        begin(config, tmp_path, [3, 4])
    single = configure("name=many-seed-4", "seed=4")
    with monkeypatch.context() as patch:
        fail_after(patch, "many-seed-4", 1)
        with pytest.raises(Crash):
            train(single, console=Lines(), root=tmp_path)
    train(single, console=Lines(), root=tmp_path, resume="many-seed-4")  # a child goes on by its own name, too
    [parent] = begin(config, tmp_path, [], resume="many")
    assert (parent.name, parent.status) == ("many", "FINISHED")
    longer = begin(configure("name=many", "training.steps=2048"), tmp_path, [], resume="many")
    assert [result.name for result in longer] == ["many-seed-3", "many-seed-4", "many"]
    assert RunFolder(tmp_path / "many-seed-3").last_step() == 2048


def test_what_would_make_another_group_is_refused(
    configure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_after_first(patch)
        begin(configure("name=many"), tmp_path, [3, 4])
    for change in ("seed=7", "name=other"):
        with pytest.raises(ConfigError, match=f"{change.partition('=')[0]} is .* in the run many and cannot become"):
            begin(configure("name=many", change), tmp_path, [], resume="many")
    with pytest.raises(ConfigError, match="cannot stand together"):
        train(configure("name=many"), console=Lines(), seeds=[3], resume="many", root=tmp_path)
    for seeds in (None, [8, 9]):
        with pytest.raises(ConfigError, match=r"the group .*many exists: .* --resume many"):
            train(configure("name=many"), console=Lines(), seeds=seeds, root=tmp_path)


def test_a_sweep_is_a_run_for_each_value_and_goes_on_where_it_stopped(
    configure: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two discounts as siblings: no mean is taken of what differs, and one command lays them side by side."""
    config, sweep = configure("name=swept", "tracking.uri=null"), ["agent.gamma=0.9,0.95"]
    with monkeypatch.context() as patch:
        stop_after_first(patch)
        *_, told = train(config, console=Lines(), sweep=sweep, root=tmp_path)
    assert (
        told.lines[-1]
        == "runs without a result: gamma-0.95; go on with all of them: angle-domains train --resume swept"
    )
    results = train(config, console=Lines(), resume="swept", root=tmp_path)
    assert [(result.name, result.status) for result in results] == [
        ("swept-gamma-0.95", "FINISHED"),
        ("swept", "FINISHED"),
    ]
    children = [RunFolder(tmp_path / f"swept-gamma-{gamma}") for gamma in ("0.9", "0.95")]
    assert [child.read_config()["agent"]["gamma"] for child in children] == [0.9, 0.95]
    assert weights(children[0]) != weights(children[1])
    parent = the_run(tmp_path, "swept")
    assert (parent.info.status, parent.data.metrics) == ("FINISHED", {})
    assert {the_run(tmp_path, child.name).data.tags[PARENT] for child in children} == {parent.info.run_id}
    lines = "\n".join(compare(["swept"], root=tmp_path))
    assert all(child.name in lines for child in children)


def test_what_cannot_be_swept_opens_nothing(configure: Any, tmp_path: Path) -> None:
    for sweep, said in (
        (["agent.gama=0.9"], "'agent.gama' is unknown: did you mean 'agent.gamma'"),
        (["agent.gamma=0.9,2"], "agent.gamma"),
        (["agent.gamma"], "write it as key=one,another"),
        (["agent.gamma=0.9,0.9"], "every value of it stands once"),
    ):
        with pytest.raises(ConfigError, match=said):
            train(configure("name=swept"), console=Lines(), sweep=sweep, root=tmp_path)
    assert not any(tmp_path.iterdir())
