"""The trainer: what it saves it can go on from to the bit, what it must stop at it stops at."""

import json
import math
import signal
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from angle_domains import checkpoint
from angle_domains.config import AgentConfig
from angle_domains.errors import ConfigError, TrainingError
from angle_domains.runs import RunFolder
from angle_domains.tracking import MemoryTracker
from angle_domains.training import AgentTrainer
from angle_domains.training.signals import StopSignal
from angle_domains.training.trainer import resolve_device

STATE = ("agent", "envs", "replay", "loop")  # the trainer's own progress holds seconds, which differ


class Silent:
    def start(self, total: int, label: str) -> None: ...
    def update(self, step: int, metrics: dict[str, float]) -> None: ...
    def line(self, text: str) -> None: ...
    def close(self) -> None: ...


def trainer(config: AgentConfig, folder: RunFolder) -> AgentTrainer:
    return AgentTrainer(config, folder, Silent())


def content(folder: RunFolder) -> tuple[Any, dict[str, bytes]]:
    """Everything that makes the newest checkpoint: the tree and the bytes of each tensor."""
    state, _, _ = folder.load_last()
    tensors: dict[str, torch.Tensor] = {}
    tree = checkpoint._encode({part: state[part] for part in STATE}, "", tensors)
    return json.dumps(tree), {name: t.numpy().tobytes() for name, t in tensors.items()}


@pytest.mark.parametrize("agent", ["ppo", "a2c"])
def test_stopping_and_going_on_is_the_same_as_not_stopping(configure: Any, tmp_path: Path, agent: str) -> None:
    config = configure(agent=agent)
    whole = trainer(config, RunFolder(tmp_path / "whole"))
    whole.train(MemoryTracker(), StopSignal())

    folder = RunFolder(tmp_path / "parts")
    first = trainer(config, folder)
    first.train(MemoryTracker(), StopsAfter(3))
    assert 0 < first.step < config.training.steps
    second = trainer(config, folder)
    second.resume(folder.load_last()[0])
    assert second.step == first.step
    second.train(MemoryTracker(), StopSignal())

    assert content(RunFolder(tmp_path / "whole")) == content(folder)
    assert remembered(whole) == remembered(second)
    assert remembered(whole) == remembered(resumed(config, folder))  # the last checkpoint knows the last evaluation
    assert logged(whole.tracker) == logged(first.tracker) | logged(second.tracker)
    assert spreads(whole.tracker) == spreads(first.tracker) | spreads(second.tracker)


def remembered(one: AgentTrainer) -> dict[str, Any]:
    """All of the trainer's own progress that is not a duration."""
    return {name: value for name, value in vars(one.progress).items() if not name.endswith("seconds")}


def resumed(config: AgentConfig, folder: RunFolder) -> AgentTrainer:
    one = trainer(config, folder)
    one.resume(folder.load_last()[0])
    return one


def logged(tracker: Any) -> dict[tuple[str, int], float]:
    """Every point, but for speeds."""
    points = {(key, step): value for key, series in tracker.history.items() for step, value in series}
    return {place: value for place, value in points.items() if not place[0].startswith("time/")}


def spreads(tracker: Any) -> dict[tuple[str, int], bytes]:
    """The numbers of every histogram, at the evaluations alone."""
    points = {(key, step): n for key, series in tracker.histograms.items() for step, n in series}
    assert all(step % 512 == 0 and key.startswith("gradient/") for key, step in points)
    return {place: numbers.numpy().tobytes() for place, numbers in points.items()}


class StopsAfter(StopSignal):
    """Pretends that a signal came during the update of that number."""

    def __init__(self, updates: int) -> None:
        super().__init__()
        self.updates = updates

    @property
    def caught(self) -> int | None:  # type: ignore[override]
        self.updates -= 1
        return signal.SIGTERM if self.updates < 0 else None

    @caught.setter
    def caught(self, value: int | None) -> None: ...


