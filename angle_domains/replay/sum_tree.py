"""Sums over groups of leaves, for drawing leaves in proportion to what they weigh.

A wide tree: nodes have 32 children, the root up to 1,024, so that a million leaves lie two levels below the root, and
a batch goes down or up a level in a few array operations.
"""

import numpy as np
import torch

from angle_domains.replay.storage import Floats, Ints

_CHILDREN, _OF_ROOT = 32, 1_024


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
        self._over_root, self._below = _Sums(self._root), _Below(0)

    @property
    def total(self) -> float:
        return float(self._root.cumsum()[-1])

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

        Never one of weight 0, unless all are.
        """
        if len(self._below.start) != len(share):
            self._below = _Below(len(share))
        below, astray = self._below, 0
        sought = share * self._over_root.sum()
        found = self._over_root.find(sought)
        for level in reversed(self._levels):
            level.take(found, 0, below.children, "clip")  # any other mode writes to a copy first
            below.sums.sum()
            sought += below.left
            child = below.sums.find(sought) - below.start
            astray |= int(np.bitwise_or.reduce(child))
            found = found * _CHILDREN + child
        return found if 0 <= astray < _CHILDREN else self._find_apart(share)

    def _find_apart(self, share: Floats) -> Ints:
        """Goes down from each node apart: where a sum is lost in rounding beside a much larger one before it."""
        each, sought = np.arange(len(share)), share * self._over_root.sum()
        found = self._over_root.find(sought)
        for level in reversed(self._levels):
            upto = level[found].cumsum(1)
            sought = np.minimum(sought, upto[:, -1])  # sums of one level round otherwise than the level above
            child = (upto >= sought[:, None]).argmax(1)
            sought -= np.where(child > 0, upto[each, child - 1], 0.0)
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


class _Sums:
    """From the left over weights that stay where they are; by torch, in half of NumPy's time."""

    def __init__(self, weights: Floats) -> None:
        self.left = np.zeros(weights.size + 1)  # of each weight the sum of those before it; at the end that of all
        self._upto = self.left[1:]
        self._tensors = torch.from_numpy(weights.reshape(-1)), torch.from_numpy(self._upto)

    def sum(self) -> float:
        weights, upto = self._tensors
        torch.cumsum(weights, 0, out=upto)
        return float(self.left[-1])

    def find(self, sought: Floats) -> Ints:
        """Where the sums reach what is `sought`, of which they take what lies before."""
        found = self._upto.searchsorted(sought)
        sought -= self.left.take(found)
        return found


class _Below:
    """Room for the children of some nodes side by side, over which the sums run on: so one search finds all."""

    def __init__(self, nodes: int) -> None:
        self.children = np.zeros((nodes, _CHILDREN))
        self.sums = _Sums(self.children)
        self.start = np.arange(nodes) * _CHILDREN
        self.left = self.sums.left[:-1:_CHILDREN]  # the same memory: of each node the sum of those before it
