"""Running statistics that bring observations and rewards to unit scale.

They are updated once per learned window and stand still between updates: the log-probabilities stored with a rollout
belong to the observations as they were scaled then. Sums are kept in float64.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_EPSILON = 1e-8


class RunningMoments:
    """Mean and variance of all vectors seen, merged batch by batch (Chan, Golub and LeVeque 1979).

    Entries of one group, where `groups` numbers them, are scaled by their pooled moments.
    """

    def __init__(
        self, size: int, *, clip: float = 10.0, groups: Sequence[int] | None = None, device: str = "cpu"
    ) -> None:
        self.clip = clip
        self.groups = None if groups is None else torch.tensor(groups, device=device)
        self.count = 0
        self.mean = torch.zeros(size, dtype=torch.float64, device=device)
        self.squares = torch.zeros(size, dtype=torch.float64, device=device)  # sum of squared deviations
        self._refresh()

    @property
    def variance(self) -> Float[Tensor, " d"]:
        """Of the population; 1 before anything was seen."""
        return self.squares / self.count if self.count else torch.ones_like(self.mean)

    def update(self, x: Float[Tensor, "*b d"]) -> None:
        """Takes in a batch of vectors."""
        rows = x.flatten(0, -2) if x.ndim > 1 else x.unsqueeze(0)
        if not len(rows):
            return
        # Deviations from a vector near the mean lose nothing in float32, and need no float64 copy of the batch.
        deviation = rows - (near := self.mean.to(rows.dtype) if self.count else rows[0].clone())
        shift = deviation.mean(0, dtype=torch.float64)
        squares = deviation.square().sum(0, dtype=torch.float64) - len(rows) * shift.square()
        gap, total = near.double() + shift - self.mean, self.count + len(rows)
        self.squares = self.squares + squares.clamp(min=0) + gap.square() * (self.count * len(rows) / total)
        self.mean = self.mean + gap * (len(rows) / total)
        self.count = total
        self._refresh()

    def normalise(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """Mean 0 and variance 1 by what was seen up to the last update, clipped to `clip` deviations."""
        return ((x - self._offset) * self._scale).clamp_(-self.clip, self.clip)

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "mean": self.mean, "squares": self.squares}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]
        self.mean = state["mean"].to(self.mean.device, copy=True)
        self.squares = state["squares"].to(self.mean.device, copy=True)
        self._refresh()

    def _refresh(self) -> None:
        mean, variance = self.mean, self.variance
        if self.groups is not None and self.count:
            mean = self._pooled(self.mean)
            variance = self._pooled(variance + (self.mean - mean).square())
        self._offset = mean.float()
        self._scale = (variance + _EPSILON).rsqrt().float()

    def _pooled(self, x: Float[Tensor, " d"]) -> Float[Tensor, " d"]:
        """The mean of each entry's group."""
        assert self.groups is not None
        members = torch.bincount(self.groups)
        sums = torch.zeros(len(members), dtype=x.dtype, device=x.device).index_add_(0, self.groups, x)
        return (sums / members)[self.groups]


class ReturnScaler:
    """Divides rewards by the standard deviation of the discounted sum of past rewards (Engstrom et al. 2020).

    Rewards are scaled, not centred: a shift would change which policy is best.
    """

    def __init__(self, streams: int, *, gamma: float, clip: float = 10.0, device: str = "cpu") -> None:
        self.gamma, self.clip = gamma, clip
        self.running = torch.zeros(streams, dtype=torch.float64, device=device)
        self.moments = RunningMoments(1, device=device)

    def update(self, reward: Float[Tensor, "t b"], first: Bool[Tensor, "t b"], real: Float[Tensor, "t b"]) -> None:
        """Takes in the rewards of a window.

        `first` is where an episode began with the action that earned it, also one that begins because the episode
        before was lost; `real` is 1 where an action earned it, 0 where the stream was resetting, which is no return.
        """
        sums = torch.empty(reward.shape, dtype=torch.float64, device=reward.device)
        for t in range(len(reward)):
            sums[t] = self.running = self.running * ~first[t] * self.gamma + reward[t]
        self.moments.update(sums[real > 0].unsqueeze(-1))

    def scale(self, reward: Float[Tensor, "t b"]) -> Float[Tensor, "t b"]:
        deviation = (self.moments.variance + _EPSILON).sqrt().item()
        return (reward / deviation).clamp(-self.clip, self.clip)

    def state_dict(self) -> dict[str, Any]:
        return {"running": self.running, "moments": self.moments.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.running = state["running"].to(self.running.device, copy=True)
        self.moments.load_state_dict(state["moments"])
