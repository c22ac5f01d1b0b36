"""Draws in proportion to priorities.

Schaul et al. 2016, "Prioritized Experience Replay" (arXiv:1511.05952), the proportional form: P(i) = p_i^alpha / sum,
weights (N P(i))^-beta over the largest of the batch. In that quotient N cancels.

Differs from the paper: a priority of less than 1e-6 counts as that, instead of a constant added to all.
"""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from angle_domains.errors import TrainingError
from angle_domains.replay.config import RecordedConfig, ReplayConfig
from angle_domains.replay.samplers import Draw
from angle_domains.replay.storage import Ints, ring_slices
from angle_domains.replay.sum_tree import SumTree

_SMALLEST = 1e-6


class Prioritised:
    """Rows enter when their window is whole, at the largest priority there ever was.

    It catches up with the replay at each draw: rows that ripened since the last one enter, rows whose place was taken
    leave. All windows must have one length, or rows would leave and come back.
    """

    def __init__(self, rows: int, streams: int, config: ReplayConfig | RecordedConfig) -> None:
        self.rows, self.streams, self.config = rows, streams, config
        self._draws = 0
        self._start = self._stop = 0  # ticks that are in the tree
        self._largest = 1.0  # p^alpha, over all that was ever learned
        self._drawn: Ints | None = None
        self._tree = SumTree(rows * streams)

    @property
    def beta(self) -> float:
        """Exponent of the importance weights now."""
        config = self.config
        if config.beta_steps is None:
            return config.beta
        done = min(1.0, self._draws * config.learn_every / config.beta_steps)
        return config.beta + done * (config.beta_end - config.beta)

    def draw(
        self, oldest: int, newest: int, last: Bool[Tensor, "rows streams"], batch: int, generator: Generator
    ) -> Draw:
        """One start from each of `batch` equal shares of the priorities."""
        self._catch_up(oldest, newest + 1, last)
        chance = torch.rand(batch, generator=generator, dtype=torch.float64).numpy()
        drawn = self._tree.find((np.arange(1, batch + 1) - chance) / batch)
        mass = self._tree.leaves.take(drawn)
        smallest = np.minimum.reduce(mass)
        if smallest == 0.0:
            raise ValueError(f"no action was taken in the {newest + 1 - oldest} ticks that windows could start at")
        weight = (mass / smallest) ** -self.beta
        self._drawn = drawn
        self._draws += 1
        return Draw(drawn, torch.from_numpy(weight.astype(np.float32)))

    def reprioritise(self, priority: Float[Tensor, " b"]) -> None:
        """TrainingError where a priority is no finite number of 0 or more."""
        if self._drawn is None or len(self._drawn) != len(priority):
            raise ValueError(f"{len(priority)} priorities belong to no batch drawn before")
        given = priority.detach().cpu().numpy().astype(np.float64)
        mass = np.maximum(given, _SMALLEST) ** self.config.alpha
        largest = float(np.maximum.reduce(mass))
        if not (math.isfinite(largest) and np.minimum.reduce(given) >= 0):
            raise TrainingError(f"priorities must be finite and not negative, the agent gave {given.tolist()}")
        self._tree.write(self._drawn, mass)
        self._largest = max(self._largest, largest)

    def clear(self) -> None:
        """Forgets all rows; the largest priority and the place of beta stay."""
        self._start = self._stop = 0
        self._drawn = None
        self._tree = SumTree(self.rows * self.streams)

    def state_dict(self) -> dict[str, Any]:
        slots = np.arange(self._start, self._stop) % self.rows
        return {
            "draws": self._draws,
            "largest": self._largest,
            "stop": self._stop,
            "mass": torch.from_numpy(self._tree.leaves.reshape(self.rows, self.streams)[slots]),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.clear()
        if not state:  # of a sampler that draws all alike: all rows enter anew
            return
        mass = state["mass"][-self.rows :].numpy()
        self._draws, self._largest, self._stop = state["draws"], state["largest"], state["stop"]
        self._start = self._stop - len(mass)
        for ticks, slots in ring_slices(self._start, self._stop, self.rows):
            self._set(slots, mass[ticks])

    def check_valid(self, oldest: int, last: Bool[Tensor, "rows streams"]) -> None:
        """Raises AssertionError where the tree contradicts itself or the rows from `oldest` on."""
        self._tree.check_valid()
        drawable = np.zeros((self.rows, self.streams), bool)
        slots = np.arange(max(oldest, self._start), self._stop) % self.rows
        drawable[slots] = ~last.cpu().numpy()[slots]
        weighs = self._tree.leaves.reshape(self.rows, self.streams) > 0
        gone = np.arange(self._start, min(oldest, self._stop)) % self.rows  # they leave at the next draw
        weighs[gone] = False
        assert np.array_equal(weighs, drawable), "exactly the rows at which an action was taken can be drawn"

    def _catch_up(self, oldest: int, stop: int, last: Tensor) -> None:
        if stop < self._stop:
            raise ValueError("windows of a prioritised replay must all have one length")
        for _, slots in ring_slices(self._start, min(oldest, self._stop), self.rows):
            self._set(slots, 0.0)
        for _, slots in ring_slices(max(self._stop, oldest), stop, self.rows):
            self._set(slots, self._largest * (~last[slots]).cpu().numpy())
        self._start, self._stop = oldest, stop

    def _set(self, slots: slice, mass: Any) -> None:
        weight = mass if isinstance(mass, float) else np.asarray(mass, np.float64).reshape(-1)
        self._tree.write_range(slots.start * self.streams, slots.stop * self.streams, weight)
