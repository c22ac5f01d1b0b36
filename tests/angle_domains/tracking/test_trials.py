from pathlib import Path

from angle_domains.tracking import resolve_store, trial_sharpes
from tests.angle_domains.tracking.worlds import opened


def test_runs_that_opened_the_test_part_are_counted_once(runs: Path) -> None:
    store, ids = resolve_store(None, runs), {}
    assert trial_sharpes(store, "market") == ()
    sharpes = {"a": 0.5, "b": 1.5, "untested": None, "parent": 1.0}
    for name, sharpe in sharpes.items():
        tracker = opened(runs, name, seed=None if name == "parent" else 0)
        tracker.log({"loss": 1.0} if sharpe is None else {"test/sharpe": sharpe}, 1)
        tracker.finish("KILLED" if name == "b" else "FINISHED")
        ids[name] = tracker.run_id
    opened(runs, "another", experiment="other").finish()
    assert sorted(trial_sharpes(store, "market")) == [0.5, 1.5]
    assert trial_sharpes(store, "market", besides=ids["b"]) == (0.5,)
    assert trial_sharpes(store, "other") == ()
