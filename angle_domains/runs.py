"""The folder of a run: `runs/<name>/` with configuration, checkpoints (`last`, `best`), replay, lock and report."""

import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from angle_domains import checkpoint, config_text
from angle_domains.drafts import point, replace, sweep, written
from angle_domains.errors import CheckpointError, ConfigError, nearest
from angle_domains.replay import ReplayBuffer, archive

_GROUP = "group.yaml"  # the configuration that the runs of a group share; in what they differ stands in its run.json
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DIGITS = "[0-9]" * 12  # of the step, in the name of a checkpoint
META = ("step", "agent", "config", "spec", "data")  # what every checkpoint of a run says of itself


def check_name(name: str) -> str:
    """The name itself; ConfigError where it could not be a plain folder name."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise ConfigError(
            f"'{name}' cannot name a run: use up to 100 letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit"
        )
    return name


def fresh_name(root: Path, stem: str) -> str:
    """A name that no folder has yet, from the local time."""
    name = f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    taken = {path.name for path in root.glob(f"{name}*")} if root.is_dir() else set()
    return next(n for n in (name, *(f"{name}-{k}" for k in range(2, 1000))) if n not in taken)


class RunFolder:
    """One run on the disk. `keep` older checkpoints stay, so that a damaged newest one has a predecessor."""

    def __init__(self, path: Path, *, keep: int = 2) -> None:
        self.path, self.keep = path.absolute(), keep
        self.name = path.name
        self.checkpoints, self.replay = self.path / "checkpoints", self.path / "replay"
        self.config, self.report = self.path / "config.yaml", self.path / "report.html"
        self.last, self.best = self.path / "last", self.path / "best"

    @property
    def saved(self) -> list[Path]:
        """Its checkpoints, whole or damaged, oldest first."""
        return sorted(self.checkpoints.glob(f"step-{_DIGITS}"))

    @property
    def saved_any(self) -> bool:
        """Whether a checkpoint was ever written: a link to one that somebody took away tells that, too."""
        return bool(self.saved) or self.last.is_symlink()

    def check_free(self) -> None:
        """ConfigError where a run of that name has begun; one that never trained may begin anew."""
        if self.config.exists() and self.last.exists():
            raise ConfigError(
                f"the run {self.path} exists: choose another --name, or continue it with --resume {self.name}"
            )

    def create(self, config: dict[str, Any]) -> None:
        """Makes the folder and writes the configuration; ConfigError where the run exists."""
        self.check_free()
        with written(self.checkpoints):
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        self.write_config(config)

    def write_config(self, config: dict[str, Any]) -> None:
        replace(self.config, config_text.dump(config))

    def read_config(self) -> dict[str, Any]:
        if not self.config.is_file():
            raise CheckpointError(f"{self.path} is no run: it has no config.yaml")
        loaded = config_text.read(self.config).values
        if not isinstance(loaded, dict):
            raise CheckpointError(f"{self.config} is damaged: it should hold keys and values")
        return loaded

    def note(self, **facts: Any) -> dict[str, Any]:
        """Adds facts (run id, times the test part was opened, …) to `run.json`, atomically; gives all of them."""
        path = self.path / "run.json"
        try:
            known = json.loads(path.read_text()) if path.is_file() else {}
        except ValueError as error:
            raise CheckpointError(f"{path} is damaged: {error}; it can be removed, with what it knows") from error
        if facts:
            known |= facts
            replace(path, json.dumps(known, indent=1))
        return known

    def save(
        self,
        step: int,
        state: dict[str, Any],
        meta: dict[str, Any],
        *,
        best: bool = False,
        replay: ReplayBuffer | None = None,
    ) -> Path:
        """Saves a checkpoint, points `last` (and `best`) to it and drops what is no longer pointed to.

        Of the replay only what is new is written; it is the `replay` of the state that `load_last` gives.
        """
        folder = self._of_step(step)
        if not folder.exists():  # the same step is the same state: training is a function of it
            if replay is not None:
                meta = meta | {"replay": archive.store(self.replay, replay)}
                state = state | {"replay": archive.newest_row(replay)}
            checkpoint.save(folder, state, meta)
        point(self.last, folder)
        if best:
            point(self.best, folder)
        self._drop_old()
        return folder

    def load_last(self) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
        """State and meta of the newest whole checkpoint, and a sentence for each damaged one that was passed over."""
        problems = []
        for folder in reversed(self.saved):
            try:
                state, meta = checkpoint.load(folder, META)
                check_place(folder, meta)
                if "replay" in meta:
                    state["replay"] = archive.load(self.replay, meta["replay"], state["replay"])
            except CheckpointError as error:
                problems.append(str(error))
                continue
            return state, meta, [f"{problem}; the checkpoint before it is used" for problem in problems]
        told = f": {problems[0]}" if problems else ""
        raise CheckpointError(f"the run {self.path} has no whole checkpoint to resume from{told}")

    def last_step(self) -> int:
        """How far the run came: the step its training ended at, or of its newest checkpoint; 0 before any."""
        return max(self.note().get("steps", 0), *map(_step_of, self.saved), 0)

    def discard_after(self, step: int, best: int | None = None) -> None:
        """Removes checkpoints beyond a step, damaged ones that training will write again, and what points to them.

        `best` is the step of the best checkpoint so far: a process may have died before it pointed there.
        CheckpointError, and nothing is removed, where there is no checkpoint of that step.
        """
        if not (newest := self._of_step(step)).is_dir():
            raise CheckpointError(f"the run {self.path} has no checkpoint of step {step:,}: nothing beyond is removed")
        for folder in self.saved:
            if folder.name > newest.name:
                shutil.rmtree(folder)
        point(self.last, newest)
        if best is not None and (folder := self._of_step(best)).exists():
            point(self.best, folder)
        if not self.best.exists():
            self.best.unlink(missing_ok=True)
        self._drop_rows()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the run for this process; the kernel lets go of it when the process dies."""
        with written(path := self.path / "lock"):
            self.path.mkdir(parents=True, exist_ok=True)
            file = path.open("a+")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise ConfigError(f"the run {self.path} is held by process {file.read().strip()}") from None
            with written(path):
                file.truncate(0)
                os.write(file.fileno(), str(os.getpid()).encode())  # at once: closing would try again
            checkpoint.sweep(self.checkpoints)
            sweep(self.last, self.best)
            yield

    def _of_step(self, step: int) -> Path:
        return self.checkpoints / f"step-{step:012d}"

    def _drop_old(self) -> None:
        pointed = {link.resolve() for link in (self.last, self.best) if link.exists()}
        for folder in self.saved[: -self.keep]:
            if folder.resolve() not in pointed:
                shutil.rmtree(folder, ignore_errors=True)
        self._drop_rows()

    def _drop_rows(self) -> None:
        """Removes rows that no checkpoint names; one that cannot be read has none to name."""
        named: set[str] = set()
        for folder in self.saved:
            try:
                named |= {segment["file"] for segment in checkpoint.read_meta(folder).get("replay", [])}
            except CheckpointError:
                continue
        archive.keep(self.replay, named)


