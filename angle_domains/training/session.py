"""One run, for one seed: opened, trained, judged, and ended truthfully."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from angle_domains.config import AgentConfig, flatten
from angle_domains.errors import ConfigError
from angle_domains.policy import check_observations
from angle_domains.runs import RunFolder
from angle_domains.specs import spec_from_dict
from angle_domains.tables import feed_entry, make_feed
from angle_domains.tracking import DatasetInfo, RunInfo, Status, open_tracker, send_rest
from angle_domains.training.signals import StopSignal
from angle_domains.training.trainer import AgentTrainer, Console
from angle_domains.training.verdicts import judge_run, openings, same_data, terms_of, told_of
from feeds.clinical.disclosure import told_profile


@dataclass(frozen=True)
class RunResult:
    """What came of one run."""

    name: str
    status: Status
    exit_code: int
    lines: tuple[str, ...]  # for a terminal
    metrics: dict[str, float] = field(default_factory=dict)
    report: Path | None = None


@dataclass
class Session:
    """One run, from opening its folder to its last word."""

    config: AgentConfig
    folder: RunFolder
    console: Console
    stop: StopSignal  # entered: a signal that comes while the test part is judged lets that end, and the run with it
    parent: str | None = None  # reference of the parent's tracker
    resumed: bool = False
    begun: bool = False  # the run is tracked already, although it may have saved nothing yet

    def run(self) -> RunResult:
        if self.config.training.threads is not None:
            torch.set_num_threads(self.config.training.threads)
        feed = make_feed(self.config.feed_name, self.config.feed)
        trainer = AgentTrainer(self.config, self.folder, self.console, feed)  # settings that do not fit open no run
        with self.folder.lock():
            if feed_entry(self.config.feed_name).logged:
                self.folder.path.chmod(0o700)  # what was learned from patients is for who may see their records
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
                try:
                    self.folder.note(run_id=tracker.run_id, status=status)
                finally:
                    tracker.finish(status)
        return result

    def _info(self, feed: Any) -> RunInfo:
        config, name = self.config, self.folder.name
        return run_info(
            config, name, seed=config.seed, feed=feed, parent=self.parent, resume=self.resumed or self.begun
        )

    def _open(self, trainer: AgentTrainer) -> None:
        """Makes the folder, or puts the trainer where the run stopped."""
        if not self.resumed:
            self.folder.create(self.config.to_dict())
            return
        if not self.folder.saved_any:
            self._begin_again()
            return
        state, meta, problems = self.folder.load_last()
        for problem in problems:
            self.console.line(problem)
        step, steps = meta["step"], self.config.training.steps
        if step >= steps and self.folder.note().get("status") == "FINISHED":
            send_rest(self.config.tracking, self.folder.path)
            raise ConfigError(f"the run {self.folder.name} has finished its {step:,} steps: give more with --steps")
        same_run(meta["config"], self.config, self.folder.name)
        same_data(meta, trainer.feed, self.folder)
        check_observations(spec_from_dict(meta["spec"]), trainer.feed.spec)
        trainer.resume(state)
        self.folder.discard_after(step, trainer.progress.best_step)
        self.folder.write_config(self.config.to_dict())
        self.folder.note(status="RUNNING")  # what it had finished before was shorter
        self.console.line(f"{self.folder.name}: goes on at step {step:,} of {steps:,}")

    def _begin_again(self) -> None:
        """A run that ended before it had saved anything begins anew: its trackers know it, so it stays the same run."""
        same_run(self.folder.read_config(), self.config, self.folder.name)
        self.folder.create(self.config.to_dict())
        self.console.line(f"{self.folder.name}: ended before its first checkpoint, and begins anew")

    def _note(self, trainer: AgentTrainer) -> None:
        """Facts that pages need of the training, kept beside the checkpoints."""
        progress, step = trainer.progress, trainer.step
        speed = step / max(progress.learning_seconds, 1e-9)
        self.folder.note(
            steps=step,
            seconds=progress.learning_seconds,
            steps_per_second=speed,
            curve=list(progress.curve),
            checkpoint=progress.words,
        )

    def _stopped(self) -> RunResult:
        lines = (
            f"{self.folder.name}: stopped by a signal; everything is saved",
            f"go on with: angle-domains train --resume {self.folder.name}",
        )
        return RunResult(self.folder.name, "KILLED", self.stop.exit_code, lines)

    def _finished(self, trainer: AgentTrainer) -> RunResult:
        """Judges the best checkpoint on the test part, unless that is to stay closed; hands report and policy to the
        tracker."""
        name, part = self.folder.name, "validation" if self.config.training.test == "never" else "test"
        self.console.line(f"{name}: the best policy is judged on the {part} part")
        self.console.close()
        tracker = trainer.tracker
        links = self.folder.note(links=tracker.links())["links"]
        judged = judge_run(self.folder, self.config, trainer.feed, terms_of(self.config, part), links=links)
        tracker.log(told_of(part, judged, self.folder), trainer.step)
        tracker.tag(judged.tags)
        for path in (self.folder.config, *judged.files):
            tracker.artifact(path)
        best = self.folder.best.resolve()
        tracker.artifact(best, "checkpoint")
        tracker.log_policy(best, trainer.feed.spec, judged.step, judged.models)
        closed = () if openings(self.folder) else (f"test part: closed until `angle-domains evaluate {name}` opens it",)
        lines = (*judged.lines, *closed, *(f"{what}: {link}" for what, link in tracker.links().items()))
        return RunResult(name, "FINISHED", 0, lines, judged.verdict.metrics, judged.report)


_FIXED = ("seed", "name", "env", "feed.", "agent.", "meta.", "training.streams", "tracking.experiment")
_FREE = ("feed.path", "feed.threads")  # data may move; whether they are the same their digest tells


def same_run(stored: dict[str, Any], config: AgentConfig, run: str) -> None:
    """ConfigError where the options would make another run of the one that goes on.

    Who learns what from where is fixed; how long, where it is computed and how it is tracked may change.
    """
    before = dict(flatten(stored))
    for key, now in config.flat().items():
        if not key.startswith(_FIXED) or key in _FREE or before.get(key, now) == now:
            continue
        raise ConfigError(
            f"{key} is {before[key]!r} in the run {run} and cannot become {now!r} when it "
            "goes on: leave the option out, or train a new run"
        )


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
        dataset=_dataset(feed) if feed is not None else None,
        parent=parent,
        resume=resume,
        steps=config.training.steps,
    )


def _dataset(feed: Any) -> DatasetInfo:
    """What a store may be told of the data."""
    said = feed.describe()
    return DatasetInfo(**said | {"profile": told_profile(said.get("profile", {}))})
