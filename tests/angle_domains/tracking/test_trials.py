from pathlib import Path

from angle_domains.tracking import Trial, find_trials, read_key, resolve_store
from angle_domains.tracking.store import connect
from tests.angle_domains.tracking.worlds import opened


def test_runs_that_opened_the_test_part_are_found_once(runs: Path) -> None:
    store = resolve_store(None, runs)
    assert find_trials(store, "market") == ()
    sharpes = {"a": 0.5, "b": 1.5, "untested": None, "parent": 1.0}
    for name, sharpe in sharpes.items():
        tracker = opened(runs, name, seed=None if name == "parent" else 0)
        tracker.log({"loss": 1.0} if sharpe is None else {"test/sharpe": sharpe}, 1)
        tracker.finish("KILLED" if name == "b" else "FINISHED")
    opened(runs, "another", experiment="other").finish()
    keys = {name: read_key(runs / name) for name in sharpes}
    assert set(find_trials(store, "market")) == {Trial(keys["a"], 0.5, 1), Trial(keys["b"], 1.5, 1)}
    assert find_trials(store, "other") == ()


def test_a_run_tells_how_often_its_test_part_was_opened(runs: Path) -> None:
    store = resolve_store(None, runs)
    tracker = opened(runs, "a")
    for openings in (1, 2, 3):
        tracker.log({"test/sharpe": 0.5, "test/openings": openings}, 7)
    tracker.finish()
    client = connect(store)
    foreign = client.create_run(client.get_experiment_by_name("market").experiment_id).info.run_id
    client.log_metric(foreign, "test/sharpe", 0.25, step=1)
    assert set(find_trials(store, "market")) == {Trial(read_key(runs / "a"), 0.5, 3), Trial(foreign, 0.25, 1)}
