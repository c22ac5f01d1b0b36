from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from angle_domains.config import TrackingConfig
from angle_domains.tracking import MlflowTracker, Tracker, Trackers, open_tracker
from tests.angle_domains.tracking.worlds import history, info


def scalars(folder: Path, key: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(key)]


def mlflow_of(tracker: Tracker) -> MlflowTracker:
    assert isinstance(tracker, Trackers)
    (found,) = [one for one in tracker.trackers if isinstance(one, MlflowTracker)]
    return found


def test_both_hold_the_same_scalars_also_after_a_resume(runs: Path) -> None:
    tracking, folder = TrackingConfig(tensorboard=True), runs / "a"
    first = open_tracker(tracking, info("a", steps=40), folder)
    assert f"tensorboard --logdir {folder / 'tensorboard'}" == first.links()["tensorboard"]
    for step in range(20):
        first.log({"loss": float(step), "gone": float("inf")}, step)
    first.finish("KILLED")
    for events in (folder / "tensorboard").iterdir():  # what a kill leaves: the end is missing
        events.write_bytes(events.read_bytes()[:-300])
    second = open_tracker(tracking, info("a", resume=True, steps=40), folder)
    for step in range(15, 40):
        second.log({"loss": float(step)}, step)
    second.finish()
    expected = [(step, float(step)) for step in range(40)]
    assert scalars(folder, "loss") == expected
    assert history(mlflow_of(second), "loss") == expected


def test_without_a_store_the_event_files_alone_are_written(runs: Path) -> None:
    tracker = open_tracker(TrackingConfig(uri="off", tensorboard=True), info("a"), runs / "a")
    tracker.log({"loss": 2.0}, 1)
    tracker.finish()
    assert scalars(runs / "a", "loss") == [(1, 2.0)]
    assert {path.name for path in (runs / "a").iterdir()} == {"tensorboard"}
    assert tracker.run_id is None
