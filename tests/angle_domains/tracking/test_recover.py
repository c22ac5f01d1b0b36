import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from angle_domains.errors import ConfigError
from angle_domains.tracking import MlflowTracker, Recovered, Store, recover, resolve_store
from angle_domains.tracking.courier import ENDED, OWNER
from angle_domains.tracking.journal import Journal
from angle_domains.tracking.owner import Owner
from angle_domains.tracking.store import connect, experiment_id
from angle_domains.tracking.trials import METRIC, _local
from tests.angle_domains.tracking.worlds import INTERVAL, child, eventually, get_run, history, opened


def test_after_sigkill_the_next_start_closes_the_run_and_it_can_go_on(runs: Path) -> None:
    process = child("victim", runs, 0, 60, "sleep")
    assert process.stdout is not None
    process.stdout.readline()
    run_id = process.stdout.readline().strip()
    store, path = resolve_store(None, runs), runs / "victim" / "tracking.jsonl"
    client = connect(store)
    assert client.get_run(run_id).info.status == "RUNNING"
    assert recover(store, runs).ended == ()  # it lives
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with path.open("a") as file:  # logged, not sent, and torn in the middle of a line
        file.write(json.dumps({"op": "metrics", "t": 1_900_000_000_000, "step": 60, "values": {"loss": 60.0}}) + "\n")
        file.write('{"op": "metrics", "step": 61')

    opened(runs, "next").finish()  # any other start tidies up
    run = client.get_run(run_id)
    assert run.info.status == "KILLED"
    assert run.info.end_time == 1_900_000_000_000
    assert f"process {process.pid} on" in run.data.tags[ENDED]
    assert history(store, "loss", run_id) == [(step, float(step)) for step in range(61)]
    assert recover(store, runs) == recover(store, runs / "nowhere")  # nothing is left to do

    resumed = opened(runs, "victim", resume=True)
    resumed.writer.wait_for_contact(30)
    again = get_run(resumed)
    assert (resumed.run_id, again.info.status) == (run_id, "RUNNING")
    assert ENDED not in again.data.tags
    for step in range(50, 80):
        resumed.log({"loss": float(step)}, step)
    resumed.finish()
    assert history(store, "loss", run_id) == [(step, float(step)) for step in range(80)]
    assert client.get_run(run_id).info.status == "FINISHED"


def test_an_orphan_whose_folder_is_gone_is_told_by_its_tag(runs: Path) -> None:
    store = resolve_store(None, runs)
    client = connect(store)
    number = experiment_id(client, store, "market")
    here = Owner.current()
    owners = {
        "dead": str(replace(here, pid=2**22 + 1)),
        "alive": str(here),
        "in another container": str(replace(here, pid=2**22 + 1, namespace="pid:[1]")),
        "of an older form": f"{here.host}|{2**22 + 1}|1|{here.boot}",
        "elsewhere": str(Owner("another-host", 1, "1", "x")),
        "somebody else's": "no owner",
    }
    ids = {name: client.create_run(number, tags={OWNER: tag}).info.run_id for name, tag in owners.items()}
    assert recover(store, runs).ended == (ids["dead"],)
    found = {name: client.get_run(run_id).info.status for name, run_id in ids.items()}
    assert found == dict.fromkeys(owners, "RUNNING") | {"dead": "KILLED"}


def test_a_journal_of_the_older_form_is_closed_since_its_lock_is_free(runs: Path) -> None:
    store = resolve_store(None, runs)
    tracker = opened(runs, "old")
    eventually(lambda: tracker.run_id)
    assert tracker.writer is not None
    held = tracker.journal.load()
    tracker.finish("KILLED")
    path = runs / "old" / "tracking.jsonl"  # as SIGKILL leaves it: no end, and an owner without a namespace
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    Journal(runs / "old").store(replace(held, owner="trainer|7|1|boot", sent=path.stat().st_size))
    assert recover(store, runs).ended == (tracker.run_id,)
    assert "process 7 on trainer" in get_run(tracker).data.tags[ENDED]


def test_a_journal_that_cannot_be_sent_does_not_keep_the_others(runs: Path) -> None:
    store = resolve_store(None, runs)
    connect(store)
    for name in ("bad", "good"):
        tracker = opened(runs, name)
        tracker.log({"loss": 1.0}, 0)
        tracker.finish()
    for name in ("bad", "good"):
        journal = Journal(runs / name)
        journal.store(replace(journal.load(), sent=0, run_id=None, closed=False))
    lines = (runs / "bad" / "tracking.jsonl").read_text().replace('"dataset": null, ', "")
    (runs / "bad" / "tracking.jsonl").write_text(lines)
    assert recover(store, runs).sent == (runs / "good",)
    assert Journal(runs / "bad").load().sent == 0


def reopened(tracker: MlflowTracker) -> MlflowTracker:
    again = MlflowTracker(tracker.store, tracker.journal.folder, runs=tracker.runs, interval=INTERVAL)
    again.reopen()
    return again


