"""Which process owns a run, and whether it still lives."""

import os
import platform
from dataclasses import astuple, dataclass
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Owner:
    """A process, told apart from later ones with its number by when it started."""

    host: str
    pid: int
    started: str  # clock ticks since boot; empty where the system does not tell
    boot: str

    @classmethod
    def current(cls) -> "Owner":
        return cls(platform.node(), os.getpid(), _started(os.getpid()), _boot())

    @classmethod
    def parse(cls, text: str) -> "Owner | None":
        """The owner that `str` wrote; None where the text is something else."""
        parts = text.split("|")
        if len(parts) != 4 or not parts[1].isdigit():
            return None
        return cls(parts[0], int(parts[1]), parts[2], parts[3])

    def __str__(self) -> str:
        return "|".join(str(part) for part in astuple(self))

    def dead(self) -> bool:
        """True where the process is gone for sure: one of another host is none of our business."""
        if self.host != platform.node():
            return False
        if self.boot != _boot():
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return _started(self.pid) != self.started


def _started(pid: int) -> str:
    """Field 22 of /proc/<pid>/stat; a zombie counts as gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""
