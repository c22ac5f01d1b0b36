"""Where rows lie: in memory, on the device that computes, or in a file that is mapped into memory."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from angle_domains.errors import ConfigError

Storage = Literal["memory", "disk", "device"]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]


def allocate(shape: tuple[int, ...], dtype: torch.dtype, *, device: str, folder: Path | None) -> Tensor:
    """Zeros; with a folder in a file there. The file has no name, so it is gone however the process ends.

    ConfigError where the disk has not enough space: it is taken at once, so that none is missing later.
    """
    if folder is None and torch.device(device).type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    size = torch.empty(0, dtype=dtype).element_size() * int(np.prod(shape))
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
