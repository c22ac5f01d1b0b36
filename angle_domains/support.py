"""Which actions a log holds where, counted."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_GOLDEN, _FIRST, _SECOND = (n - (1 << 64) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


class Support:
    """How often each action was taken at each observation of a log, found again by the observation's bits.

    Counts mean something where observations come back: states that are numbered, or few. They are found by a hash of
    64 bits, so that two observations of a million are mistaken for one another once in many million logs.
    """

    def __init__(self, actions: int, device: str | torch.device = "cpu") -> None:
        self.keys = torch.zeros(0, dtype=torch.int64, device=device)  # sorted
        self.counts = torch.zeros(0, actions, device=device)

    def count(self, obs: Float[Tensor, "n d"], action: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
        """Takes a whole log, in place of what was counted before; gives the place of each observation in `counts`.

        An action of -1 is none: of a row in which nothing was decided.
        """
        keys, place = _hash(obs).unique(return_inverse=True)
        counts = torch.zeros(len(keys), self.counts.shape[1], device=obs.device)
        taken = (action >= 0).to(torch.float32)
        counts.index_put_((place, action.clamp(min=0)), taken, accumulate=True)
        self.keys, self.counts = keys, counts
        return place

    def __call__(self, obs: Float[Tensor, "b d"]) -> Float[Tensor, "b n"]:
        """Counts of observations; zeros for those that the log never held."""
        return at(self.counts, self.find(obs))

    def find(self, obs: Float[Tensor, "b d"]) -> Int[Tensor, " b"]:
        """The place of observations in `counts`; -1 of those that the log never held."""
        key = _hash(obs)
        if not len(self.keys):
            return torch.full_like(key, -1)
        place = torch.searchsorted(self.keys, key).clamp(max=len(self.keys) - 1)
        return torch.where(self.keys[place] == key, place, -1)

    def state_dict(self) -> dict[str, Any]:
        return {"keys": self.keys, "counts": self.counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.keys, self.counts = (state[name].to(self.keys.device) for name in ("keys", "counts"))


def at(table: Float[Tensor, "s n"], place: Int[Tensor, " b"]) -> Float[Tensor, "b n"]:
    """Rows of a table; zeros where the place is -1."""
    if not len(table):
        return table.new_zeros(len(place), table.shape[1])
    return torch.where((place >= 0).unsqueeze(-1), table[place.clamp(min=0)], 0.0)


def or_best(inside: Bool[Tensor, "b n"], score: Float[Tensor, "b n"]) -> Bool[Tensor, "b n"]:
    """Which actions are supported; where none is, the one of the highest score."""
    best = torch.nn.functional.one_hot(score.argmax(-1), score.shape[-1]) > 0
    return inside | (best & ~inside.any(-1, keepdim=True))


def _hash(obs: Float[Tensor, "b d"]) -> Int[Tensor, " b"]:
    """Of the bits of float32 numbers, each stirred with its column (splitmix64) and summed; 0 and -0 are one number."""
    bits = (obs.to(torch.float32) + 0.0).contiguous().view(torch.int32).to(torch.int64)
    stirred = bits + _GOLDEN * torch.arange(1, bits.shape[-1] + 1, device=obs.device)
    for factor, shift in ((_FIRST, 30), (_SECOND, 27)):
        stirred = (stirred ^ _right(stirred, shift)) * factor
    return (stirred ^ _right(stirred, 31)).sum(-1)


def _right(bits: Int[Tensor, "b d"], shift: int) -> Int[Tensor, "b d"]:
    """Shifted as if there were no sign."""
    return (bits >> shift) & ((1 << (64 - shift)) - 1)
