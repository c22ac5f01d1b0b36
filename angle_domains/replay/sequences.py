"""Sequences of a log for agents with a memory: windows that end where episodes end, so that every end is seen."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from angle_domains.replay.buffer import ReplayBuffer
from angle_domains.replay.config import RecordedConfig
from angle_domains.replay.prioritised import Prioritised
from angle_domains.replay.recorded import filled
from angle_domains.replay.samplers import Draw, Sampler, Uniform
from angle_domains.replay.storage import Ints
from feeds.base import Rows


@runtime_checkable
class Recurrent(Protocol):
    """An agent that learns from sequences."""

    @property
    def replay(self) -> RecordedConfig: ...

    @property
    def length(self) -> int:
        """Actions of the windows it learns from."""
        ...

    @property
    def stride(self) -> int:
        """Actions from one window of an episode to the next."""
        ...


class Sequences:
    """Draws among windows that were chosen once, alike or by what is left to learn of them."""

    def __init__(self, starts: Ints, inner: Sampler) -> None:
        self.starts, self.inner = starts, inner
        self._ready = torch.zeros(len(starts), 1, dtype=torch.bool)

    def draw(
        self, oldest: int, newest: int, last: Bool[Tensor, "rows streams"], batch: int, generator: Generator
    ) -> Draw:
        drawn = self.inner.draw(0, len(self.starts) - 1, self._ready, batch, generator)
        return Draw(self.starts[drawn.place], drawn.weight)

    def reprioritise(self, priority: Float[Tensor, " b"]) -> None:
        self.inner.reprioritise(priority)

    def clear(self) -> None:
        self.inner.clear()

    def state_dict(self) -> dict[str, Any]:
        return self.inner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.inner.load_state_dict(state)


def starts_of(last: Bool[np.ndarray, " n"], length: int, stride: int) -> Ints:
    """Where the windows of `length` actions begin, episode by episode.

    The last window of an episode ends with it; others lie `stride` actions before one another, and the first begins
    with the episode. An episode that is shorter than a window has one, whose rows beyond its end are padding.
    """
    end = np.flatnonzero(last)
    begin = np.concatenate([[0], end[:-1] + 1])
    begin, end = begin[end > begin], end[end > begin]
    windows = 1 + np.ceil(np.maximum(0, end - length - begin) / stride).astype(np.int64)
    number = np.arange(windows.sum()) - np.repeat(np.cumsum(windows) - windows, windows)
    anchored = np.repeat(end - length, windows) - number * stride
    return np.sort(np.maximum(anchored, np.repeat(begin, windows)))


def recorded_sequences(rows: Rows, agent: Recurrent, *, seed: int, device: str) -> ReplayBuffer:
    """All rows of a log, drawn as sequences; FeedError where no action was taken."""
    starts, config = starts_of(rows.last, agent.length, agent.stride), agent.replay
    inner = Prioritised(len(starts), 1, config) if config.prioritised and len(starts) else Uniform()
    return filled(rows, Sequences(starts, inner), seed=seed, device=device)