def test_metrics_are_logged_by_step_and_best_and_last_are_kept(configure: Any, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    one = trainer(configure(), folder)
    one.train(MemoryTracker(), StopSignal())
    assert [step for step, _ in one.progress.curve] == [512, 1024, 1536]
    assert checkpoint.read_meta(folder.last.resolve())["step"] == 1536
    best = checkpoint.read_meta(folder.best.resolve())
    assert (best["step"], best["score"]) == (one.progress.best_step, one.progress.best_score)
    assert one.progress.best_score == max(score for _, score in one.progress.curve)


def test_nothing_of_the_test_part_reaches_training_or_the_choice_of_the_best(
    configure: Any, prices: Path, tmp_path: Path
) -> None:
    """Other prices from the first test bar on: the same parameters, scores and best step, to the bit."""
    other = tmp_path / "other.parquet"
    closes = pl.col("A", "B", "C")
    later = pl.int_range(pl.len()) >= 480  # 600 bars, of which the last fifth is the test part
    pl.read_parquet(prices).with_columns(pl.when(later).then(closes * 1.5).otherwise(closes)).write_parquet(other)
    runs = []
    for name, path in (("one", prices), ("other", other)):
        one = trainer(configure(f"feed.path={path}"), RunFolder(tmp_path / name))
        one.train(MemoryTracker(), StopSignal())
        assert one.feed.parts["test"].start == 480
        runs.append((content(RunFolder(tmp_path / name)), remembered(one), one.feed.bars.digest))
    assert runs[0][:2] == runs[1][:2]
    assert runs[0][2] != runs[1][2]


def test_the_end_is_evaluated_before_it_is_saved(configure: Any, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    config = configure("training.checkpoint_every=128", "training.evaluate_every=1_000_000")
    one = trainer(config, folder)
    one.train(MemoryTracker(), StopSignal())
    assert remembered(resumed(config, folder)) == remembered(one)
    assert one.progress.best_step == config.training.steps
    assert checkpoint.read_meta(folder.best.resolve())["score"] == one.progress.best_score


def test_judging_is_not_counted_as_learning(configure: Any, tmp_path: Path) -> None:
    one = trainer(configure(), RunFolder(tmp_path / "run"))
    judge = one.judge

    def slow(*given: Any, **named: Any) -> Any:
        time.sleep(1.0)
        return judge(*given, **named)

    one.judge = slow
    begun = time.monotonic()
    one.train(MemoryTracker(), StopSignal())
    assert one.progress.learning_seconds < time.monotonic() - begun - 3.0


def test_patience_ends_training(configure: Any, tmp_path: Path) -> None:
    one = trainer(configure("training.patience=1", "training.evaluate_every=128"), RunFolder(tmp_path / "run"))
    one.judge = lambda *_, **__: Falling(one)
    one.train(MemoryTracker(), StopSignal())
    assert one.step == 256


class Falling:
    """A verdict that is worse each time."""

    metrics: dict[str, float] = {}  # noqa: RUF012
    ranked, by = True, ""

    def __init__(self, one: AgentTrainer) -> None:
        self.score = -float(one.step)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(configure: Any, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    one = trainer(configure(), folder)
    learn = one.agent.learn

    def poisoned(window: Any) -> Any:
        result = learn(window)
        if one.step >= 512:
            result.metrics["loss/policy"] = math.nan
        return result

    one.agent.learn = poisoned  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match="loss/policy became nan at step 640"):
        one.train(MemoryTracker(), StopSignal())
    state, meta, problems = folder.load_last()
    assert meta["step"] == 512
    assert not problems
    weights = state["agent"]["core"]["model"]
    assert all(torch.isfinite(w).all() for w in weights.values())


def test_an_exploding_loss_stops(configure: Any, tmp_path: Path) -> None:
    one = trainer(configure("training.loss_limit=1e-12"), RunFolder(tmp_path / "run"))
    with pytest.raises(TrainingError, match="loss/"):
        one.train(MemoryTracker(), StopSignal())


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    with pytest.raises(ConfigError, match="sees no GPU"):
        resolve_device("cuda")
