"""Choosing among the policies of several runs: validation patients choose, and test patients judge the chosen once."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from angle_domains import runs
from angle_domains.config import AgentConfig
from angle_domains.config_text import Layers, Source
from angle_domains.errors import ConfigError
from angle_domains.ope.episodes import Episodes
from angle_domains.ope.selection import Selection, select
from angle_domains.ope.settings import JudgingConfig
from angle_domains.ope.value import OpeConfig, evaluate
from angle_domains.policy import check_observations, load_policy
from angle_domains.runs import RunFolder
from angle_domains.tables import feed_entry, make_feed, resolve
from angle_domains.training.session import RunResult
from angle_domains.training.verdicts import same_data, terms_of

_JUDGING = "training.judging."
_ALIKE = (  # settings that make policies comparable
    "feed.path", "feed.splits", "feed.reward", "feed.ends", "feed.actions", "feed.policy", "training.judging",
)  # fmt: skip


def stored_config(folder: RunFolder, overrides: Sequence[str] = (), *, override: bool = False) -> AgentConfig:
    """A run's own configuration, with settings of how it is judged changed; ConfigError for any other key."""
    layers = Layers()
    layers.put((), folder.read_config(), Source("file", "the stored configuration"))
    for text in overrides:
        if not text.startswith(_JUDGING):
            key = text.partition("=")[0]
            raise ConfigError(f"--set {key}: a run that has ended keeps its settings but for those of {_JUDGING[:-1]}")
        layers.put_override(text)
    if override:
        layers.put((*_JUDGING[:-1].split("."), "override"), True, Source("--override", "--override"))
    config = AgentConfig.from_layers(layers)
    if (overrides or override) and not feed_entry(config.feed_name).logged:
        what = "--override" if override else "--set"
        raise ConfigError(f"{what}: the feed '{config.feed_name}' has no recorded patients, and refuses no number")
    return config


def select_run(
    names: Sequence[str],
    judge: Callable[[str], list[RunResult]],
    *,
    overrides: Sequence[str] = (),
    root: Path = Path("runs"),
) -> list[RunResult]:
    """The best of several runs by validation patients; `judge` then opens the test patients, for that one alone.

    A group of runs stands for all of them. Where all are refused the test patients stay closed.
    """
    folders = {folder.name: folder for name in names for folder in _named(name, root)}
    if len(folders) < 2:
        raise ConfigError("--select chooses among runs: name two or more")
    configs = {name: stored_config(folder, overrides) for name, folder in folders.items()}
    check_alike(configs)
    policies = {name: _valued(folders[name], config) for name, config in configs.items()}
    first = next(iter(configs.values()))
    seed, settings = first.seed, first.training.judging  # alike in all
    chosen = select(policies, settings.gamma, seed=seed, draws=settings.draws, level=settings.level)
    said = chosen.words() + _opened(folders)
    lines = (*_lines(policies, settings, seed), f"selection on the validation patients: {said}")
    if chosen.best is None:
        return [RunResult("selection", "FINISHED", 0, (*lines, "the test patients stay closed"))]
    return [RunResult("selection", "FINISHED", 0, lines), *_judged(chosen, said, folders[chosen.best], judge)]


def _named(name: str, root: Path) -> list[RunFolder]:
    group = runs.find_group(name, root)
    return [runs.find_run(name, root)] if group is None else runs.group_children(group)


def _opened(folders: dict[str, RunFolder]) -> str:
    """Whose test part was opened before: what was seen there may have decided which runs are chosen among."""
    names = [name for name, folder in folders.items() if folder.note().get("test_opened")]
    return f"; the test patients are not unseen: they were opened before for {', '.join(names)}" if names else ""


def check_alike(configs: dict[str, AgentConfig]) -> None:
    """ConfigError where runs are of other records, parts or rewards, or judged otherwise: values would not compare."""
    first = next(iter(configs))
    for name, config in configs.items():
        if feed_entry(config.feed_name).valued is None:
            raise ConfigError(
                f"--select: the feed '{config.feed_name}' of {name} has no recorded patients to choose by"
            )
        for key in _ALIKE:
            part, name_of = key.split(".")
            ours, theirs = (getattr(getattr(each, part), name_of, None) for each in (configs[first], config))
            if ours != theirs:
                raise ConfigError(f"--select: {key} of {name} differs from that of {first}: values do not compare")


def _valued(folder: RunFolder, config: AgentConfig) -> Episodes:
    feed, policy = make_feed(config.feed_name, config.feed), load_policy(folder.path)
    same_data(policy.meta, feed, folder)
    check_observations(policy.spec, feed.spec)
    valued = resolve(str(feed_entry(config.feed_name).valued))
    episodes: Episodes = valued(feed, policy.agent, terms_of(config, "validation"))
    return episodes


def _lines(policies: dict[str, Episodes], settings: JudgingConfig, seed: int) -> list[str]:
    config = OpeConfig.of(settings, seed=seed).model_copy(update={"estimators": ("WIS",), "override": False})
    return [f"{name}: {evaluate(each, settings.gamma, config)['WIS'].words()}" for name, each in policies.items()]


def _judged(chosen: Selection, said: str, folder: RunFolder, judge: Callable[[str], Any]) -> list[RunResult]:
    folder.note(selection=said, selected_from=chosen.count)
    found: list[RunResult] = judge(folder.name)
    return found
