"""The nouns every agent, replay and loop share. Time runs first, batch second: `[T, B, ...]`.

One tick of a vector environment is one row per stream. An episode of L actions fills L+1 rows; the last holds the
final observation, and the action chosen there is ignored (Gymnasium's next-step autoreset emits exactly that).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor


class Percept(NamedTuple):
    """What an agent perceives at one tick: what its last action led to, and what is seen now."""

    obs: Tensor  # [..., *obs]
    action: Tensor  # [..., *act] the action that led here
    reward: Tensor  # [...] float32
    discount: Tensor  # [...] 0 where the task ended here, else 1: bootstrap by it
    first: Tensor  # [...] bool: an episode begins here
    last: Tensor  # [...] bool: an episode ends here, for any reason; the action chosen here is ignored
    mask: Tensor | None = None  # [..., *mask] bool: the discrete actions that are allowed; None where all are
    elapsed: Tensor | None = None  # [...] float32 time since the row before, in units of gamma's exponent; None: 1


def until_paid(gamma: float | Tensor, elapsed: Tensor) -> Tensor:
    """`gamma^(elapsed - 1)`: what rewards count that are paid when their action's time is over; 1 in first rows."""
    return gamma ** torch.where(elapsed > 0, elapsed - 1.0, 0.0)


@dataclass(frozen=True)
class Window:
    """Consecutive rows of B streams: T+1 percepts and the T actions between them."""

    percept: Percept  # [T+1, B, ...]; of an agent that is `Glancing` observations [looks, B, ...]
    action: Tensor  # [T, B, *act]
    extras: dict[str, Tensor]  # [T+1, B, ...] what the agent stored with its decisions
    weight: Tensor  # [B] importance weights; ones where sampling was uniform

    @property
    def obs(self) -> Tensor:
        return self.percept.obs

    @property
    def reward(self) -> Tensor:
        """`[T, B]`: what each action led to, as it was paid; `paid` says what that counts at the action."""
        return self.percept.reward[1:]

    @property
    def discount(self) -> Tensor:
        """`[T, B]`: 0 where the action ended the task."""
        return self.percept.discount[1:]

    def discounted(self, gamma: float | Tensor) -> Tensor:
        """`[T, B]`: what the value beyond each action counts: gamma to the power of the time it took, 0 at an end.

        There is one gamma for all actions, or each has its own. With `paid`, values obey
        `v = gamma^(elapsed - 1) r + gamma^elapsed v'`.
        """
        elapsed = self.percept.elapsed
        return (gamma if elapsed is None else gamma ** elapsed[1:]) * self.discount

    def paid(self, gamma: float | Tensor) -> Tensor | float:
        """`[T, B]`: what the reward of each action counts; 1 where every action takes one unit of time.

        A reward is paid when its action's time is over, and counts in full one unit after the action. So what is paid
        at an end counts the same whatever rows lead there, and a coarser row of the same episode holds the rewards of
        the rows that it joins, each grown from when it was paid to the end of the row.
        """
        elapsed = self.percept.elapsed
        return 1.0 if elapsed is None else until_paid(gamma, elapsed[1:])

    @property
    def real(self) -> Tensor:
        """`[T, B]` float: 1 where the action was taken, 0 where the environment was resetting."""
        return 1.0 - self.percept.last[:-1].to(torch.float32)

    @property
    def same_episode(self) -> Tensor:
        """`[T, B]` float: 1 up to the end of the episode that the window starts in."""
        return torch.cumprod(self.real, 0)


@dataclass(frozen=True)
class Decision:
    """An agent's answer to a percept; `extras` (log_prob, …) are stored in the row.

    Without exploration nothing is stored, and they may hold what is to be shown: `q` or `log_probs`, `[B, n]`,
    of several choices side by side `[B, parts, most]`.
    """

    action: Tensor  # [B, *act]
    memory: Any = None
    extras: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class LearnResult:
    metrics: Mapping[str, float | Tensor]  # scalars; tensors are read when they are reported, not at every update
    priority: Tensor | None = None  # [B] not negative: how much each window is worth drawing again


@dataclass(frozen=True)
class Report:
    """What every loop yields: the environment steps so far and what happened since the last report."""

    step: int
    metrics: dict[str, float]
    learned: bool = False  # a place where the run can be saved: every update that was due is done


@runtime_checkable
class Agent(Protocol):
    """Acts on percepts `[B, ...]` and learns from windows `[T+1, B, ...]`; its state is tensors, numbers and bytes."""

    def act(self, percept: Percept, memory: Any, *, explore: bool) -> Decision: ...

    def learn(self, window: Window) -> LearnResult: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@runtime_checkable
class Brief(Protocol):
    """An agent that learns from what it did last and keeps no more."""

    @property
    def rows(self) -> int:
        """Ticks of experience to keep."""
        ...


@runtime_checkable
class Glancing(Protocol):
    """An agent that looks at the first rows of its windows alone: of the others it reads what came of them."""

    @property
    def looks(self) -> int:
        """Rows of a window whose observations it wants."""
        ...


@runtime_checkable
class Valued(Protocol):
    """An agent that holds states worth something."""

    def worth(self, obs: Tensor) -> Tensor:
        """Of observations `[B, *obs]`: the values `[B, n]` of all actions, or `[B, 1]` of the state.

        By the target copies where there are some. Gradients flow to the observations; nothing is changed or drawn.
        """
        ...


@runtime_checkable
class Portrayed(Protocol):
    """An agent that has more to show of its last update than single numbers."""

    def portrait(self) -> dict[str, Tensor]:
        """Numbers whose spread is worth a look, by name: action values of the batch, the gradients of every part.

        Asked for seldom, so it may compute them; it changes nothing and draws no random number.
        """
        ...
