"""Several seeds as one group: a run for each, under a parent that carries means and intervals over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from angle_domains import runs
from angle_domains.config import AgentConfig
from angle_domains.errors import ConfigError
from angle_domains.runs import RunFolder
from angle_domains.tracking import Status, finish_parent, open_tracker
from angle_domains.training.session import RunResult, Session, run_info, same_run
from angle_domains.training.signals import StopSignal
from angle_domains.training.trainer import Console


@dataclass(frozen=True)
class SeedGroup:
    """The parent's folder, the configuration that all children share, and the seeds in their order.

    The folder keeps both from before the first child begins, so that a group can go on whenever it was killed.
    """

    folder: RunFolder
    config: AgentConfig
    seeds: tuple[int, ...]
    resumed: bool = False

    @classmethod
    def fresh(cls, folder: RunFolder, config: AgentConfig, seeds: Sequence[int]) -> "SeedGroup":
        """A group that begins; ConfigError where a seed stands twice or one of the runs exists."""
        if len(set(seeds)) < len(seeds):
            raise ConfigError(f"--seeds {','.join(map(str, seeds))}: a seed stands twice")
        group = cls(folder, config, tuple(seeds))
        for single in (folder, *(group.child(seed) for seed in seeds)):
            single.check_free()
        return group

    @classmethod
    def stored(cls, folder: RunFolder, config: AgentConfig) -> "SeedGroup":
        """A group that goes on; ConfigError where it has finished, or the options would make another of it."""
        group = cls(folder, config, runs.group_seeds(folder), resumed=True)
        same_run(runs.read_group(folder), config, folder.name)
        if folder.note().get("status") == "FINISHED" and not group.unfinished():
            raise ConfigError(
                f"all seeds of {folder.name} have finished their {config.training.steps:,} steps: "
                "give more with --steps"
            )
        return group

    def child(self, seed: int) -> RunFolder:
        return runs.seed_folder(self.folder, seed)

    def unfinished(self) -> list[int]:
        """Seeds without a result, or with one of fewer steps than are asked for now."""
        return [seed for seed in self.seeds if not self._finished(self.child(seed))]

    def session(self, seed: int, console: Console, stop: StopSignal, parent: str | None) -> Session:
        """Goes on from the child's checkpoint; a child without one starts, whether or not it had begun."""
        child = self.child(seed)
        single = self.config.model_copy(update={"seed": seed, "name": child.name})
        saved = self.resumed and any(child.checkpoints.glob("step-*"))
        return Session(single, child, console, stop, parent=parent, resumed=saved, begun=self.resumed)

    def _finished(self, child: RunFolder) -> bool:
        if child.note().get("status") != "FINISHED":
            return False
        steps: Any = child.read_config()["training"]["steps"]
        return bool(steps >= self.config.training.steps)


def train_group(group: SeedGroup, console: Console, stop: StopSignal) -> list[RunResult]:
    """Trains every seed that has no result yet, and ends the parent with what all of them say."""
    with group.folder.lock():
        runs.write_group(group.folder, group.config.to_dict(), group.seeds)
        info = run_info(group.config, group.folder.name, seed=None, resume=group.resumed)
        parent = open_tracker(group.config.tracking, info, group.folder.path)
        results: list[RunResult] = []
        status: Status = "FAILED"
        try:
            for seed in group.unfinished():
                results.append(group.session(seed, console, stop, parent.reference).run())
                if stop.caught:
                    break
            status = "KILLED" if group.unfinished() else "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            lines = finish_parent(parent, [group.child(seed).path for seed in group.seeds], status)
            group.folder.note(status=status)
    if left := group.unfinished():
        told = f"seeds without a result: {', '.join(map(str, left))}; go on with all of them: "
        lines = (*lines, f"{told}angle-domains train --resume {group.folder.name}")
    return [*results, RunResult(group.folder.name, status, stop.exit_code, tuple(lines))]
