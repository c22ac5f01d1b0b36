"""Recorded episodes played back row by row: a log as a DataFeed whose world does not answer to actions."""

import copy
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from feeds import random
from feeds.backend import Backend, backend
from feeds.base import FeedSpec, LoggedFeed, Rows, Step
from feeds.errors import FeedError, nearest

Array = Any


class PlaybackState(NamedTuple):
    row: Array  # [B] int64: the row of the log that is seen


class Playback:
    """One part of a LoggedFeed as a DataFeed: an episode is a recorded one, whatever actions are given.

    Observations, rewards, ends and masks are those of `LoggedFeed.episodes`, from which agents learn. What is truncated
    is a record that ends before its task. `info` holds, of the row that is now to be decided on:

    - `action` [B, *act], what was recorded to be decided in it; in last rows, which decide nothing, as the log has it
    - `discount_time` [B] float64, the time since the row before in units of the discount (hours); 0 in first rows
    - `action_mask` [B, a] bool, the discrete actions that were allowed, where the log knows masks

    and nothing that names an entity. FeedError for a part that the feed has not. The world does not answer: what a
    policy earns here is what others earned, so it must be neither trained nor judged by that.
    """

    def __init__(self, logged: LoggedFeed, split: str = "train") -> None:
        if split not in logged.spec.splits:
            raise FeedError(f"'{logged.spec.name}' has no split '{split}': {nearest(str(split), logged.spec.splits)}")
        self.logged, self.split = logged, split
        rows = logged.episodes(split)
        clock = f"{logged.spec.clock or 'one recorded row'}; played back, whatever action is given"
        self.spec: FeedSpec = replace(logged.spec, splits=(split,), clock=clock)
        self._columns = _columns(rows)
        self._starts = rows.starts
        self._place(backend("cpu"))

    @property
    def episodes(self) -> int:
        """How many recorded episodes the part holds."""
        return len(self._starts)

    def reset(self, keys: Array, *, split: str) -> tuple[PlaybackState, Step]:
        """Each key draws one of the episodes, all alike; FeedError for another part than the one that is played."""
        if split != self.split:
            raise FeedError(f"the part '{self.split}' is played back here, not '{split}'")
        return self.begin(random.integers(self._backend.put(keys), self.episodes))

    def begin(self, episodes: Array) -> tuple[PlaybackState, Step]:
        """The first rows of the episodes with these numbers, `[B]` int64 from 0, in the order of the log."""
        state = PlaybackState(self._backend.rows(self._first, self._backend.put(episodes)))
        return state, self._told(state)

    def step(self, state: PlaybackState, action: Array) -> tuple[PlaybackState, Step]:
        """The next rows; the actions are not looked at. Where an episode is over its last row stays."""
        after = PlaybackState(self._backend.xp.where(self.over(state), state.row, state.row + 1))
        return after, self._told(after)

    def over(self, state: PlaybackState) -> Array:
        """`[B]` bool: whether the rows are the last of their episodes."""
        return self._backend.rows(self._tables["last"], state.row)

    def to(self, device: str) -> "Playback":
        """The same playback on "cpu" (NumPy), "torch" or "cuda"."""
        if device == self._backend.name:
            return self
        moved = copy.copy(self)
        moved._place(backend(device))
        return moved

    def describe(self) -> dict[str, Any]:
        """The records that are played back."""
        return self.logged.describe()

    def _place(self, where: Backend) -> None:
        self._backend = where
        self._tables = {name: where.put(column) for name, column in self._columns.items()}
        self._first = where.put(self._starts)

    def _told(self, state: PlaybackState) -> Step:
        told = {name: self._backend.rows(table, state.row) for name, table in self._tables.items()}
        observation, reward, terminated, last = (
            told.pop(name) for name in ("observation", "reward", "terminated", "last")
        )
        return Step(observation, reward, terminated, last & ~terminated, told)


def _columns(rows: Rows) -> dict[str, np.ndarray]:
    """What a step tells of a row, and under which name; the rest of a step's info."""
    columns = {
        "observation": rows.observation,
        "reward": rows.reward,
        "terminated": rows.terminated,
        "last": rows.last,
        "action": rows.action,
        "discount_time": rows.elapsed,
    }
    columns |= {} if rows.mask is None else {"action_mask": rows.mask}
    # torch warns of what may not be written to
    return {name: np.require(column, requirements=["C", "W"]) for name, column in columns.items()}
