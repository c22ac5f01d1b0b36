"""Where rows lie: in memory, on the device that computes, or in a file that is mapped into memory."""

import logging
import math
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from angle_domains.errors import ConfigError

Storage = Literal["auto", "memory", "disk", "device"]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]


_SHARE = 0.75  # of the memory that is free which one column of rows may take
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")  # what the container is told, in its second version
_logger = logging.getLogger(__name__)


def free_memory() -> float:
    """Bytes that this process may still take: of the machine, and of the container that it may be in; infinity where
    the system does not tell."""
    lines = _MEMINFO.read_text().splitlines() if _MEMINFO.is_file() else []
    told = [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    limit = _CGROUP / "memory.max"
    if limit.is_file() and (most := limit.read_text().strip()).isdecimal():
        given_back = re.search(r"^inactive_file (\d+)", (_CGROUP / "memory.stat").read_text(), re.MULTILINE)
        used = int((_CGROUP / "memory.current").read_text()) - int(given_back[1] if given_back else 0)
        told.append(int(most) - used)
    return float(min(told, default=math.inf))


def fits(shape: tuple[int, ...], dtype: torch.dtype) -> bool:
    """Whether rows of that shape find room in memory; a warning where they do not."""
    size, free = torch.empty(0, dtype=dtype).element_size() * math.prod(shape), free_memory()
    if size <= _SHARE * free:
        return True
    _logger.warning(
        "the replay takes %.1f GB, of memory %.1f GB are free: it is kept in a file, which is slower",
        size / 1e9,
        free / 1e9,
    )
    return False


def allocate(shape: tuple[int, ...], dtype: torch.dtype, *, device: str, folder: Path | None) -> Tensor:
    """Zeros; with a folder in a file there. The file has no name, so it is gone however the process ends.

    ConfigError where the disk has not enough space: it is taken at once, so that none is missing later.
    """
    if folder is None and torch.device(device).type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    size = torch.empty(0, dtype=dtype).element_size() * math.prod(shape)
    if folder is None:
        return torch.from_numpy(np.zeros(size, np.uint8)).view(dtype).view(shape)  # NumPy asks for large pages
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)
            mapped = np.memmap(file, np.uint8, "r+", shape=(size,))  # outlives the open file
    except OSError as error:
        raise ConfigError(
            f"the replay found no {size / 1e9:.1f} GB on the disk in {folder}: {error.strerror}; "
            "lower agent.replay.capacity or free space"
        ) from error
    return torch.from_numpy(mapped).view(dtype).view(shape)


def ring_slices(start: int, stop: int, rows: int) -> Iterator[tuple[slice, slice]]:
    """Ticks from `start` to `stop`, at most `rows`, as slices counted from `start` and as slots side by side."""
    tick = start
    while tick < stop:
        slot = tick % rows
        count = min(stop - tick, rows - slot)
        yield slice(tick - start, tick - start + count), slice(slot, slot + count)
        tick += count
