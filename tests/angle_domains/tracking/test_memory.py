from pathlib import Path

import numpy as np
import pytest
import torch

from angle_domains.tracking import MemoryTracker, NullTracker, Trackers, tracked
from tests.angle_domains.tracking.test_policies import SPEC
from tests.angle_domains.tracking.worlds import info


def test_several_trackers_are_told_the_same() -> None:
    pair = MemoryTracker(), MemoryTracker()
    trackers = Trackers([NullTracker(), *pair])
    trackers.start(info("a"))
    trackers.log({"loss": 1.0}, 3)
    trackers.log_histograms(lambda: {"q": torch.ones(2)}, 3)
    trackers.log_picture("strip", lambda: np.zeros((1, 1, 3), np.uint8), 3)
    trackers.artifact(Path("report.html"), "pages")
    trackers.log_policy(Path("best"), SPEC, 3)
    trackers.finish("KILLED")
    for tracker in pair:
        assert tracker.info == info("a")
        assert tracker.history == {"loss": [(3, 1.0)]}
        assert [(step, numbers.tolist()) for step, numbers in tracker.histograms["q"]] == [(3, [1.0, 1.0])]
        assert [(step, picture.shape) for step, picture in tracker.pictures["strip"]] == [(3, (1, 1, 3))]
        assert tracker.artifacts == [(Path("report.html"), "pages")]
        assert tracker.policies == [(Path("best"), 3)]
        assert tracker.status == "KILLED"
    assert (trackers.run_id, trackers.reference, trackers.links()) == (None, None, {})


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_run_ends_as_what_it_was(error: type[BaseException], status: str) -> None:
    memory = MemoryTracker()
    with pytest.raises(error), tracked(memory):
        raise error
    assert memory.status == status
