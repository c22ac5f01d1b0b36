"""Where arrays live and the few operations for which NumPy and torch have different names."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import array_api_compat.numpy
import numpy as np

from feeds.errors import FeedError, nearest

Array = Any

DEVICES = ("cpu", "torch", "cuda")


@dataclass(frozen=True)
class Backend:
    """One array library on one device, resolved once when a feed is built."""

    name: str  # "cpu": NumPy, "torch": torch on the CPU, "cuda": torch
    xp: Any  # the array namespace
    rows: Callable[[Array, Array], Array]  # table [T, ...], index [B] -> [B, ...]
    row_sum: Callable[[Array], Array]  # [B, N] -> [B]; a row's sum does not depend on how many rows there are
    count: Callable[[Array], Any]  # how many entries are true
    copy: Callable[[Array], Array]
    put: Callable[[Any], Array]  # values as an array of this library, shared where they are one already
    to_float: Callable[[Array], Array]  # a float64 copy
    device: Any = None

    def sized(self, width: int) -> "Backend":
        """The same for rows of that width alone, whose sums then take a third less time for a single row."""
        return replace(self, row_sum=partial(np.vecdot, np.ones(width))) if self.name == "cpu" else self

    def zeros(self, *shape: int, dtype: str = "float64") -> Array:
        return self.xp.zeros(shape, dtype=getattr(self.xp, dtype), device=self.device)


def backend(name: str) -> Backend:
    """The backend called "cpu", "torch" or "cuda"; FeedError for any other name, or where there is no such device."""
    if name == "cpu":
        return Backend(
            name=name,
            xp=array_api_compat.numpy,
            rows=lambda table, index: table.take(index, 0),
            # one scalar product a row: a matrix product rounds differently for other numbers of rows or threads
            row_sum=lambda values: np.vecdot(values, _ones(values.shape[1])),
            count=np.count_nonzero,
            copy=np.ndarray.copy,
            put=np.asarray,
            to_float=lambda array: array.astype(np.float64),
            device="cpu",
        )
    if name not in DEVICES:
        raise FeedError(f"feeds compute on 'cpu', 'torch' or 'cuda', not on '{name}': {nearest(name, DEVICES)}")
    return _torch_backend(name)


def _torch_backend(name: str) -> Backend:
    import torch
    from array_api_compat import torch as xp

    if name == "cuda" and not torch.cuda.is_available():
        raise FeedError("device 'cuda' was asked for, but torch sees no GPU here: use 'cpu'")
    device = torch.device("cuda" if name == "cuda" else "cpu")
    return Backend(
        name=name,
        xp=xp,
        rows=lambda table, index: table.index_select(0, index),
        row_sum=lambda values: values.sum(1),
        count=torch.count_nonzero,
        copy=torch.clone,
        put=partial(torch.as_tensor, device=device),
        to_float=lambda array: array.to(torch.float64, copy=True),
        device=device,
    )


def to_numpy(array: Array) -> np.ndarray:
    """The array on the CPU, as NumPy."""
    return array if isinstance(array, np.ndarray) else array.detach().cpu().numpy()


@cache
def _ones(length: int) -> np.ndarray:
    return np.ones(length)
