"""A differentiable neural dictionary: keys, values, and what the nearest keys say of another.

Pritzel, Uria, Srinivasan, Puigdomènech, Vinyals, Hassabis, Wierstra and Blundell (2017), "Neural Episodic Control",
arXiv:1703.01988, section 3.1.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from angle_domains.memory.config import DictionaryConfig
from angle_domains.memory.entries import Entries
from angle_domains.memory.index import make_index
from angle_domains.memory.kernel import squared_distance

_SPARE = 16  # candidates beyond those asked for, since their distances are rounded before they are measured
_DECAY, _EPSILON = 0.99, 1e-8  # of the running mean of squared gradients, and what is added to it


class Neighbours(NamedTuple):
    row: Int[Tensor, "q k"]
    counted: Bool[Tensor, "q k"]  # False where there are fewer: the row means nothing


class Dictionary:
    """Of one action. What was longest neither written nor retrieved makes room for what is new."""

    def __init__(self, config: DictionaryConfig, width: int, device: torch.device) -> None:
        self.config, self.device = config, device
        self.entries, self.index = Entries(width, config.capacity, device), make_index(config)
        self.clock = 0  # rows written and refreshments so far

    def __len__(self) -> int:
        return self.entries.size

    @torch.no_grad()
    def find(self, query: Float[Tensor, "q d"], *, skip: Int[Tensor, " q"] | None = None) -> Neighbours:
        """The nearest entries of each query; with `skip` without the one that the decision of that number wrote."""
        count = self.config.neighbours
        if not len(self) or not len(query):
            row = torch.zeros(len(query), count, dtype=torch.int64, device=self.device)
            return Neighbours(row, torch.zeros_like(row, dtype=torch.bool))
        row = self.index.find(self.entries, query, count + _SPARE)
        some = row.clamp(min=0)
        left_out = row < 0 if skip is None else (row < 0) | (self.entries.serial[some] == skip.unsqueeze(-1))
        square = squared_distance(query, self.entries.keys_of(some)).masked_fill(left_out, torch.inf)
        square, order = square.topk(min(count, square.shape[1]), largest=False, sorted=False)
        row, counted = row.gather(1, order).clamp(min=0), square.isfinite()
        missing = count - row.shape[1]
        return Neighbours(*(torch.nn.functional.pad(part, (0, missing)) for part in (row, counted)))

    def refresh(self, found: Neighbours) -> None:
        """Entries that were retrieved are not the next to go; ConfigError where the index cannot be written."""
        self.index.check_installed()
        self.clock += 1
        self.entries.used[found.row[found.counted]] = self.clock

    @torch.no_grad()
    def write(self, key: Float[Tensor, "n d"], value: Float[Tensor, " n"], serial: Int[Tensor, " n"]) -> None:
        """Appends entries. A key that is there already moves its value: Q <- Q + alpha (value - Q) (eq. 4).

        So does a key that comes more than once, in the order given: its first value is taken as it is. `serial` are
        the numbers of the decisions; an entry bears that of the last one that wrote it.
        """
        if not len(key):
            return
        for part in zip(*(column.split(self.config.capacity) for column in (key, value, serial)), strict=True):
            self._write(*part)

    def move(self, row: Int[Tensor, " n"], key: Float[Tensor, "n d"], value: Float[Tensor, " n"]) -> None:
        """A step down the gradients of keys and values; those of a row that comes twice are summed.

        By RMSProp, as the paper trains, with one running mean for the key of an entry and one for its value: so an
        entry holds two numbers more, not twice itself. The first gradient of an entry is its mean.
        """
        if not len(row):
            return
        row, place = row.unique(return_inverse=True)
        key = key.new_zeros(len(row), key.shape[1]).index_add_(0, place, key)
        value = value.new_zeros(len(row)).index_add_(0, place, value)
        entries = self.entries
        if self.config.value_rate:
            scale = _scale(entries.value_square, row, value.square())
            entries.value[row] -= self.config.value_rate * value * scale
        if self.config.key_rate:
            scale = _scale(entries.key_square, row, key.square().mean(-1))
            step = self.config.key_rate * key * scale.unsqueeze(-1)
            entries.put_keys(row, entries.key[row] - step)
            self.index.moved(entries, row, step.square().sum(-1).sqrt())

    def state_dict(self) -> dict[str, Any]:
        return {"entries": self.entries.state_dict(), "index": self.index.state_dict(self.entries), "clock": self.clock}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where its keys have another width or there are too many."""
        self.entries.load_state_dict(state["entries"])
        self.index.load_state_dict(state["index"], self.entries)
        self.clock = state["clock"]

    def check_valid(self) -> None:
        """Raises AssertionError where its parts contradict one another."""
        self.entries.check_valid()
        self.index.check_valid(self.entries)
        used = self.entries.used[: len(self)]
        assert not len(used) or (int(used.min()) >= 1 and int(used.max()) <= self.clock)

    def _write(self, key: Tensor, value: Tensor, serial: Tensor) -> None:
        """Entries of which no more are new than there is room in all."""
        used = self.clock + 1 + torch.arange(len(key), device=self.device)
        self.clock += len(key)
        key, place, count = key.unique(dim=0, return_inverse=True, return_counts=True)
        row = self.entries.match(key)
        new = row < 0
        self.entries.used[row[~new]] = self.clock  # none of them makes room
        row[new] = self._room(int(new.sum()))
        left = (1.0 - self.config.alpha) ** _later(place, count)  # of each value, what later ones leave of it
        first = _earlier(place, count) == 0
        share = torch.where(first & new[place], left, self.config.alpha * left)
        added = torch.zeros(len(key), device=self.device).index_add_(0, place, share * value)
        kept = torch.where(new, 0.0, (1.0 - self.config.alpha) ** count) * self.entries.value[row]
        self.entries.value[row] = kept + added
        last = _later(place, count) == 0
        self.entries.serial[row[place[last]]], self.entries.used[row[place[last]]] = serial[last], used[last]
        self._begin(row[new], key[new])

    def _begin(self, row: Tensor, key: Tensor) -> None:
        """New entries, without a history."""
        self.entries.put_keys(row, key)
        self.entries.key_square[row] = self.entries.value_square[row] = 0.0
        self.index.written(self.entries, row)

    def _room(self, count: int) -> Int[Tensor, " n"]:
        """Rows for so many new entries: free ones, then those that were used longest ago."""
        free = min(count, self.config.capacity - len(self))
        oldest = self.entries.used[: len(self)].topk(count - free, largest=False).indices
        return torch.cat([self.entries.extend(free), oldest])


def _scale(mean: Tensor, row: Tensor, square: Tensor) -> Tensor:
    """What the gradients of these rows are multiplied by; their running means move on."""
    before = mean[row]
    mean[row] = now = torch.where(before > 0, torch.lerp(square, before, _DECAY), square)
    return (now + _EPSILON).rsqrt()


def _earlier(place: Tensor, count: Tensor) -> Tensor:
    """For each element the number of those before it that belong to the same place; `count` belong to each."""
    order = place.argsort(stable=True)
    start = count.cumsum(0) - count
    rank = torch.empty_like(place)
    rank[order] = torch.arange(len(place), device=place.device) - start[place[order]]
    return rank


def _later(place: Tensor, count: Tensor) -> Tensor:
    return count[place] - 1 - _earlier(place, count)
