"""What every source of experience can do.

A feed is *pure*: the state of all streams is a value, a NamedTuple of arrays `[B, ...]`. Stepping returns a new
state and leaves the old one as it was, so that a run can be saved, forked, replayed to the bit or moved to a GPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from jaxtyping import Bool, Float, Int

Array = Any  # a NumPy array or a torch tensor: the code of a feed is written for both

State = TypeVar("State")


class Step(NamedTuple):
    """What one tick of all streams brought; every array leads with the stream axis."""

    observation: Array  # [B, *obs]
    reward: Array  # [B] float64
    terminated: Array  # [B] bool: the task ended, no value lies beyond
    truncated: Array  # [B] bool: only the record ended
    info: dict[str, Array]  # each [B, ...]


@dataclass(frozen=True)
class Block:
    """A named part of a flat observation: `observation[..., start:start + prod(shape)].reshape(..., *shape)`."""

    name: str
    start: int
    shape: tuple[int, ...]
    features: tuple[str, ...] = ()  # names along the last axis

    @property
    def stop(self) -> int:
        size = 1
        for length in self.shape:
            size *= length
        return self.start + size


@dataclass(frozen=True)
class FeedSpec:
    """What agents, environments and reports need to know of a feed."""

    name: str  # "market"
    observation_space: spaces.Space[Any]  # of one stream
    action_space: spaces.Space[Any]  # of one stream
    blocks: tuple[Block, ...] = ()  # how a flat observation is laid out; empty where it has no parts
    simplex: bool = False  # the action is a point of the simplex less its last coordinate (cash)
    clock: str = ""  # what one step means, in words
    units: Mapping[str, str] = field(default_factory=dict)  # of reward and info entries
    splits: tuple[str, ...] = ("train", "validation", "test")
    ahead: float = 0.0  # time beyond what an action led to that its reward reads: no agent may decide by such rewards
    stack: int = 0  # frames along the first axis of an observation, the newest last; 0: it is no stack of frames

    def block(self, name: str) -> Block | None:
        """The block of that name, None where the observation has none."""
        return next((block for block in self.blocks if block.name == name), None)


@runtime_checkable
class DataFeed(Protocol[State]):
    """Steps that whole arrays of streams take at once.

    `keys` are 64-bit integers `[B]`, one for each episode that begins; all chance of an episode follows from its key
    (see `feeds.random`). So stream i of a vector environment equals a single environment seeded alike, to the bit.
    `step` must tolerate streams whose episode is over (their result is thrown away).
    """

    spec: FeedSpec

    def reset(self, keys: Array, *, split: str) -> tuple[State, Step]: ...

    def step(self, state: State, action: Array) -> tuple[State, Step]: ...

    def to(self, device: str) -> "DataFeed[State]":
        """The same feed computing on "cpu" (NumPy), "torch" (torch on the CPU) or "cuda" (torch)."""
        ...

    def describe(self) -> dict[str, Any]:
        """The data behind the feed, JSON-ready: name, digest, source, schema (column -> type), profile (counts)."""
        ...


@dataclass(frozen=True, repr=False)  # rows of patients reach no log
class Rows:
    """Recorded episodes, one after another: an episode of L actions fills L+1 rows, the action of the last is ignored.

    A row holds what its predecessor's action led to, as a `Percept` does, and the action that was taken in it.
    """

    observation: np.ndarray  # [N, *obs]
    action: np.ndarray  # [N, *act]; in last rows zeros, or any that is allowed
    reward: Float[np.ndarray, " n"]  # float64; 0 in first rows
    terminated: Bool[np.ndarray, " n"]  # the task ended here; no row follows, and no value lies beyond
    first: Bool[np.ndarray, " n"]
    last: Bool[np.ndarray, " n"]
    elapsed: Float[np.ndarray, " n"]  # since the row before, in units of the discount (hours); 0 in first rows
    entity: Int[np.ndarray, " n"]  # number of the patient in this part: several episodes may be of one
    mask: Bool[np.ndarray, "n a"] | None = None  # the discrete actions that are allowed, in last rows too; None: all
    propensity: Float[np.ndarray, " n"] | None = None  # with which the action was taken, 1 in last rows; None: unknown

    def __len__(self) -> int:
        return len(self.reward)

    @property
    def starts(self) -> Int[np.ndarray, " e"]:
        """The first row of each episode."""
        return np.flatnonzero(self.first)

    @property
    def stops(self) -> Int[np.ndarray, " e"]:
        """The row behind the last of each episode."""
        return np.flatnonzero(self.last) + 1


@runtime_checkable
class LoggedFeed(Protocol):
    """A source of recorded episodes, which others' decisions have made: nothing can be tried out in it."""

    spec: FeedSpec

    def episodes(self, split: str) -> Rows:
        """What was recorded of the entities of one part."""
        ...

    def describe(self) -> dict[str, Any]:
        """The records behind the feed, JSON-ready, with the entries that a DataFeed gives; no entity is named."""
        ...


@runtime_checkable
class GameFeed(Protocol):
    """A source whose state cannot be taken out: games and any gymnasium environment.

    It hands over vector environments that reset a stream in the step after its episode ended. Their info may hold
    `raw_reward` `[B]`, what the tick earned before it was clipped, and `game_over` `[B]` bool, where an episode that
    ends at the loss of a life is not the whole game. On the part "train" they are as the agent trains; on the others
    whole games are played, with rewards as they are, and every part has seeds of its own.
    """

    spec: FeedSpec

    def envs(self, streams: int, *, split: str) -> VectorEnv[Any, Any, Any]: ...

    def describe(self) -> dict[str, Any]:
        """The game, JSON-ready, with the entries that a DataFeed gives.

        `profile["protocol"]` says how the game is prepared, `profile["reference"]` holds published scores by name
        ("random", "human") where there are any.
        """
        ...
