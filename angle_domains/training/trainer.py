"""The AgentTrainer: the one place that drives a loop, logs, evaluates, saves and stops."""

import math
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from angle_domains.advised import Advised, make_agent
from angle_domains.config import AgentConfig
from angle_domains.errors import AngleError, CheckpointError, ConfigError, TrainingError
from angle_domains.evaluation import Verdict
from angle_domains.runs import RunFolder
from angle_domains.specs import spec_to_dict
from angle_domains.tables import check_actions, feed_entry, make_feed, resolve
from angle_domains.tracking import NullTracker, Tracker
from angle_domains.training.beside import Beside
from angle_domains.training.compiling import compile_losses
from angle_domains.training.experience import open_experience
from angle_domains.training.films import film_is_due, film_path, make_film
from angle_domains.training.signals import StopSignal
from angle_domains.training.verdicts import check_rewards, terms_of
from angle_domains.types import Portrayed, Report
from angle_domains.watch.film import strip
from metalearn.trainer import FEWEST_TASKS

_TOLD_BESIDE = ("forecast/error_against_last", "risk/auroc")
_POINTS = 1_000  # per metric and run: charts sample beyond that


class Console(Protocol):
    """What the trainer tells a person."""

    def start(self, total: int, label: str) -> None: ...
    def update(self, step: int, metrics: dict[str, float]) -> None: ...
    def line(self, text: str) -> None: ...
    def close(self) -> None: ...


@dataclass
class Progress:
    """What the trainer itself must remember over a restart."""

    best_score: float = -math.inf
    best_step: int = -1
    looks: int = 0  # at the validation part
    unranked: int = 0  # of these, whose score says nothing
    by: str = ""  # what the score of the best is, or why the last look gave none
    evaluated: int = 0  # step of the last evaluation
    saved: int = 0
    logged: int = 0
    learning_seconds: float = 0.0  # over all processes, evaluation left out
    curve: list[tuple[int, float]] = field(default_factory=list)  # step, score on validation
    films: list[int] = field(default_factory=list)  # steps at which the best policy was filmed
    pending: dict[str, list[float]] = field(default_factory=dict)  # metrics since the last log
    pending_seconds: float = 0.0  # of learning since then

    def judged(self, verdict: Verdict, step: int) -> bool:
        """Takes note of a look; True where this checkpoint is the best so far.

        Scores that say nothing choose nothing: while there are no others, the last checkpoint is kept.
        """
        self.looks += 1
        if verdict.ranked:
            self.curve.append((step, verdict.score))
            better = verdict.score > self.best_score
            self.best_score = max(self.best_score, verdict.score)
        else:
            self.unranked += 1
            better = self.unranked == self.looks
        if better:
            self.best_step, self.by = step, verdict.by
        return better

    @property
    def words(self) -> str:
        """Which checkpoint was kept, and why; empty where a judge has one score and nothing to say of it."""
        if not self.by or not self.looks:
            return ""
        if self.unranked == self.looks:
            return f"step {self.best_step:,}, the last: none of {self.looks} looks gave an estimate ({self.by})"
        withheld = f", {self.unranked} of them not estimable" if self.unranked else ""
        return f"step {self.best_step:,}, best of {self.looks} looks by {self.by}{withheld}"


