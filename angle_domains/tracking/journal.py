"""The journal of a run: every line is written to `tracking.jsonl` before it is sent.

It is the queue between the training loop and the thread that writes to the store: memory stays flat while a server is
away, a killed process loses nothing, and whoever comes next sends the rest. `tracking.json` beside it holds where the
lines go and how many bytes have arrived there.
"""

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from angle_domains.errors import ConfigError
from angle_domains.tracking.owner import Owner

LINES, STATE = "tracking.jsonl", "tracking.json"
_DEPTHS = (f"*/{STATE}", f"*/*/{STATE}")  # below the folder of runs

_logger = logging.getLogger(__name__)


@dataclass
class Delivery:
    """Where the lines of a journal go, and how far they came."""

    key: str  # names the run before the store has given it an id
    uri: str
    experiment: str
    owner: str
    parent: bool = False  # of several seeds
    run_id: str | None = None
    experiment_id: str | None = None
    model_id: str | None = None  # of a policy that is only half sent
    sent: int = 0  # bytes
    closed: bool = False  # the end of the run has arrived too


@dataclass(frozen=True)
class Line:
    entry: dict[str, Any]
    end: int  # byte after it


class Journal:
    """One run's lines, held by one process: the kernel lets go of the lock when that process dies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()  # the current folder may change under a run
        self.path, self._state_path = self.folder / LINES, self.folder / STATE
        self.lost = 0  # lines the disk refused
        self._file = -1
        self._clock = 0
        self._torn = False  # the last line has no end

    @property
    def exists(self) -> bool:
        return self._state_path.is_file()

    def open(self) -> None:
        """Takes the journal; ConfigError where another process has it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            known = self.peek() if self.exists else None
            owner = Owner.parse(known.owner) if known else None
            holder = f"process {owner.pid} on {owner.host}" if owner else "another process"
            raise ConfigError(f"the run in {self.folder} is held by {holder}") from None
        for draft in self.folder.glob(f"{self._state_path.stem}.*.tmp"):  # of a process that was killed
            draft.unlink(missing_ok=True)
        self._cut_torn_line()
        self._clock = max((line.entry["t"] for line in self.lines()), default=0)  # of the process before, too

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def born(self) -> int:
        """Milliseconds of the first line."""
        first = next(self.lines(), None) if self.path.is_file() else None
        return first.entry["t"] if first else 0

    @property
    def size(self) -> int:
        """Bytes; none where somebody removed the folder under a run."""
        return self.path.stat().st_size if self.path.exists() else 0

    def arrived(self, delivery: Delivery) -> bool:
        """Whether all lines have reached the store, the end of the run among them."""
        return delivery.sent >= self.size and delivery.closed

    def append(self, operation: str, **content: Any) -> None:
        """One more line, on the disk when this returns. A full disk costs the line, never the training."""
        self._clock = max(self._clock, time.time_ns() // 1_000_000)  # a clock set back leaves the order alone
        text = json.dumps({"op": operation, "t": self._clock, **content}, default=str) + "\n"
        data = b"\n" * self._torn + text.encode()
        try:
            self._torn = os.write(self._file, data) < len(data)
            problem = "the disk is full" if self._torn else ""
        except OSError as error:
            problem = str(error)
        self.lost += bool(problem)
        if problem and self.lost == 1:
            _logger.warning("%s cannot be written (%s): metrics are being lost", self.path, problem)

    def lines(self, start: int = 0, limit: int | None = None) -> Iterator[Line]:
        """The whole lines from a byte on, `limit` bytes of them at most (but one at least)."""
        end = start
        with self.path.open("rb") as file:
            file.seek(start)
            for text in file:
                if not text.endswith(b"\n") or (limit and end > start and end + len(text) - start > limit):
                    return
                end += len(text)
                try:
                    yield Line(json.loads(text), end)
                except ValueError:  # empty, or the disk was full in the middle of it
                    yield Line({"op": "torn", "t": 0}, end)

    def points(self) -> Iterator[tuple[int, int, dict[str, float]]]:
        """Step, time in milliseconds and metrics of every metric line."""
        for line in self.lines():
            if line.entry["op"] == "metrics":
                yield line.entry["step"], line.entry["t"], line.entry["values"]

    def load(self) -> Delivery:
        """The state; ConfigError where its file is missing or damaged."""
        try:
            return Delivery(**json.loads(self._state_path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(
                f"{self._state_path} is damaged ({error}): remove it, and the run is sent anew as another one"
            ) from error

    def peek(self) -> Delivery | None:
        """The state; None, and a warning, where it is damaged: one bad run must not keep the others."""
        try:
            return self.load()
        except ConfigError as error:
            _logger.warning("passed over: %s", error)
            return None

    def store(self, delivery: Delivery) -> None:
        """Writes the state in one atomic step, for the owner's eyes alone: the URI may hold a password."""
        draft = self._state_path.with_suffix(f".{os.getpid()}.tmp")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(json.dumps(asdict(delivery), indent=1))
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, self._state_path)

    def _cut_torn_line(self) -> None:
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.ftruncate(self._file, whole)


def journals(runs: Path) -> list[Journal]:
    """The journals below a folder of runs, oldest first: parents stand before their children."""
    found = [Journal(path.parent) for pattern in _DEPTHS for path in runs.glob(pattern)]
    return sorted(found, key=Journal.born)


def read_points(folder: Path) -> dict[str, dict[int, float]]:
    """Key -> step -> value of everything that the run in this folder logged, whether or not it was sent.

    Of values at one step the newest stands.
    """
    found: dict[str, dict[int, float]] = {}
    journal = Journal(folder)
    if journal.path.is_file():
        for step, _, values in journal.points():
            for key, value in values.items():
                found.setdefault(key, {})[step] = value
    return found


def read_key(folder: Path) -> str | None:
    """What names the run in this folder before a store has given it an id; None where it is not tracked."""
    journal = Journal(folder)
    known = journal.peek() if journal.exists else None
    return known.key if known else None
