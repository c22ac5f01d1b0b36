"""Sums over groups of leaves, for drawing leaves in proportion to what they weigh.

A wide tree: each node has 32 children, so that a million leaves are four levels, and a batch goes down or up a level
in a few array operations.
"""

from typing import Any

import numpy as np
import torch

_CHILDREN = 32

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]


class SumTree:
    """`size` leaves of weight 0 or more, at first 0."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._levels: list[Floats] = []  # leaves first; each [groups, _CHILDREN]
        groups = size
        while groups > 1 or not self._levels:
            groups = -(-groups // _CHILDREN)
            self._levels.append(np.zeros((groups, _CHILDREN)))

    @property
    def total(self) -> float:
        return float(np.add.reduce(self._levels[-1][0]))

    @property
    def leaves(self) -> Floats:
        """`[size]`, a view to read."""
        return self._levels[0].reshape(-1)[: self.size]

    def write(self, at: Ints, weight: Floats | float) -> None:
        """Sets the leaves `at` `[B]`; sums are taken anew, not shifted by differences, so errors never build up."""
        self._levels[0].reshape(-1)[at] = weight
        for lower, upper in zip(self._levels, self._levels[1:], strict=False):
            at = at // _CHILDREN
            upper.reshape(-1)[at] = np.add.reduce(lower.take(at, 0), 1)

    def write_range(self, start: int, stop: int, weight: Floats | float) -> None:
        """Sets the leaves from `start` up to, not including, `stop`."""
        self._levels[0].reshape(-1)[start:stop] = weight
        for lower, upper in zip(self._levels, self._levels[1:], strict=False):
            start, stop = start // _CHILDREN, (stop - 1) // _CHILDREN + 1
            upper.reshape(-1)[start:stop] = np.add.reduce(lower[start:stop], 1)

    def find(self, sought: Floats) -> Ints:
        """For each `[B]` in (0, total] the leaf at which the sum from the left reaches it: never one of weight 0."""
        group = np.zeros(len(sought), np.int64)
        each = np.arange(len(sought))
        into = torch.zeros(len(sought), _CHILDREN + 1, dtype=torch.float64)
        sums = into.numpy()  # column 0 stays 0: nothing lies left of the first child
        upto = sums[:, 1:]
        for level in reversed(self._levels):
            torch.cumsum(torch.from_numpy(level.take(group, 0)), 1, out=into[:, 1:])  # a third of NumPy's time
            sought = np.minimum(sought, upto[:, -1])  # sums of one level round otherwise than the level above
            child = (upto >= sought[:, None]).argmax(1)
            sought = sought - sums[each, child]
            group = group * _CHILDREN + child
        return group

    def check_valid(self) -> None:
        """Raises AssertionError where a sum is not that of its leaves, to the bit, or a weight is no weight."""
        assert np.isfinite(self._levels[0]).all()
        assert (self._levels[0] >= 0).all()
        assert not self._levels[0].reshape(-1)[self.size :].any(), "leaves beyond the size weigh nothing"
        for lower, upper in zip(self._levels, self._levels[1:], strict=False):
            sums = np.add.reduce(lower, 1)
            assert np.array_equal(sums, upper.reshape(-1)[: len(sums)])
            assert not upper.reshape(-1)[len(sums) :].any()
