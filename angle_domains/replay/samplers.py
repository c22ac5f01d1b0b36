"""Which rows windows start at."""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor


class Draw(NamedTuple):
    tick: Int[Tensor, " b"]  # counted from the first row ever inserted
    stream: Int[Tensor, " b"]
    weight: Float[Tensor, " b"]  # importance weights


@runtime_checkable
class Sampler(Protocol):
    """Draws starts among the ticks `oldest` to `newest`, both included; the buffer redraws those it cannot use."""

    def draw(self, oldest: int, newest: int, streams: int, batch: int, generator: Generator) -> Draw: ...


class Uniform:
    """Every row alike."""

    def draw(self, oldest: int, newest: int, streams: int, batch: int, generator: Generator) -> Draw:
        tick = torch.randint(oldest, newest + 1, (batch,), generator=generator)
        stream = torch.randint(streams, (batch,), generator=generator)
        return Draw(tick, stream, torch.ones(batch))
