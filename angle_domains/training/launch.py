"""Opening runs and ending them truthfully: one seed, several under a parent, or one that goes on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from angle_domains import runs
from angle_domains.config import AgentConfig
from angle_domains.errors import ConfigError
from angle_domains.runs import RunFolder
from angle_domains.tables import make_feed
from angle_domains.tracking import DatasetInfo, RunInfo, Status, finish_parent, open_tracker
from angle_domains.training.signals import StopSignal
from angle_domains.training.trainer import AgentTrainer, Console
from angle_domains.training.verdicts import judge_run, same_data


@dataclass(frozen=True)
class RunResult:
    """What came of one run."""

    name: str
    status: Status
    exit_code: int
    lines: tuple[str, ...]  # for a terminal
    metrics: dict[str, float] = field(default_factory=dict)
    report: Path | None = None


def train(
    config: AgentConfig,
    *,
    console: Console,
    seeds: Sequence[int] | None = None,
    resume: str | None = None,
    root: Path = Path("runs"),
) -> list[RunResult]:
    """Trains one run, a run for each seed, or goes on with the run `resume`; whatever it opens it ends."""
    with StopSignal() as stop:
        if resume is not None:
            if seeds:
                raise ConfigError("--resume and --seeds cannot stand together: a run goes on with its own seed")
            return [Session(config, runs.find_run(resume, root), console, stop, resumed=True).run()]
        name = runs.check_name(config.name or runs.fresh_name(root, f"{config.feed_name}-{config.agent_name}"))
        if not seeds:
            return [Session(config, RunFolder(root / name), console, stop).run()]
        return _several(config, RunFolder(root / name), seeds, console, stop)


def evaluate(run: str, *, split: str = "test", root: Path = Path("runs")) -> list[RunResult]:
    """Judges the best checkpoint of a run on a part of its feed's data and writes the page."""
    folder = runs.find_run(run, root)
    config = AgentConfig.from_dict(folder.read_config())
    feed = make_feed(config.feed_name, config.feed)
    if split not in feed.spec.splits:
        raise ConfigError(f"--split {split}: the feed '{config.feed_name}' has {', '.join(feed.spec.splits)}")
    with folder.lock():
        judged = judge_run(folder, config, feed, split=split, links=folder.note().get("links", {}))
    return [RunResult(folder.name, "FINISHED", 0, judged.lines, judged.verdict.metrics, judged.report)]


def _several(
    config: AgentConfig, folder: RunFolder, seeds: Sequence[int], console: Console, stop: StopSignal
) -> list[RunResult]:
    """One child run for each seed; the parent carries means and intervals over them."""
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds {','.join(map(str, seeds))}: a seed stands twice")
    children = {seed: RunFolder(folder.path.parent / f"{folder.name}-seed-{seed}") for seed in seeds}
    for child in children.values():
        child.check_free()
    parent = open_tracker(config.tracking, run_info(config, folder.name, seed=None), folder.path)
    results: list[RunResult] = []
    status: Status = "FAILED"
    try:
        for seed, child in children.items():
            single = config.model_copy(update={"seed": seed, "name": child.name})
            results.append(Session(single, child, console, stop, parent=parent.reference).run())
            if stop.caught:
                break
        unfinished = [seed for seed in seeds if children[seed].note().get("status") != "FINISHED"]
        status = "KILLED" if unfinished else "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        lines = finish_parent(parent, [folder.path.parent / result.name for result in results], status)
    if unfinished:
        lines = (*lines, f"seeds without a result: {', '.join(map(str, unfinished))}; each is a run of its own")
    return [*results, RunResult(folder.name, status, stop.exit_code, tuple(lines))]