class AgentTrainer:
    """One agent on one feed with one seed. `train` runs to the end of the budget or to a stop signal."""

    def __init__(self, config: AgentConfig, run: RunFolder, console: Console, feed: Any = None) -> None:
        self.config, self.run, self.console = config, run, console
        self.tracker: Tracker = NullTracker()
        self.device = resolve_device(config.device)
        entry = feed_entry(config.feed_name)
        self.judge, self.terms = resolve(entry.judge), terms_of(config, "validation", full=False)
        self.feed = make_feed(config.feed_name, config.feed) if feed is None else feed
        check_actions(config.agent_name, self.feed.spec, logged=entry.logged)
        check_rewards(config.agent_name, self.feed.spec)
        self.agent = make_agent(config, self.feed.spec, self.device)
        if config.training.compile:
            compile_losses(self.agent.agent if isinstance(self.agent, Advised) else self.agent, self.device)
        self.experience = open_experience(config, self.feed, self.agent, self.device, run.path, console)
        self.experience.replay.folder = run.replay
        self.beside = self._beside()
        self.progress = Progress()
        self.step = 0
        self._clock = 0.0
        self._told_of_tasks = False

    def resume(self, state: dict[str, Any]) -> None:
        """Puts back what `state` holds, to the bit; CheckpointError where it belongs to other data or settings."""
        self.agent.load_state_dict(state["agent"])
        self.experience.load_state_dict(state)
        if self.beside is not None:
            if "beside" not in state:
                raise CheckpointError("this checkpoint holds no models beside the agent: go on without --meta")
            self.beside.load_state_dict(state["beside"])
        self.progress = Progress(**state["progress"])
        self.step = self.experience.step

    def state_dict(self) -> dict[str, Any]:
        """All but the replay, which the run's folder saves by parts."""
        known = {"agent": self.agent.state_dict(), "progress": vars(self.progress)}
        if self.beside is not None:
            known["beside"] = self.beside.state_dict()
        return known | self.experience.state_dict()

    def _beside(self) -> Beside | None:
        """Models that learn beside the agent, where they are wanted."""
        config = self.config
        if not config.meta.on:
            return None
        return Beside(config, self.feed, self.agent, self.experience)

    def train(self, tracker: Tracker, stop: StopSignal) -> None:
        """Trains to the budget; returns early, with a checkpoint written, where a signal came."""
        self.tracker = tracker
        self.experience.keep()
        self.console.start(self.config.training.steps, self.run.name)
        self._clock = time.monotonic()
        agent = self.agent if self.beside is None else self.beside.watch(self.agent)
        for report in self.experience.reports(agent):
            self.step = step = report.step
            self._absorb(report)
            if not report.learned:
                continue
            ends = step >= self.config.training.steps
            if self.beside is not None:
                self._learn_beside(self.beside, step)
            self._log_if_due(step, ends=ends)
            if ends or step - self.progress.evaluated >= self.config.training.evaluate_every:
                self._evaluate(step)
            elif stop.caught or step - self.progress.saved >= self.config.training.checkpoint_every:
                self._save(step)
            if stop.caught or self._out_of_patience():
                return

    def _learn_beside(self, beside: Beside, step: int) -> None:
        self._lap()
        if metrics := beside.update(step, self.progress.learning_seconds):
            self._lap()
            self.tracker.log(metrics, step)
            if metrics.get("meta/tasks", FEWEST_TASKS) < FEWEST_TASKS and not self._told_of_tasks:
                self._told_of_tasks = True
                self.console.line(
                    f"{metrics['meta/tasks']:.0f} tasks so far, {FEWEST_TASKS} are needed to learn how to adapt: "
                    "until then ridge regression drawn to the last value stands in"
                )
            self.console.update(step, {k: v for k, v in metrics.items() if k in _TOLD_BESIDE})

    def _out_of_patience(self) -> bool:
        """True where the last evaluations brought no better score."""
        patience = self.config.training.patience
        since = [step for step, _ in self.progress.curve if step > self.progress.best_step]
        return 0 < patience <= len(since)

    def _absorb(self, report: Report) -> None:
        limit = self.config.training.loss_limit
        for name, value in report.metrics.items():
            if not math.isfinite(value) or (name.startswith("loss/") and abs(value) > limit):
                raise TrainingError(
                    f"{name} became {value:g} at step {report.step:,}: training stopped, the last checkpoint is kept"
                )
            self.progress.pending.setdefault(name, []).append(value)
        self.console.update(report.step, report.metrics)

    def _log_if_due(self, step: int, *, ends: bool) -> None:
        progress = self.progress
        if not ends and step - progress.logged < self.config.training.steps / _POINTS:
            return
        self._lap()
        speed = (step - progress.logged) / max(progress.pending_seconds, 1e-9)
        means = {name: sum(values) / len(values) for name, values in progress.pending.items()}
        progress.pending, progress.pending_seconds, progress.logged = {}, 0.0, step
        self.tracker.log(means | {"time/steps_per_second": speed}, step)

    def _lap(self) -> None:
        """Counts the time since the last lap as learning."""
        now = time.monotonic()
        self.progress.learning_seconds += now - self._clock
        self.progress.pending_seconds += now - self._clock
        self._clock = now

    def _evaluate(self, step: int) -> None:
        self._lap()
        verdict: Verdict = self.judge(self.feed, self.agent, self.terms)
        if not math.isfinite(verdict.score):
            raise TrainingError(f"the score on validation became {verdict.score} at step {step:,}")
        progress = self.progress
        progress.evaluated = step
        better = progress.judged(verdict, step)
        score = {"validation/score": verdict.score} if verdict.ranked else {}
        metrics = {f"validation/{name}": value for name, value in verdict.metrics.items()}
        self.tracker.log(metrics | score, step)
        if isinstance(self.agent, Portrayed):
            self.tracker.log_histograms(self.agent.portrait, step)
        self.console.update(step, score)
        if better and film_is_due(self.config, progress.films, step):
            self._film(step)
        self._clock = time.monotonic()  # judging is not learning
        self._save(step, best=better)

    def _film(self, step: int) -> None:
        """Films the best policy; where that cannot be done here, says so once."""
        try:
            film = make_film(self.config, self.feed, self.agent, film_path(self.run.path, step))
        except Exception as error:  # whatever an environment's pictures raise: a film is not worth a run
            told = str(error) if isinstance(error, AngleError) else f"{type(error).__name__}: {error}"
            self.console.line(f"no film: {told}")
            self.progress.films = [step] * self.config.training.films
            return
        self.progress.films.append(step)
        self.tracker.artifact(film.path, "films")
        self.tracker.log_picture("film/ending", lambda: strip(film.ending), step)

    def _save(self, step: int, *, best: bool = False) -> None:
        self._lap()
        self.progress.saved = step
        meta = {
            "step": step,
            "agent": self.config.agent_name,
            "config": self.config.to_dict(),
            "spec": spec_to_dict(self.feed.spec),
            "score": self.progress.curve[-1][1] if best and self.progress.curve else None,
            "data": self.feed.describe()["digest"],
        }
        self.run.save(step, self.state_dict(), meta, best=best, replay=self.experience.replay)


def resolve_device(name: str) -> str:
    """ "auto" is a GPU where torch sees one; ConfigError where "cuda" is asked for in vain."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device cuda was asked for, but torch {torch.__version__} sees no GPU: use --device cpu or auto"
        )
    return name