def test_what_is_added_after_the_end_leaves_the_run_as_it_ended(runs: Path) -> None:
    tracker = opened(runs, "a")
    tracker.log({"loss": 1.0, "test/openings": 1.0}, 10)
    tracker.finish("FAILED")
    before = get_run(tracker)
    for openings in (2.0, 3.0):
        again = reopened(tracker)
        again.log({"loss": 2.0, "test/openings": openings}, 10)
        again.finish()
    run = get_run(tracker)
    assert (run.info.status, run.info.end_time) == ("FAILED", before.info.end_time)
    assert run.data.tags == before.data.tags
    assert run.data.metrics == {"loss": 1.0, "test/openings": 3.0}
    assert history(tracker, "test/openings") == [(10, 1.0), (10, 2.0), (10, 3.0)]
    assert recover(tracker.store, runs) == Recovered()
    journal = Journal(runs / "a")
    journal.store(replace(journal.load(), sent=0))  # as if no answer had come: all is sent anew
    assert recover(tracker.store, runs).sent == (runs / "a",)
    assert history(tracker, "test/openings") == [(10, 1.0), (10, 2.0), (10, 3.0)]


def test_a_run_whose_process_died_is_closed_when_it_is_reopened(runs: Path) -> None:
    process = child("victim", runs, 0, 5, "sleep")
    assert process.stdout is not None
    process.stdout.readline()
    run_id = process.stdout.readline().strip()
    process.kill()
    process.communicate()
    again = MlflowTracker(resolve_store(None, runs), runs / "victim", runs=runs, interval=INTERVAL)
    again.reopen()
    again.log({"test/openings": 1.0}, 4)
    again.finish()
    run = connect(again.store).get_run(run_id)
    assert (run.info.status, run.data.metrics["test/openings"]) == ("KILLED", 1.0)
    assert again.journal.load().closed


def test_a_run_that_another_process_holds_is_not_reopened(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("angle_domains.tracking.mlflow._SWEEP", 0.3)
    tracker = opened(runs, "a")
    with pytest.raises(ConfigError, match="is held by process"):
        reopened(tracker)
    tracker.finish()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"foreign": 1}'])
def test_a_damaged_state_is_named_and_keeps_nothing_else_back(
    runs: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = resolve_store(None, runs)
    connect(store)
    tracker = opened(runs, "good")
    tracker.log({METRIC: 0.5}, 0)
    tracker.finish()
    journal = Journal(runs / "good")
    journal.store(replace(journal.load(), sent=0, closed=False))
    (runs / "bad").mkdir()
    (runs / "bad" / "tracking.json").write_text(content)
    assert recover(store, runs).sent == (runs / "good",)
    assert f"{runs}/bad/tracking.json is damaged" in caplog.text
    assert [trial.sharpe for trial in _local(store, "market", runs)] == [0.5]
    with pytest.raises(ConfigError, match="is damaged"):
        opened(runs, "bad", resume=True)


def test_orphans_beyond_one_page_are_ended_too(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[recover.__module__], "_PAGE", 2)
    store, here = resolve_store(None, runs), Owner.current()
    client = connect(store)
    number = experiment_id(client, store, "market")
    dead = str(replace(here, pid=2**22 + 1))
    ids = {client.create_run(number, tags={OWNER: dead}).info.run_id for _ in range(5)}
    assert set(recover(store, runs).ended) == ids


def test_a_first_errand_that_failed_is_run_again(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[Path] = []

    def fails_once(store: Store, runs: Path) -> None:
        tries.append(runs)
        if len(tries) == 1:
            raise ConnectionError("away")

    monkeypatch.setattr("angle_domains.tracking.mlflow.recover", fails_once)
    tracker = opened(runs, "a")
    eventually(lambda: len(tries) == 2)
    tracker.finish()
    assert len(tries) == 2


def test_a_run_that_goes_on_stays_in_its_experiment(runs: Path) -> None:
    first = opened(runs, "r")
    first.finish("KILLED")
    second = opened(runs, "r", resume=True, experiment="other")
    second.finish()
    assert second.journal.load().experiment_id == get_run(first).info.experiment_id


def test_a_run_that_moves_to_another_store_takes_its_whole_history_along(runs: Path, tmp_path: Path) -> None:
    first = opened(runs, "r", params={"a": 1})
    for step in range(5):
        first.log({"loss": float(step)}, step)
    first.finish("KILLED")
    other = resolve_store(f"sqlite:///{tmp_path}/other/mlflow.db")
    second = opened(runs, "r", store=other, resume=True)
    for step in range(3, 9):
        second.log({"loss": float(step)}, step)
    second.finish()
    assert history(second, "loss") == [(step, float(step)) for step in range(9)]
    assert get_run(second).info.status == "FINISHED"
    assert get_run(second).data.params == {"a": "1"}
    assert history(first, "loss") == [(step, float(step)) for step in range(5)]
