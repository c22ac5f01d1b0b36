"""Judging a run's best checkpoint on a part of the data, recording that the part was opened, writing the page."""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from angle_domains.config import AgentConfig
from angle_domains.errors import CheckpointError, ConfigError
from angle_domains.evaluation import Terms, Verdict
from angle_domains.evaluation.skill import Trials
from angle_domains.outlook.foreseen import signatures
from angle_domains.outlook.study import study
from angle_domains.policy import check_observations, load_policy
from angle_domains.report import RunSummary
from angle_domains.report.outlook import foreseen
from angle_domains.runs import RunFolder
from angle_domains.tables import agent_spec, feed_entry, resolve
from angle_domains.tracking import OFF, find_trials, provenance, read_key, resolve_store
from angle_domains.tracking.policies import Signatures
from feeds.base import FeedSpec

_NAMED = 8  # seeds that stand in the name of a page


@dataclass(frozen=True)
class Judged:
    verdict: Verdict
    report: Path
    step: int  # of the checkpoint
    notes: dict[str, str] = field(default_factory=dict)  # how it was chosen, in words
    beside: dict[str, float] = field(default_factory=dict)  # metrics of the models that learned beside the agent
    models: Signatures = field(default_factory=dict)  # of those that the checkpoint holds trained
    usual: Path | None = None  # the page of the verdict under the run's own terms, where this one is under others

    @property
    def files(self) -> tuple[Path, ...]:
        """The page, and what its writer put beside it."""
        beside = (self.report.with_suffix(ending) for ending in (".json", ".md"))
        return (self.report, *(path for path in beside if path.is_file()))

    @property
    def lines(self) -> tuple[str, ...]:
        told = (f"{what}: {words}" for what, words in self.notes.items())
        kept = (
            () if self.usual is None else (f"under other terms than the run's own, whose verdict stays: {self.usual}",)
        )
        return (*self.verdict.lines, *told, *kept, f"report: {self.report}")

    @property
    def tags(self) -> dict[str, str]:
        """What a store is told in words."""
        return self.verdict.tags | {f"angle.{what}": words for what, words in self.notes.items()}


def terms_of(
    config: AgentConfig, split: str, *, full: bool = True, episodes: int | None = None, seeds: tuple[int, ...] = ()
) -> Terms:
    """How a run is judged on a part; of feeds whose episodes are drawn as many as its settings say, unless given."""
    training = config.training
    usual = training.test_episodes if full else training.validation_episodes
    return Terms(
        split,
        full=full,
        seed=config.seed,
        episodes=episodes or usual,
        seeds=seeds,
        epsilon=training.evaluation_epsilon,
        episode_limit=training.episode_limit,
        judging=training.judging,
        model=training.model,
    )


def judge_run(folder: RunFolder, config: AgentConfig, feed: Any, terms: Terms, *, links: dict[str, str]) -> Judged:
    """The full verdict on the run's best checkpoint, with its page; opening the test part is noted in `run.json`."""
    entry, split = feed_entry(config.feed_name), terms.split
    check_rewards(config.agent_name, feed.spec)
    policy = load_policy(folder.path)
    same_data(policy.meta, feed, folder)
    check_observations(policy.spec, feed.spec)
    if config.tracking.uri != OFF:
        resolve_store(config.tracking.uri, folder.path.parent)  # a store that cannot be named opens nothing
    facts = {"steps": policy.meta["step"]} | folder.note()
    if split == "test":
        opened = [*facts.get("test_opened", []), time.strftime("%Y-%m-%dT%H:%M:%S%z")]
        experiment = config.tracking.experiment or config.feed_name
        facts |= folder.note(experiment=experiment, test_opened=opened)  # before anything of it is seen
    judge, write = resolve(entry.judge), resolve(entry.report)
    verdict = judge(feed, policy.agent, replace(terms, trials=count_trials(config, folder)))
    if split == "test" and "sharpe" in verdict.metrics:
        folder.note(test_sharpe=verdict.metrics["sharpe"])
    notes = {what: facts[what] for what in ("checkpoint", "selection") if facts.get(what)}
    found = study(config, feed, policy, split)
    summary = _summary(folder, config, facts, links, notes, () if found is None else foreseen(found))
    path = _page_under(terms, folder, terms_of(config, split, full=terms.full).episodes)
    page = write(verdict, summary, path)
    models = {} if policy.beside is None else signatures(policy.beside)
    beside, usual = {} if found is None else found.metrics, page_of(folder, split)
    return Judged(verdict, page, policy.meta["step"], notes, beside, models, None if path == usual else usual)


