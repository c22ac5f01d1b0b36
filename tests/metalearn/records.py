"""Recorded episodes of a small world whose truth is known."""

from typing import Any

import numpy as np
from gymnasium import spaces

from feeds.base import FeedSpec, Rows

ENTRIES = 4  # what drifts, what it is pushed by, a flag, and what never changes


class Recorded:
    """A level falls to 90 % and is raised by 1 with action 1; below 0 the task ends with reward -1.

    Each decision earns the level. A third action is in the space and was never taken. The flag says whether the level
    was raised. Records are cut after 12 decisions.
    """

    def __init__(self, episodes: int = 300, *, start: float = 0.0, noise: float = 0.3, seed: int = 0) -> None:
        space = spaces.Box(-1e3, 1e3, (ENTRIES,), np.float32)
        self.spec = FeedSpec("recorded", space, spaces.Discrete(3), clock="one hour")
        self.parts = {
            split: episodes_of(episodes, start, noise, np.random.default_rng([seed, place]))
            for place, split in enumerate(self.spec.splits)
        }

    def episodes(self, split: str) -> Rows:
        return self.parts[split]

    def describe(self) -> dict[str, Any]:
        return {"name": "recorded", "digest": "0", "source": "drawn", "schema": {}, "profile": {}}


def episodes_of(count: int, start: float, noise: float, chance: np.random.Generator) -> Rows:
    columns: dict[str, list[Any]] = {name: [] for name in ("observation", "action", "reward", "terminated", "last")}
    entity = []
    for patient in range(count):
        level, raised, kind, ended = start + chance.uniform(0, 2), 0.0, float(patient % 2), False
        reward = 0.0
        for tick in range(13):
            last = ended or tick == 12
            action = 0 if last else int(chance.random() < 0.5)
            row = ([level, raised * 0.5, raised, kind], action, reward, ended, last)
            for column, value in zip(columns.values(), row, strict=True):
                column.append(value)
            entity.append(patient)
            if last:
                break
            level = 0.9 * level + action - 0.3 + noise * chance.standard_normal()
            raised, ended = float(action), level < 0
            reward = -1.0 if ended else level
    last = np.array(columns["last"])
    first = np.concatenate([[True], last[:-1]])
    return Rows(
        observation=np.array(columns["observation"], np.float32),
        action=np.array(columns["action"]),
        reward=np.array(columns["reward"], np.float64),
        terminated=np.array(columns["terminated"]),
        first=first,
        last=last,
        elapsed=np.where(first, 0.0, 1.0),
        entity=np.array(entity),
    )
