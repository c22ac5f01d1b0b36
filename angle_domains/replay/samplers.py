"""Which rows windows start at."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from angle_domains.replay.storage import Ints


class Draw(NamedTuple):
    place: Ints  # [B] in the ring: slot * streams + stream
    weight: Float[Tensor, " b"]  # importance weights


@runtime_checkable
class Sampler(Protocol):
    """Draws starts among the ticks `oldest` to `newest`, both included, at which an action was taken.

    `last` is the ring of rows: tick t lies at `t % rows`, and where it is True the action was ignored. Draws see ever
    later ticks, until `clear`. ValueError where no action was taken.
    """

    def draw(
        self, oldest: int, newest: int, last: Bool[Tensor, "rows streams"], batch: int, generator: Generator
    ) -> Draw: ...

    def reprioritise(self, priority: Float[Tensor, " b"]) -> None:
        """How much each start of the last draw is worth drawing again."""
        ...

    def clear(self) -> None:
        """Forgets all ticks."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Uniform:
    """Every row alike."""

    def draw(
        self, oldest: int, newest: int, last: Bool[Tensor, "rows streams"], batch: int, generator: Generator
    ) -> Draw:
        streams = last.shape[1]
        flat, start, places = last.reshape(-1), oldest * streams, (newest + 1 - oldest) * streams
        place = (torch.randint(places, (batch,), generator=generator) + start) % len(flat)
        while (ended := flat.index_select(0, place.to(flat.device)).cpu()).any():
            if ended.all() and _nothing_in(last, oldest, newest):  # which reads all rows: seldom asked
                raise ValueError(f"no action was taken in the {newest + 1 - oldest} ticks that windows could start at")
            again = torch.randint(places, (int(ended.sum()),), generator=generator)
            place[ended] = (again + start) % len(flat)
        return Draw(place.numpy(), torch.ones(batch))

    def reprioritise(self, priority: Float[Tensor, " b"]) -> None:
        """Every row stays alike."""

    def clear(self) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def _nothing_in(last: Tensor, oldest: int, newest: int) -> bool:
    slots = torch.arange(oldest, newest + 1, device=last.device) % len(last)
    return bool(last[slots].all())