def page_of(folder: RunFolder, split: str) -> Path:
    """Where the page of a part lies."""
    return folder.report if split == "test" else folder.path / f"report-{split}.html"


def _page_under(terms: Terms, folder: RunFolder, episodes: int | None) -> Path:
    """The page of a part, or one of its own where that is taken and others than the run's usual episodes are played."""
    usual = page_of(folder, terms.split)
    if (terms.episodes, terms.seeds) == (episodes, ()) or not usual.is_file():
        return usual
    seeds = "-".join(map(str, terms.seeds)) if len(terms.seeds) <= _NAMED else f"{len(terms.seeds)}-of-them"
    own = f"-seeds-{seeds}" if terms.seeds else ""
    return usual.with_stem(f"report-{terms.split}-{terms.episodes}-episodes{own}")


def _summary(
    folder: RunFolder,
    config: AgentConfig,
    facts: dict[str, Any],
    links: dict[str, str],
    notes: dict[str, str],
    beside: tuple[str, ...],
) -> RunSummary:
    return RunSummary(
        name=folder.name,
        feed=config.feed_name,
        agent=config.agent_name,
        seeds=(config.seed,),
        steps=facts["steps"],
        seconds=facts.get("seconds", 0.0),
        steps_per_second=facts.get("steps_per_second", 0.0),
        config=config.to_dict(),
        provenance=notes | provenance(),
        curve=tuple((step, score) for step, score in facts.get("curve", [])),
        links=links,
        test_openings=len(facts.get("test_opened", [])),
        beside=beside,
    )


def check_rewards(agent: str, spec: FeedSpec) -> None:
    """ConfigError where an agent would decide by rewards that tell what is still to come."""
    if spec.ahead and agent_spec(agent).rewarded:
        raise ConfigError(
            f"the agent '{agent}' decides by the rewards that it sees, and those of '{spec.name}' read "
            f"{spec.ahead:g} h ahead: take rewards that look back, as those of OVISS do under feed.reward.causal=true"
        )


def same_data(meta: dict[str, Any], feed: Any, folder: RunFolder) -> None:
    """CheckpointError unless the feed's data are those that the checkpoint was trained on.

    Scaler and splits follow from the data: on others the policy would see numbers that mean something else.
    """
    wanted, found = meta["data"], feed.describe()["digest"]
    if wanted != found:
        raise CheckpointError(
            f"the run {folder.name} was trained on data with SHA-256 {wanted[:12]}…, the feed now reads {found[:12]}… "
            f"from {feed.describe()['source']}: put the old data back, or train anew"
        )


def told_of(part: str, judged: Judged | None, folder: RunFolder) -> dict[str, float]:
    """What trackers are told of a part that was judged: what came of it, if anything, and how often the test part was
    opened."""
    told = judged.verdict.metrics | judged.beside if judged else {}
    found = {f"{part}/{name}": value for name, value in told.items()}
    if chosen := folder.note().get("selected_from"):
        found["test/selected_from"] = chosen
    return found | {"test/openings": openings(folder)}


def openings(folder: RunFolder) -> int:
    """How often the test part was opened for this run."""
    return len(folder.note().get("test_opened", ()))


def count_trials(config: AgentConfig, folder: RunFolder) -> Trials:
    """How often the test part was opened in this experiment, this time included, and what the other runs reached.

    Openings stand in the folders beside this one; those of runs that only the store knows (of other machines) there.
    """
    root, experiment = folder.path.parent, config.tracking.experiment or config.feed_name
    others = [RunFolder(path.parent) for path in root.glob("*/run.json") if path.parent.name != folder.name]
    beside = [other for other in others if other.note().get("experiment") == experiment and openings(other)]
    count = max(openings(folder), 1) + sum(openings(other) for other in beside)
    if config.tracking.uri == OFF:
        notes = [other.note() for other in beside]
        return Trials(count, tuple(note["test_sharpe"] for note in notes if "test_sharpe" in note))
    stored = find_trials(resolve_store(config.tracking.uri, root), experiment, runs=root)
    own, here = read_key(folder.path), {read_key(other.path) for other in (folder, *beside)}
    count += sum(trial.openings for trial in stored if trial.run not in here)
    return Trials(count, tuple(trial.sharpe for trial in stored if trial.run != own))
