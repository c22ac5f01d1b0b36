import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from angle_domains.config import TrackingConfig
from angle_domains.tracking import MlflowTracker, Tracker, Trackers, open_tracker
from tests.angle_domains.tracking.worlds import history, info, read_events


def scalars(folder: Path, key: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read_events(folder).Scalars(key)]


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


def test_a_histogram_holds_its_numbers_and_a_picture_its_pixels(runs: Path) -> None:
    tracker = open_tracker(TrackingConfig(uri="off", tensorboard=True), info("a"), runs / "a")
    numbers = torch.tensor([[0.0, 1.0, 1.0], [64.0, float("inf"), float("nan")]])
    tracker.log_histograms(lambda: {"value/q": numbers, "none": torch.zeros(0)}, 7)
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    tracker.log_picture("film/ending", lambda: picture, 7)
    tracker.finish()
    events = read_events(runs / "a")
    assert events.Tags()["histograms"] == ["value/q"]
    [event] = events.Histograms("value/q")
    held = event.histogram_value
    assert (event.step, held.min, held.max, held.num, held.sum, held.sum_squares) == (7, 0.0, 64.0, 4, 66.0, 4098.0)
    filled = {limit: count for limit, count in zip(held.bucket_limit, held.bucket, strict=True) if count}
    assert filled == {1.0: 1.0, 2.0: 2.0, 64.0: 1.0}  # by the upper limits of bins one wide
    [image] = events.Images("film/ending")
    assert (image.step, image.width, image.height) == (7, 3, 2)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(image.encoded_image_string))), picture)


@pytest.mark.parametrize("uri", ["off", None])
def test_histograms_and_pictures_outlive_a_resume_and_stand_once(runs: Path, uri: str | None) -> None:
    tracking, folder = TrackingConfig(uri=uri, tensorboard=True), runs / "a"

    def log(tracker: Tracker, step: int, number: float) -> None:
        tracker.log({"loss": number}, step)
        tracker.log_histograms(lambda: {"value/q": torch.tensor([number])}, step)
        tracker.log_picture("film/ending", lambda: np.full((2, 2, 3), number, np.uint8), step)

    first = open_tracker(tracking, info("a"), folder)
    for step in (10, 20):
        log(first, step, 1.0)
    first.finish("KILLED")
    second = open_tracker(tracking, info("a", resume=True), folder)
    for step in (20, 30):  # the checkpoint was older than what was logged
        log(second, step, 2.0)
    second.finish()
    events = read_events(folder)
    seen = [(event.step, event.histogram_value.sum) for event in events.Histograms("value/q")]
    assert seen == [(10, 1.0), (20, 1.0), (30, 2.0)]
    assert [image.step for image in events.Images("film/ending")] == [10, 20, 30]
    assert len(list((folder / "tensorboard").iterdir())) == (2 if uri == "off" else 1)


def test_a_file_damaged_in_the_middle_is_read_up_to_there_and_kept(runs: Path) -> None:
    tracking, folder = TrackingConfig(tensorboard=True), runs / "a"
    first = open_tracker(tracking, info("a"), folder)
    for step in range(10, 60, 10):
        first.log({"loss": 1.0}, step)
        first.log_histograms(lambda: {"value/q": torch.tensor([1.0])}, step)
    first.finish("KILLED")
    [path] = (folder / "tensorboard").iterdir()
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    path.write_bytes(damaged)
    second = open_tracker(tracking, info("a", resume=True), folder)
    second.log_histograms(lambda: {"value/q": torch.tensor([2.0])}, 60)
    second.finish()
    steps = [event.step for event in read_events(folder).Histograms("value/q")]
    assert 1 < len(steps) < 6
    assert steps == [*range(10, 10 * len(steps), 10), 60]
    [kept] = [each for each in (folder / "tensorboard").iterdir() if "tfevents" not in each.name]
    assert kept.read_bytes() == damaged


def test_nothing_is_made_where_nobody_keeps_it(runs: Path) -> None:
    def make() -> Any:
        raise AssertionError

    for tracking in (TrackingConfig(), TrackingConfig(uri="off")):
        tracker = open_tracker(tracking, info(f"{tracking.uri}"), runs / f"{tracking.uri}")
        tracker.log_histograms(make, 1)
        tracker.log_picture("film/ending", make, 1)
        tracker.finish()
