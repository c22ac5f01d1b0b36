"""Which process owns a run, and whether it still lives."""

import os
import platform
from dataclasses import astuple, dataclass
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")
_MACHINE = "pid:[4026531836]"  # namespace of whatever runs in no container: the same number on every Linux


@dataclass(frozen=True)
class Owner:
    """A process, told apart from later ones with its number by when it started, and from those of other containers."""

    host: str
    pid: int
    started: str  # clock ticks since boot; empty where the system does not tell
    boot: str
    namespace: str = ""  # within which the number counts; empty where the system, or who wrote it, does not tell

    @classmethod
    def current(cls) -> "Owner":
        return cls(platform.node(), os.getpid(), _started(os.getpid()), _boot(), _namespace())

    @classmethod
    def parse(cls, text: str) -> "Owner | None":
        """The owner that `str` wrote, now or when it named no namespace; None where the text is something else."""
        host, *rest = text.split("|")
        if len(rest) not in (3, 4) or not rest[0].isdigit():
            return None
        return cls(host, int(rest[0]), *rest[1:])

    def __str__(self) -> str:
        return "|".join(str(part) for part in astuple(self))

    def dead(self) -> bool:
        """True where the process is gone for sure: one of another host or container is none of our business.

        Containers may share a host name, and each counts its processes by itself: the same number is another process
        there, or none. An owner that names no namespace on a system that has them may be such a one.
        """
        if self.host != platform.node() or self.namespace != _namespace():
            return False
        if self.boot != _boot():
            return self.namespace in (_MACHINE, "")  # of containers, two machines may give out one number
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


def _namespace() -> str:
    try:
        return os.readlink(_NAMESPACE)
    except OSError:
        return ""
