"""Which actions a log holds where, counted."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

_ODD = -7046029254386353131  # of a multiplicative hash: 2^64 over the golden ratio


class Support:
    """How often each action was taken at each observation of a log, found again by the observation's bits.

    Counts mean something where observations come back: states that are numbered, or few. They are found by a hash of
    64 bits, so that two observations of a million are mistaken for one another once in many million logs.
    """

    def __init__(self, actions: int) -> None:
        self.keys = torch.zeros(0, dtype=torch.int64)  # sorted
        self.counts = torch.zeros(0, actions)

    def count(self, obs: Float[Tensor, "n d"], action: Int[Tensor, " n"]) -> None:
        """Takes a whole log, in place of what was counted before."""
        keys, place = _hash(obs).unique(return_inverse=True)
        counts = torch.zeros(len(keys), self.counts.shape[1], device=obs.device)
        counts.index_put_((place, action), torch.ones(len(obs), device=obs.device), accumulate=True)
        self.keys, self.counts = keys, counts

    def __call__(self, obs: Float[Tensor, "b d"]) -> Float[Tensor, "b n"]:
        """Counts of observations; zeros for those that the log never held."""
        if not len(self.keys):
            return torch.zeros(len(obs), self.counts.shape[1], device=obs.device)
        key = _hash(obs)
        place = torch.searchsorted(self.keys, key).clamp(max=len(self.keys) - 1)
        return torch.where((self.keys[place] == key).unsqueeze(-1), self.counts[place], 0.0)

    def state_dict(self) -> dict[str, Any]:
        return {"keys": self.keys, "counts": self.counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.keys, self.counts = (state[name].to(self.keys.device) for name in ("keys", "counts"))


def _hash(obs: Float[Tensor, "b d"]) -> Int[Tensor, " b"]:
    """Of the bits of float32 numbers; 0 and -0 are one number."""
    bits = (obs.to(torch.float32) + 0.0).contiguous().view(torch.int32).to(torch.int64)
    mixed = (bits * _ODD) ^ ((bits * _ODD) >> 29)
    weight = _ODD * (2 * torch.arange(bits.shape[-1], device=obs.device) + 1)
    total = (mixed * weight).sum(-1)
    return total ^ (total >> 32)
