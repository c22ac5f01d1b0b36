"""Opening runs: one, several under a parent, or those that go on; and judging one that has ended."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from angle_domains import runs
from angle_domains.config import AgentConfig
from angle_domains.errors import ConfigError
from angle_domains.evaluation import Terms
from angle_domains.runs import RunFolder
from angle_domains.tables import make_feed
from angle_domains.tracking import reopen_tracker
from angle_domains.training.group import Group, train_group
from angle_domains.training.judging import stored_config
from angle_domains.training.session import RunResult, Session
from angle_domains.training.signals import StopSignal
from angle_domains.training.trainer import Console
from angle_domains.training.verdicts import Judged, judge_run, openings, terms_of, told_of
from angle_domains.variants import of_seeds, swept


def train(
    config: AgentConfig,
    *,
    console: Console,
    seeds: Sequence[int] | None = None,
    sweep: Sequence[str] = (),
    resume: str | None = None,
    root: Path = Path("runs"),
) -> list[RunResult]:
    """Trains one run, a run for each seed and each combination of the settings that are swept (`key=one,another`), or
    goes on with a run or a group of them; what it opens it ends."""
    with StopSignal() as stop:
        if resume is not None:
            if seeds or sweep:
                what = "--seeds" if seeds else "--sweep"
                raise ConfigError(f"--resume and {what} cannot stand together: a run goes on with its own settings")
            group = runs.find_group(resume, root)
            if group is not None:
                return train_group(Group.stored(group, config), console, stop)
            return [Session(config, runs.find_run(resume, root), console, stop, resumed=True).run()]
        name = runs.check_name(config.name or runs.fresh_name(root, f"{config.feed_name}-{config.agent_name}"))
        runs.check_group_free(RunFolder(root / name))
        if not seeds and not sweep:
            return [Session(config, RunFolder(root / name), console, stop).run()]
        variants = swept(sweep, seeds or ()) if sweep else of_seeds(seeds or ())
        return train_group(Group.fresh(RunFolder(root / name), config, variants), console, stop)


def evaluate(
    run: str,
    *,
    split: str = "test",
    episodes: int | None = None,
    seeds: Sequence[int] = (),
    overrides: Sequence[str] = (),
    override: bool = False,
    root: Path = Path("runs"),
) -> list[RunResult]:
    """Judges the best checkpoint of a run on a part of its feed's data and writes the page.

    Where episodes are drawn, `episodes` of them are played under each of `seeds`; by default as the run says.
    An opening of the test part is told to the run's trackers too. `overrides` change how recorded patients judge, and
    `override` shows numbers that they refuse, marked for good.
    """
    folder = runs.find_run(run, root)
    config = stored_config(folder, overrides, override=override)
    feed = make_feed(config.feed_name, config.feed)
    if split not in feed.spec.splits:
        raise ConfigError(f"--split {split}: the feed '{config.feed_name}' has {', '.join(feed.spec.splits)}")
    with folder.lock():
        links = folder.note().get("links", {})
        terms = terms_of(config, split, episodes=episodes, seeds=tuple(seeds))
        if split == "test":
            judged = _open_again(folder, config, feed, links, terms)
        else:
            judged = judge_run(folder, config, feed, terms, links=links)
    return [RunResult(folder.name, "FINISHED", 0, judged.lines, judged.verdict.metrics, judged.report)]


def _open_again(folder: RunFolder, config: AgentConfig, feed: Any, links: dict[str, str], terms: Terms) -> Judged:
    """Judges the test part of a run that has ended; its trackers are told of the opening, whatever came of it."""
    tracker = reopen_tracker(config.tracking, folder.path)  # first: a run that another process holds opens nothing
    before, judged = openings(folder), None
    try:
        judged = judge_run(folder, config, feed, terms, links=links)
        return judged
    finally:
        if openings(folder) > before:
            tracker.log(told_of("test", judged, folder), folder.last_step())
            tracker.tag(judged.tags if judged else {})
            for path in judged.files if judged else ():
                tracker.artifact(path)
        tracker.finish()