@dataclass
class Session:
    """One run, from opening its folder to its last word."""

    config: AgentConfig
    folder: RunFolder
    console: Console
    stop: StopSignal  # entered: a signal that comes while the test part is judged lets that end, and the run with it
    parent: str | None = None  # reference of the parent's tracker
    resumed: bool = False

    def run(self) -> RunResult:
        if self.config.training.threads is not None:
            torch.set_num_threads(self.config.training.threads)
        feed = make_feed(self.config.feed_name, self.config.feed)
        trainer = AgentTrainer(self.config, self.folder, self.console, feed)  # settings that do not fit open no run
        with self.folder.lock():
            self._open(trainer)
            tracker = open_tracker(self.config.tracking, self._info(feed), self.folder.path)
            status: Status = "FAILED"
            try:
                trainer.train(tracker, self.stop)
                self._note(trainer)
                result = self._stopped() if self.stop.caught else self._finished(trainer)
                status = result.status
            except KeyboardInterrupt:
                status = "KILLED"
                raise
            finally:
                self.console.close()
                self.folder.note(run_id=tracker.run_id, status=status)
                tracker.finish(status)
        return result

    def _info(self, feed: Any) -> RunInfo:
        config, name = self.config, self.folder.name
        return run_info(config, name, seed=config.seed, feed=feed, parent=self.parent, resume=self.resumed)

    def _open(self, trainer: AgentTrainer) -> None:
        """Makes the folder, or puts the trainer where the run stopped."""
        if not self.resumed:
            self.folder.create(self.config.to_dict())
            return
        state, meta, problems = self.folder.load_last()
        for problem in problems:
            self.console.line(problem)
        step, steps = meta["step"], self.config.training.steps
        if step >= steps and self.folder.note().get("status") == "FINISHED":
            raise ConfigError(f"the run {self.folder.name} has finished its {step:,} steps: give more with --steps")
        same_data(meta, trainer.feed, self.folder)
        self._same_run(meta["config"])
        trainer.resume(state)
        self.folder.discard_after(step)
        self.folder.write_config(self.config.to_dict())
        self.console.line(f"{self.folder.name}: goes on at step {step:,} of {steps:,}")

    def _same_run(self, stored: dict[str, Any]) -> None:
        """ConfigError where the options would make another run of the one that goes on."""
        asked = self.config.to_dict()
        places = [("seed",), ("name",), ("feed", "name"), ("agent", "name"), ("tracking", "experiment")]
        for place in places:
            before, now = stored, asked
            for key in place:
                before, now = before[key], now[key]
            if before != now:
                raise ConfigError(
                    f"{'.'.join(place)} is {before!r} in the run {self.folder.name} and cannot become {now!r} when it "
                    "goes on: leave the option out, or train a new run"
                )

    def _note(self, trainer: AgentTrainer) -> None:
        """Facts that pages need of the training, kept beside the checkpoints."""
        progress, step = trainer.progress, trainer.step
        speed = step / max(progress.learning_seconds, 1e-9)
        self.folder.note(
            steps=step, seconds=progress.learning_seconds, steps_per_second=speed, curve=list(progress.curve)
        )

    def _stopped(self) -> RunResult:
        lines = (
            f"{self.folder.name}: stopped by a signal; everything is saved",
            f"go on with: angle-domains train --resume {self.folder.name}",
        )
        return RunResult(self.folder.name, "KILLED", self.stop.exit_code, lines)

    def _finished(self, trainer: AgentTrainer) -> RunResult:
        """Opens the test part with the best checkpoint, and hands report and policy to the tracker."""
        self.console.close()
        tracker = trainer.tracker
        links = self.folder.note(links=tracker.links())["links"]
        judged = judge_run(self.folder, self.config, trainer.feed, split="test", links=links)
        metrics = {f"test/{name}": value for name, value in judged.verdict.metrics.items()}
        tracker.log(metrics | {"test/openings": len(self.folder.note()["test_opened"])}, trainer.step)
        self.folder.note(test_tracked=True)
        for path in (self.folder.config, judged.report):
            tracker.artifact(path)
        best = self.folder.best.resolve()
        tracker.artifact(best, "checkpoint")
        tracker.log_policy(best, trainer.feed.spec, judged.step)
        lines = (*judged.lines, *(f"{what}: {link}" for what, link in tracker.links().items()))
        return RunResult(self.folder.name, "FINISHED", 0, lines, judged.verdict.metrics, judged.report)


def run_info(
    config: AgentConfig,
    name: str,
    *,
    seed: int | None,
    feed: Any = None,
    parent: str | None = None,
    resume: bool = False,
) -> RunInfo:
    """What trackers are told of a run; `feed.describe()` names its data."""
    return RunInfo(
        name=name,
        experiment=config.tracking.experiment or config.feed_name,
        feed=config.feed_name,
        agent=config.agent_name,
        seed=seed,
        params=config.flat(),
        dataset=DatasetInfo(**feed.describe()) if feed is not None else None,
        parent=parent,
        resume=resume,
        steps=config.training.steps,
    )
