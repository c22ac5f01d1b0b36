"""The columns of a dictionary, one row an entry, in tensors that grow as it fills."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from angle_domains.errors import CheckpointError

_LEAST = 1_024  # rows of the first tensors
_SAVED = ("key", "value", "norm", "used", "serial", "key_square", "value_square")


class Entries:
    """Rows up to `size` are written. `key` `[room, d]`; of each the others hold one number, `[room]`."""

    def __init__(self, width: int, capacity: int, device: torch.device) -> None:
        self.width, self.capacity, self.device = width, capacity, device
        self.size = 0
        self.key = torch.zeros(0, width, device=device)
        self.value = torch.zeros(0, device=device)
        self.norm = torch.zeros(0, device=device)  # squared length of the key
        self.mark = torch.zeros(0, dtype=torch.int64, device=device)  # of the key's bits: equal keys have equal marks
        self.used = torch.zeros(0, dtype=torch.int64, device=device)  # when it was last written or retrieved
        self.serial = torch.zeros(0, dtype=torch.int64, device=device)  # of the decision that last wrote it
        self.key_square = torch.zeros(0, device=device)  # running mean of its squared gradient, an entry of the key's
        self.value_square = torch.zeros(0, device=device)
        chance = Generator().manual_seed(0)
        self._factors = torch.randint(-(2**62), 2**62, (width,), generator=chance).to(device) * 2 + 1

    def extend(self, count: int) -> Int[Tensor, " n"]:
        """That many new rows, blank; there must be room for them within the capacity."""
        start, self.size = self.size, self.size + count
        assert self.size <= self.capacity, (self.size, self.capacity)
        if self.size > len(self.key):
            room = min(self.capacity, max(_LEAST, 2 * len(self.key), self.size))
            for name in (*_SAVED, "mark"):
                column = getattr(self, name)
                grown = column.new_zeros(room, *column.shape[1:])
                grown[:start] = column[:start]
                setattr(self, name, grown)
        return torch.arange(start, self.size, device=self.device)

    def put_keys(self, row: Int[Tensor, " n"], key: Float[Tensor, "n d"]) -> None:
        """Writes keys, and what is kept of them."""
        self.key[row], self.norm[row], self.mark[row] = key, key.square().sum(-1), self.marks(key)

    def keys_of(self, row: Int[Tensor, "q k"]) -> Float[Tensor, "q k d"]:
        """Copies of the keys of those rows."""
        return self.key.index_select(0, row.flatten()).unflatten(0, row.shape)  # half the time of `key[row]`

    def marks(self, key: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
        """A number of 64 bits for each key; keys that differ hardly ever share one."""
        bits = (key + 0.0).view(torch.int32).to(torch.int64)  # -0.0 becomes 0.0
        return (bits * self._factors).sum(-1)

    def match(self, key: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
        """The row whose key equals each of these, which differ from one another; -1 where none does."""
        found = torch.full((len(key),), -1, dtype=torch.int64, device=self.device)
        if not self.size or not len(key):
            return found
        mark, order = self.marks(key).sort(stable=True)
        held = self.mark[: self.size]
        place = torch.searchsorted(mark, held).clamp(max=len(mark) - 1)
        row = (mark[place] == held).nonzero().squeeze(-1)
        which = order[place[row]]
        same = (key[which] == self.key[row]).all(-1)
        found[which[same]] = row[same]
        return found

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name)[: self.size] for name in _SAVED}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where its keys have another width or there are too many."""
        key = state["key"]
        if key.shape[1] != self.width or len(key) > self.capacity:
            raise CheckpointError(
                f"the checkpoint belongs to another network: its dictionary holds {len(key):,} keys of {key.shape[1]} "
                f"numbers, this one up to {self.capacity:,} of {self.width}"
            )
        self.size = 0
        row = self.extend(len(key))
        for name in _SAVED:
            getattr(self, name)[row] = state[name].to(self.device)
        self.mark[row] = self.marks(self.key[row])

    def check_valid(self) -> None:
        """Raises AssertionError where a column contradicts another."""
        assert 0 <= self.size <= min(self.capacity, len(self.key))
        key = self.key[: self.size]
        assert key.isfinite().all()
        assert self.value[: self.size].isfinite().all()
        torch.testing.assert_close(self.norm[: self.size], key.square().sum(-1))
        assert torch.equal(self.mark[: self.size], self.marks(key))
        assert (self.key_square[: self.size] >= 0).all()
        assert (self.value_square[: self.size] >= 0).all()
