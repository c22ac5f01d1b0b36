"""Several runs as one group: a run for each seed, under a parent that carries means and intervals over them, or for
each setting that is swept.

Who sweeps a setting over recorded patients is going to choose among the runs, so these leave the test part closed
unless `training.test` says otherwise: `evaluate --select` opens it once. Every other run opens it at its end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from angle_domains import runs
from angle_domains.config import AgentConfig
from angle_domains.errors import ConfigError
from angle_domains.runs import RunFolder
from angle_domains.tables import feed_entry
from angle_domains.tracking import Status, finish_parent, open_tracker
from angle_domains.training.session import RunResult, Session, run_info, same_run
from angle_domains.training.signals import StopSignal
from angle_domains.training.trainer import Console
from angle_domains.training.verdicts import openings
from angle_domains.variants import Variant, changed, only_seeds


@dataclass(frozen=True)
class Group:
    """The parent's folder, the configuration that all children share, and in what they differ, in their order.

    The folder keeps both from before the first child begins, so that a group can go on whenever it was killed.
    """

    folder: RunFolder
    config: AgentConfig
    variants: tuple[Variant, ...]
    resumed: bool = False

    @classmethod
    def fresh(cls, folder: RunFolder, config: AgentConfig, variants: Sequence[Variant]) -> "Group":
        """A group that begins; ConfigError where a setting does not fit or one of the runs exists."""
        group = cls(folder, config, tuple(variants))
        for variant in variants:
            group.configuration(variant)
        for single in (folder, *(group.child(variant) for variant in variants)):
            single.check_free()
        return group

    @classmethod
    def stored(cls, folder: RunFolder, config: AgentConfig) -> "Group":
        """A group that goes on; ConfigError where it has finished, or the options would make another of it."""
        group = cls(folder, config, tuple(Variant(*pair) for pair in runs.group_variants(folder)), resumed=True)
        same_run(runs.read_group(folder), config, folder.name)
        if folder.note().get("status") == "FINISHED" and not group.unfinished():
            what = "seeds" if group.of_seeds else "runs"
            raise ConfigError(
                f"all {what} of {folder.name} have finished their {config.training.steps:,} steps: "
                "give more with --steps"
            )
        return group

    @property
    def of_seeds(self) -> bool:
        return only_seeds(self.variants)

    @property
    def chosen_among(self) -> bool:
        """Whether `evaluate --select` can choose among the runs."""
        return not self.of_seeds and feed_entry(self.config.feed_name).valued is not None

    def child(self, variant: Variant) -> RunFolder:
        return runs.child_folder(self.folder, variant.label)

    def configuration(self, variant: Variant) -> AgentConfig:
        single = changed(self.config, variant, self.child(variant).name)
        if single.training.test is not None or not self.chosen_among:
            return single
        return single.model_copy(update={"training": single.training.model_copy(update={"test": "never"})})

    def unfinished(self) -> list[Variant]:
        """Those without a result, or with one of fewer steps than are asked for now."""
        return [variant for variant in self.variants if not self._finished(variant)]

    def session(self, variant: Variant, console: Console, stop: StopSignal, parent: str | None) -> Session:
        """Goes on from the child's checkpoint; a child without one starts, whether or not it had begun."""
        child = self.child(variant)
        saved = self.resumed and child.saved_any
        single = self.configuration(variant)
        return Session(single, child, console, stop, parent=parent, resumed=saved, begun=self.resumed)

    def _finished(self, variant: Variant) -> bool:
        child = self.child(variant)
        if child.note().get("status") != "FINISHED":
            return False
        steps: Any = child.read_config()["training"]["steps"]
        return bool(steps >= self.configuration(variant).training.steps)


def train_group(group: Group, console: Console, stop: StopSignal) -> list[RunResult]:
    """Trains every run that has no result yet, and ends the parent with what all of them say."""
    with group.folder.lock():
        runs.write_group(group.folder, group.config.to_dict(), group.variants)
        info = run_info(group.config, group.folder.name, seed=None, resume=group.resumed)
        parent = open_tracker(group.config.tracking, info, group.folder.path)
        results: list[RunResult] = []
        status: Status = "FAILED"
        try:
            for variant in group.unfinished():
                results.append(group.session(variant, console, stop, parent.reference).run())
                if stop.caught:
                    break
            status = "KILLED" if group.unfinished() else "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            children = [group.child(variant).path for variant in group.variants]
            lines = finish_parent(parent, children, status, mean=group.of_seeds)
            group.folder.note(status=status)
    if left := group.unfinished():
        what = "seeds" if group.of_seeds else "runs"
        named = (variant.label.removeprefix("seed-") if group.of_seeds else variant.label for variant in left)
        told = f"{what} without a result: {', '.join(named)}; go on with all of them: "
        lines = (*lines, f"{told}angle-domains train --resume {group.folder.name}")
    elif closed := [child.name for child in map(group.child, group.variants) if not openings(child)]:
        lines = (*lines, f"the test part is closed for {', '.join(closed)}")
        choose = f"angle-domains evaluate {group.folder.name} --select"
        lines = (
            (*lines, f"validation patients choose one, for which it opens: {choose}") if group.chosen_among else lines
        )
    return [*results, RunResult(group.folder.name, status, stop.exit_code, tuple(lines))]
