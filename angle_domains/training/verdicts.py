"""Judging a run's best checkpoint on a part of the data, recording that the part was opened, writing the page."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from angle_domains.config import AgentConfig
from angle_domains.evaluation import Verdict
from angle_domains.evaluation.skill import Trials
from angle_domains.policy import load_policy
from angle_domains.report import RunSummary
from angle_domains.runs import RunFolder
from angle_domains.tables import feed_entry, resolve
from angle_domains.tracking import provenance, resolve_store, trial_sharpes


@dataclass(frozen=True)
class Judged:
    verdict: Verdict
    report: Path
    step: int  # of the checkpoint

    @property
    def lines(self) -> tuple[str, ...]:
        return (*self.verdict.lines, f"report: {self.report}")


def judge_run(folder: RunFolder, config: AgentConfig, feed: Any, *, split: str, links: dict[str, str]) -> Judged:
    """The full verdict on the run's best checkpoint, with its page; opening the test part is noted in `run.json`."""
    entry = feed_entry(config.feed_name)
    policy = load_policy(folder.path)
    facts = folder.note()
    if split == "test":
        opened = [*facts.get("test_opened", []), time.strftime("%Y-%m-%dT%H:%M:%S%z")]
        facts = folder.note(test_opened=opened)  # before anything of it is seen
    judge, write = resolve(entry.judge), resolve(entry.report)
    verdict = judge(feed, policy.agent, split=split, seed=config.seed, full=True, trials=count_trials(config, folder))
    summary = RunSummary(
        name=folder.name,
        feed=config.feed_name,
        agent=config.agent_name,
        seeds=(config.seed,),
        steps=facts.get("steps", policy.meta["step"]),
        seconds=facts.get("seconds", 0.0),
        steps_per_second=facts.get("steps_per_second", 0.0),
        config=config.to_dict(),
        provenance=provenance(),
        curve=tuple((step, score) for step, score in facts.get("curve", [])),
        links=links,
        test_openings=len(facts.get("test_opened", [])),
    )
    page = folder.report if split == "test" else folder.path / f"report-{split}.html"
    return Judged(verdict, write(verdict, summary, page), policy.meta["step"])


def count_trials(config: AgentConfig, folder: RunFolder) -> Trials:
    """This run and every other of its experiment whose test part was opened."""
    experiment = config.tracking.experiment or config.feed_name
    root = folder.path.parent
    store = resolve_store(config.tracking.uri, root)
    sharpes = trial_sharpes(store, experiment, besides=folder.note().get("run_id"), runs=root)
    return Trials(count=1 + len(sharpes), sharpes=tuple(sharpes))
