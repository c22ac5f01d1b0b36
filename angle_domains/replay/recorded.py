"""A log as a replay: all episodes, one after another, in one stream."""

from typing import Protocol, runtime_checkable

import numpy as np
import torch

from angle_domains.chance import seeded
from angle_domains.errors import FeedError
from angle_domains.replay.buffer import ReplayBuffer
from angle_domains.replay.config import RecordedConfig, ReplayConfig
from angle_domains.replay.prioritised import Prioritised
from angle_domains.replay.samplers import Sampler, Uniform
from angle_domains.types import Decision, Percept
from feeds.base import Rows


@runtime_checkable
class Taught(Protocol):
    """An agent that learns from what was recorded."""

    @property
    def replay(self) -> ReplayConfig | RecordedConfig: ...


def recorded(rows: Rows, agent: Taught, *, seed: int, device: str) -> ReplayBuffer:
    """All rows of a log, from which windows start at every action; FeedError where no action was taken.

    The rows are no part of the replay's state: who goes on fills another replay from the same feed.
    """
    config = _draws(agent.replay)
    sampler = Prioritised(len(rows), 1, config) if config.prioritised else Uniform()
    return filled(rows, sampler, seed=seed, device=device)


def filled(rows: Rows, sampler: Sampler, *, seed: int, device: str) -> ReplayBuffer:
    """A replay that holds a log and draws from it by a sampler."""
    if not len(rows) or bool(rows.last.all()):
        raise FeedError(f"the log of {len(rows)} rows holds no action: there is nothing to learn from")
    replay = ReplayBuffer(len(rows), 1, seeded(seed, "replay"), sampler=sampler, device=device)
    replay.fill(_percept(rows), Decision(_stream(_action(rows))))
    return replay


def _percept(rows: Rows) -> Percept:
    """`[N, 1, ...]`: what every row told."""
    before = np.roll(_action(rows), 1, 0)
    before[rows.first] = 0
    return Percept(
        obs=_stream(rows.observation),
        action=_stream(before),
        reward=_stream(rows.reward.astype(np.float32)),
        discount=_stream((~rows.terminated).astype(np.float32)),
        first=_stream(rows.first),
        last=_stream(rows.last),
        mask=None if rows.mask is None else _stream(rows.mask),
        elapsed=_stream(rows.elapsed.astype(np.float32)),
    )


def _action(rows: Rows) -> np.ndarray:
    """In the types that networks index by and compute in."""
    return rows.action.astype(np.int64 if rows.action.dtype.kind in "iub" else np.float32)


def _stream(column: np.ndarray) -> torch.Tensor:
    """`[N, 1, ...]`; what may not be written to is copied, for torch would warn of it."""
    return torch.from_numpy(np.require(column, requirements=["C", "W"])).unsqueeze(1)


def _draws(config: ReplayConfig | RecordedConfig) -> RecordedConfig:
    """How to draw from a log, by the settings of an agent that was made to gather experience of its own."""
    return RecordedConfig(**{name: getattr(config, name) for name in RecordedConfig.model_fields})