def find_run(text: str, root: Path) -> RunFolder:
    """The run of that name, path or tracking id; CheckpointError names the nearest."""
    for path in (Path(text), root / text):
        if (path / "config.yaml").is_file():
            return RunFolder(path)
    if group := find_group(text, root):
        names = (child.name for child in group_children(group))
        raise CheckpointError(f"{group.name} is a group of runs: name one of them, {', '.join(names)}")
    folders = [RunFolder(path.parent) for path in sorted(root.glob("*/config.yaml"))]
    for folder in folders:
        if text and folder.note().get("run_id") == text:
            return folder
    raise CheckpointError(f"no run '{text}' stands in {root.absolute()}: {nearest(text, (f.name for f in folders))}")


def find_group(text: str, root: Path) -> RunFolder | None:
    """The folder of the parent of several runs, by its name or path; None where that is something else."""
    found = (path for path in (Path(text), root / text) if (path / _GROUP).is_file())
    path = next(found, None)
    return None if path is None else RunFolder(path)


def find_config(text: str, root: Path) -> Path:
    """The configuration that a run, or a group of runs, goes on with."""
    group = find_group(text, root)
    return group.path / _GROUP if group else find_run(text, root).config


def write_group(folder: RunFolder, config: dict[str, Any], variants: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Keeps what a group of runs needs to go on: what they share, and label and settings of each."""
    folder.note(variants=[[label, settings] for label, settings in variants], status="RUNNING")
    replace(folder.path / _GROUP, config_text.dump(config))


def read_group(folder: RunFolder) -> dict[str, Any]:
    return dict(config_text.read(folder.path / _GROUP).values)


def group_variants(folder: RunFolder) -> list[tuple[str, dict[str, Any]]]:
    """Label and settings of each run of a group."""
    return [(label, settings) for label, settings in folder.note()["variants"]]


def group_children(folder: RunFolder) -> list[RunFolder]:
    return [child_folder(folder, label) for label, _ in group_variants(folder)]


def child_folder(group: RunFolder, label: str) -> RunFolder:
    """Where one run of a group lies."""
    return RunFolder(group.path.parent / f"{group.name}-{label}")


def check_group_free(folder: RunFolder) -> None:
    """ConfigError where a group of that name has begun to train."""
    if not (folder.path / _GROUP).is_file():
        return
    if any(child.last.exists() for child in group_children(folder)):
        raise ConfigError(
            f"the group {folder.path} exists: choose another --name, or continue it with --resume {folder.name}"
        )


def find_checkpoint(text: str, root: Path) -> Path:
    """The checkpoint that a path or a run (its best, else its last) stands for."""
    path = Path(text)
    if (path / "manifest.json").is_file():
        return path
    if path.name.startswith("best_model"):  # what other projects call the best checkpoint of a run
        text = str(path.parent)
    run = find_run(text, root)
    for link in (run.best, run.last):
        if link.exists():
            return link.resolve()
    raise CheckpointError(f"the run {run.path} has no checkpoint yet")


def check_place(folder: Path, meta: dict[str, Any]) -> None:
    """CheckpointError where a checkpoint that stands in a run's folder is of another run's agent, feed or step."""
    folder = folder.resolve()
    run = RunFolder(folder.parent.parent)
    if folder.parent != run.checkpoints:
        return  # it stands for itself
    _check_step(folder, meta["step"])
    wanted, found = run.read_config() if run.config.is_file() else {}, meta["config"] or {}
    for part in wanted.keys() & found.keys() & {"agent", "feed"}:
        if (own := wanted[part]["name"]) != (told := found[part]["name"]):
            raise CheckpointError(
                f"{folder} belongs to another run: its {part} is '{told}', that of {run.name} '{own}'"
            )


def _step_of(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def _check_step(folder: Path, told: Any) -> None:
    """CheckpointError where a checkpoint says another step than the name of its folder."""
    if told != _step_of(folder):
        raise CheckpointError(f"{folder / 'manifest.json'} is damaged: it says step {told}, its folder another")
