"""Runs killed with SIGKILL at random moments, from their start to their last word: each goes on from its last whole
checkpoint and ends as if nothing had been, on the disk and in MLflow."""

import random
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from angle_domains.config import AgentConfig, load_config
from angle_domains.runs import RunFolder
from angle_domains.tracking.gate import REVISED
from tests.angle_domains.training.test_off_policy import GAME, LEARNING, market, weights
from tests.angle_domains.training.victims import killed_at, warm_up
from tests.angle_domains.training.worlds import points, the_run

Points = dict[str, list[tuple[int, float]]]


def watched(run: RunFolder) -> Callable[[], None]:
    """Asserts, whenever it is called, that the newest checkpoint is whole and no older than at the call before."""
    reached = [0]

    def look() -> None:
        if run.saved:
            state, meta, problems = run.load_last()
            assert problems == []
            assert meta["step"] == state["loop"]["step"] >= reached[0]
            assert state["replay"]["added"] > 0
            reached[0] = meta["step"]

    return look


def timed(config: AgentConfig, root: Path) -> float:
    """Seconds that the run takes where nobody kills it, in a process that is as fast as the others."""
    warm_up()
    began = time.monotonic()
    assert killed_at(iter(()), config, root, lambda: None) == 0
    return time.monotonic() - began


def drawn(seed: int, longest: float) -> Iterator[float]:
    """Moments over the whole length of a run, in seconds from its start."""
    chance = random.Random(seed)
    while True:
        yield chance.uniform(0.0, longest)


def chains(config: AgentConfig, root: Path, moments: Iterator[float], kills: int) -> Iterator[Path]:
    """Folders of runs of their own, each killed until it ended between two moments; so many kills in all."""
    done = number = 0
    while done < kills:
        folder = root / str(number := number + 1)
        run = RunFolder(folder / "one")
        done += killed_at(islice(moments, kills - done), config, folder, watched(run))
        yield folder


def settled(found: Points) -> Points:
    """Without what counts openings of the test part: a run that was killed while it was judged is judged again."""
    return {key: points for key, points in found.items() if key not in REVISED}


def is_tidy(run: RunFolder) -> None:
    """No draft is left, and the store has one run that knows its end and every opening of the test part."""
    found = the_run(run.path.parent)
    assert (found.info.run_id, found.info.status) == (run.note()["run_id"], "FINISHED")
    assert found.data.metrics["test/openings"] == len(run.note()["test_opened"])
    assert [path for path in run.path.rglob("*") if ".writing-" in path.name or path.suffix == ".tmp"] == []
    assert [path.name for path in run.path.glob(".*")] == []


@pytest.mark.slow
def test_killed_at_twenty_random_moments_a_run_ends_as_if_nothing_had_been(prices: Path, tmp_path: Path) -> None:
    shape = ("training.steps=6000", "training.evaluate_every=1500", "training.checkpoint_every=256")
    config = market(prices, *shape, "tracking.uri=null")
    whole = RunFolder(tmp_path / "whole" / "one")
    moments = drawn(1, timed(config, whole.path.parent))
    expected = points(whole.path.parent)
    assert len(expected["loss/q"]) > 20
    for folder in chains(config, tmp_path, moments, kills=20):
        run = RunFolder(folder / "one")
        assert settled(points(folder)) == settled(expected)
        assert weights(run) == weights(whole)
        assert run.note()["curve"] == whole.note()["curve"]
        is_tidy(run)


@pytest.mark.slow
def test_a_game_that_is_killed_goes_on_and_logs_no_step_twice(tmp_path: Path) -> None:
    """Its emulator cannot be saved, so it ends elsewhere; what was lived, learned and logged stays."""
    shape = (*LEARNING, *GAME, "training.steps=3000", "tracking.uri=null")
    config = load_config(env="MountainCar-v0", agent="dqn", overrides=shape)
    moments = drawn(2, timed(config, tmp_path / "whole"))
    expected = points(tmp_path / "whole")
    for folder in chains(config, tmp_path, moments, kills=6):
        found = points(folder)
        steps: dict[str, Any] = {key: [step for step, _ in found[key]] for key in settled(found)}
        assert all(one < other for own in steps.values() for one, other in zip(own, own[1:], strict=False))
        for key in ("loss/q", "validation/score"):
            assert steps[key] == [step for step, _ in expected[key]]
        is_tidy(RunFolder(folder / "one"))
