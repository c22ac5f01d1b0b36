import logging
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from angle_domains.tracking import MlflowTracker, Store, find_trials, recover, resolve_store
from angle_domains.tracking.store import connect
from tests.angle_domains.tracking.conftest import Server
from tests.angle_domains.tracking.worlds import eventually, get_run, history, opened, wired

pytestmark = pytest.mark.xdist_group("mlflow-server")  # one server for all

NOBODY = Store("http://127.0.0.1:9")  # the port for discarding; nothing listens


def log_steps(tracker: MlflowTracker, first: int, last: int) -> float:
    """Logs a metric at each step; seconds that all calls but the two slowest (the busy machine's) stay under."""
    seconds = []
    for step in range(first, last):
        began = time.perf_counter()
        tracker.log({"loss": float(step)}, step)
        seconds.append(time.perf_counter() - began)
        time.sleep(0.002)
    return sorted(seconds)[-3]


def expected(count: int) -> list[tuple[int, float]]:
    return [(step, float(step)) for step in range(count)]


def test_without_a_server_training_goes_on_and_the_next_start_sends(
    runs: Path, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with wired(server.command.address) as wire:
        wire.down()
        store = Store(wire.address)
        parent = opened(runs, "spool", store=store, seed=None)
        tracker = opened(runs, "spool-0", store=store, parent=parent.reference)
        assert log_steps(tracker, 0, 200) < 0.05
        began = time.monotonic()
        tracker.finish()
        parent.finish()
        assert time.monotonic() - began < 20
        assert tracker.run_id is None
        assert "training goes on" in caplog.text
        assert "is sent at the next start" in caplog.text
        assert set(tracker.links()) == {"ui"}

        assert server.address
        wire.up()
        assert set(recover(store, runs).sent) == {runs / "spool", runs / "spool-0"}
        client = connect(store)
        found = client.get_experiment_by_name("market").experiment_id
        by_name = {run.info.run_name: run for run in client.search_runs([found])}
        run, above = by_name["spool-0"], by_name["spool"]
        assert (run.info.status, above.info.status) == ("FINISHED", "FINISHED")
        assert run.data.tags["mlflow.parentRunId"] == above.info.run_id
        assert history(store, "loss", run.info.run_id) == expected(200)
        assert recover(store, runs).sent == ()


def test_what_a_broken_and_slow_connection_kept_back_is_sent_within_the_run(runs: Path, server: Server) -> None:
    assert server.address
    with wired(server.address) as wire:
        tracker = opened(runs, "broken", store=Store(wire.address))
        assert tracker.writer is not None
        assert tracker.writer.wait_for_contact(60)
        wire.delay = 2.5
        stall = log_steps(tracker, 0, 100)
        eventually(lambda: wire.delayed)
        stall = max(stall, log_steps(tracker, 100, 200))
        wire.delay = 0.0
        wire.down()
        stall = max(stall, log_steps(tracker, 200, 300))
        eventually(lambda: tracker.problem)
        wire.up()
        tracker.finish(patience=60)
        assert stall < 0.05
        assert history(tracker, "loss") == expected(300)
        assert get_run(tracker).info.status == "FINISHED"


def test_an_answer_that_was_lost_doubles_nothing(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second request arrives, but its answer does not: run, parameters, metrics, end."""
    tracker = opened(runs, "warm")
    tracker.finish()
    client, count = type(connect(tracker.store)), 0

    def lossy(name: str) -> Any:
        real = getattr(client, name)

        def call(*args: Any, **keywords: Any) -> Any:
            nonlocal count
            count += 1
            answer = real(*args, **keywords)
            if count % 2 == 1:
                raise ConnectionError("the answer was lost")
            return answer

        return call

    for name in ("create_run", "log_batch", "log_inputs", "set_terminated"):
        monkeypatch.setattr(client, name, lossy(name))
    tracker = opened(runs, "lossy", params={"a": 1})
    for part in range(5):
        log_steps(tracker, part * 40, part * 40 + 40)
        time.sleep(0.15)
    eventually(lambda: not tracker.problem)
    tracker.finish()
    monkeypatch.undo()
    found = connect(tracker.store).get_experiment_by_name("market").experiment_id
    named = [run for run in connect(tracker.store).search_runs([found]) if run.info.run_name == "lossy"]
    assert [run.info.status for run in named] == ["FINISHED"]
    assert history(tracker, "loss") == expected(200)
    assert count > 6


def test_a_locked_database_stalls_nothing(runs: Path) -> None:
    opened(runs, "before").finish()
    database = resolve_store(None, runs).database
    assert database is not None
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        tracker = opened(runs, "locked")
        stall = log_steps(tracker, 0, 300)
        time.sleep(1)
        assert tracker.run_id is None
        other.execute("ROLLBACK")
    tracker.finish(patience=60)
    assert stall < 0.05
    assert history(tracker, "loss") == expected(300)


def test_a_server_that_is_killed_and_comes_back_has_every_point_once(runs: Path, server: Server) -> None:
    assert server.address
    tracker = opened(runs, "killed", store=Store(server.address))
    assert tracker.writer is not None
    assert tracker.writer.wait_for_contact(60)
    stall = log_steps(tracker, 0, 150)
    server.kill()
    stall = max(stall, log_steps(tracker, 150, 300))
    eventually(lambda: tracker.problem)
    assert server.address  # started again
    stall = max(stall, log_steps(tracker, 300, 400))
    eventually(lambda: not tracker.problem)
    tracker.finish(patience=60)
    assert stall < 0.05
    assert history(tracker, "loss") == expected(400)
    assert get_run(tracker).info.status == "FINISHED"


def test_trials_are_counted_here_where_the_server_is_away(runs: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, sharpe in {"a": 0.5, "b": 1.5}.items():
        tracker = opened(runs, name, store=NOBODY)
        tracker.log({"test/sharpe": sharpe, "test/openings": 1}, 10)
        tracker.log({"test/openings": 2} if name == "b" else {}, 10)
        tracker.finish(patience=1)
    with caplog.at_level(logging.WARNING):
        found = find_trials(NOBODY, "market", runs=runs)
    assert [(trial.sharpe, trial.openings) for trial in found] == [(0.5, 1), (1.5, 2)]
    assert "cannot be counted" in caplog.text
