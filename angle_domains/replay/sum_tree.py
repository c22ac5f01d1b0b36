"""Sums over groups of leaves, for drawing leaves in proportion to what they weigh.

A wide tree: nodes have 32 children, the root up to 1,024, so that a million leaves lie two levels below the root, and
a batch goes down or up a level in a few array operations.
"""

from typing import Any

import numpy as np
import torch

_CHILDREN, _OF_ROOT = 32, 1_024

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]


class SumTree:
    """`size` leaves of weight 0 or more, at first 0."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._levels: list[Floats] = []  # leaves first, the root left out; each [groups, _CHILDREN]
        while size > _OF_ROOT:
            size = -(-size // _CHILDREN)
            self._levels.append(np.zeros((size, _CHILDREN)))
        self._root = np.zeros(size)
        self._flat = [*(level.reshape(-1) for level in self._levels), self._root]  # the same memory

    @property
    def total(self) -> float:
        return float(self._root.cumsum()[-1])

    @property
    def empty(self) -> bool:
        """True where every leaf weighs nothing."""
        return not self._root.any()

    @property
    def leaves(self) -> Floats:
        """`[size]`, a view to read."""
        return self._flat[0][: self.size]

    def write(self, at: Ints, weight: Floats | float) -> None:
        """Sets the leaves `at` `[B]`; sums are taken anew, not shifted by differences, so errors never build up."""
        self._flat[0][at] = weight
        for level, upper in zip(self._levels, self._flat[1:], strict=True):
            at = at // _CHILDREN
            upper[at] = np.add.reduce(level.take(at, 0), 1)

    def write_range(self, start: int, stop: int, weight: Floats | float) -> None:
        """Sets the leaves from `start` up to, not including, `stop`."""
        self._flat[0][start:stop] = weight
        for level, upper in zip(self._levels, self._flat[1:], strict=True):
            start, stop = start // _CHILDREN, (stop - 1) // _CHILDREN + 1
            upper[start:stop] = np.add.reduce(level[start:stop], 1)

    def find(self, share: Floats) -> Ints:
        """For each `[B]` in (0, 1] the leaf at which the sum from the left reaches that share of the total.

        Never one of weight 0; the total must not be 0.
        """
        each = np.arange(len(share))
        left = np.zeros(len(self._root) + 1)  # of each child the sum of those before it
        self._root.cumsum(out=left[1:])
        sought = share * left[-1]
        found = left[1:].searchsorted(sought)
        sought -= left[found]
        into = torch.zeros(len(share), _CHILDREN + 1, dtype=torch.float64)
        sums = into[:, 1:]
        lefts, upto = into.numpy(), sums.numpy()
        for level in reversed(self._levels):
            torch.cumsum(torch.from_numpy(level.take(found, 0)), 1, out=sums)  # a third of NumPy's time
            sought = np.minimum(sought, upto[:, -1])  # sums of one level round otherwise than the level above
            child = (upto >= sought[:, None]).argmax(1)
            sought -= lefts[each, child]
            found = found * _CHILDREN + child
        return found

    def check_valid(self) -> None:
        """Raises AssertionError where a sum is not that of its leaves, to the bit, or a weight is no weight."""
        assert np.isfinite(self._flat[0]).all()
        assert (self._flat[0] >= 0).all()
        assert not self._flat[0][self.size :].any(), "leaves beyond the size weigh nothing"
        for level, upper in zip(self._levels, self._flat[1:], strict=True):
            assert np.array_equal(np.add.reduce(level, 1), upper[: len(level)])
            assert not upper[len(level) :].any()
