"""What a process asks of the machine before anything heavy is loaded; whatever the user set stays as it is."""

import ctypes
import os
import sys

_SPINS = 10_000  # rounds in which a thread without work looks for some before it sleeps
_TRIM, _MAP = -1, -3  # of malloc.h: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
_KEPT, _MAPPED = 512 << 20, 256 << 20  # bytes
_OLDEST_MAPPED = 32 << 20  # the most that glibc took before 2.35


def settle() -> None:
    """How threads wait, and that memory given back by one update is there for the next.

    Waiting threads that spin for long cost a busy machine most of its speed, those that sleep at once a quiet one a
    third of DQN's. OpenMP libraries other than GNU's know the second name alone.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(_SPINS))
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    if sys.platform == "linux" and not any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        keep_memory()


def keep_memory() -> bool:
    """Asks glibc not to hand tensors of some megabytes back to the system; False where there is no glibc.

    Else every update has its pages mapped and cleared anew: a third of the time of one of 256 images, where it was
    measured.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # as musl
        return False
    mapped = mallopt(_MAP, _MAPPED) or mallopt(_MAP, _OLDEST_MAPPED)
    return bool(mapped and mallopt(_TRIM, _KEPT))
