"""Which policy of a family each stream is to follow next: a bandit over the returns of its last episodes.

Upper confidence bounds on a sliding window (Garivier and Moulines 2008), as the meta-controller of Agent57 has them
(Badia et al. 2020, arXiv:2003.13350). An arm's value is the undiscounted sum of an episode's rewards, those for novelty
left out.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt
from torch import Generator, Tensor

from angle_domains.errors import CheckpointError, ConfigError
from angle_domains.types import Percept


class BanditConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    window: PositiveInt = 90  # episodes of a stream that count; the paper's text says 160, its table 90
    beta: NonNegativeFloat = 1.0  # of the bonus for arms seldom pulled
    epsilon: float = Field(default=0.5, ge=0, le=1)  # share of pulls that any arm may get


class Bandit:
    """One bandit for each stream, all in the same tensors; streams end their episodes at different times."""

    def __init__(self, config: BanditConfig, *, streams: int, arms: int, device: str | torch.device = "cpu") -> None:
        if config.window < arms:
            raise ConfigError(
                f"agent.bandit.window={config.window} is less than the {arms} arms, each of which is tried in turn"
            )
        self.config, self.arms = config, arms
        self.arm = torch.full((streams, config.window), -1, dtype=torch.int64, device=device)  # a ring; -1: nothing yet
        self.value = torch.zeros(streams, config.window, dtype=torch.float64, device=device)
        self.count = torch.zeros(streams, dtype=torch.int64, device=device)  # pulls of each stream that are over

    def choose(self, generator: Generator) -> Int[Tensor, " b"]:
        """The arm that each stream is to pull next: each arm once first, then the best bound or, by chance, any.

        An arm without a pull in the window has no bound, so it comes before those that have one. The generator,
        which draws as many numbers at every call, also breaks ties.
        """
        streams, device = len(self.count), self.count.device
        drawn = torch.rand(streams, self.arms + 2, generator=generator, device=generator.device).to(device)
        bound = self.bound()
        best = torch.where(bound == bound.amax(1, keepdim=True), drawn[:, : self.arms], -1.0).argmax(1)
        anyone = (drawn[:, -1] * self.arms).to(torch.int64).clamp(max=self.arms - 1)
        later = torch.where(drawn[:, -2] < self.config.epsilon, anyone, best)
        return torch.where(self.count < self.arms, self.count, later)

    def bound(self) -> Float[Tensor, "b n"]:
        """Mean value of each arm's pulls in the window, and beta √(1 / pulls); infinite where there is none."""
        pulls, total = self._sums()
        upper = total / pulls + self.config.beta * pulls.rsqrt()
        return torch.where(pulls > 0, upper, torch.inf)

    def best(self) -> Int[Tensor, " b"]:
        """The arm whose pulls in the window were worth most on average, the first of equals; 0 before any."""
        pulls, total = self._sums()
        return torch.where(pulls > 0, total / pulls, -torch.inf).argmax(1)

    def favourite(self) -> int:
        """The arm that was surely worth most over all streams, mean less beta √(1 / pulls), the first of equals.

        So a lucky pull or two make no favourite. 0 before any.
        """
        pulls, total = (each.sum(0) for each in self._sums())
        lower = total / pulls - self.config.beta * pulls.rsqrt()
        return int(torch.where(pulls > 0, lower, -torch.inf).argmax())

    def record(self, arm: Int[Tensor, " b"], value: Float[Tensor, " b"], over: Bool[Tensor, " b"]) -> None:
        """Takes in what an arm brought each stream whose episode is `over`; other streams are left alone."""
        stream = over.nonzero().squeeze(-1)
        place = self.count[stream] % self.config.window
        self.arm[stream, place] = arm[stream]
        self.value[stream, place] = value[stream].to(torch.float64)
        self.count = self.count + over

    def follow(
        self, percept: Percept, arm: Int[Tensor, " b"], earned: Float[Tensor, " b"], generator: Generator
    ) -> tuple[Int[Tensor, " b"], Float[Tensor, " b"]]:
        """The arm of each stream, drawn anew where an episode begins, and what it earned; recorded where one ends."""
        device = self.count.device
        first, last = percept.first.to(device), percept.last.to(device)
        arm = torch.where(first, self.choose(generator), arm.to(device))
        earned = torch.where(first, 0.0, earned.to(device) + percept.reward.to(device, torch.float64))
        self.record(arm, earned, last)
        return arm, earned

    def state_dict(self) -> dict[str, Any]:
        return {"arm": self.arm.clone(), "value": self.value.clone(), "count": self.count.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it is of other streams, or of another window."""
        if state["arm"].shape != self.arm.shape:
            (streams, window), (ours, wanted) = state["arm"].shape, self.arm.shape
            raise CheckpointError(
                f"the bandits were saved with {streams} streams and a window of {window}, not {ours} and {wanted}: "
                "set training.streams and agent.bandit.window as they were"
            )
        self.arm = state["arm"].to(self.arm.device, copy=True)
        self.value = state["value"].to(self.value.device, copy=True)
        self.count = state["count"].to(self.count.device, copy=True)

    def check_valid(self) -> None:
        """Raises AssertionError where the ring does not hold what `count` says, or an arm or value is none."""
        held = torch.arange(self.config.window, device=self.arm.device) < self.count.unsqueeze(-1)
        assert (self.count >= 0).all()
        assert ((self.arm >= 0) == held).all()
        assert (self.arm < self.arms).all()
        assert self.value.isfinite().all()
        assert not self.value[~held].any(), "what nobody pulled is worth nothing"

    def _sums(self) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]]:
        """Pulls of each arm in the window, and the sum of what they brought."""
        zeros = torch.zeros(len(self.count), self.arms + 1, dtype=torch.float64, device=self.value.device)
        place = torch.where(self.arm < 0, self.arms, self.arm)  # what is empty falls into a column of its own
        pulls = zeros.scatter_add(1, place, torch.ones_like(self.value))
        return pulls[:, :-1], zeros.scatter_add(1, place, self.value)[:, :-1]
