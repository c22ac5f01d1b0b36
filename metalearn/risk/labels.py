"""Which rows are followed by an event soon."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def event_within(
    event: Bool[Tensor, " t"], first: Bool[Tensor, " t"], ended: Bool[Tensor, " t"], horizon: int
) -> tuple[Float[Tensor, " t"], Float[Tensor, " t"], Int[Tensor, " t"]]:
    """1 where an event comes in the next `horizon` rows of the same episode, 1 where that is known, and its row.

    Rows with an event of their own are left out, as unknown: it is no longer to be foreseen. Where the record stops
    before the horizon without an event, and not because the task `ended`, nothing is known either: a transfer is not
    survival.
    """
    rows = torch.arange(len(event))
    last = _last_rows(first)
    place = torch.where(event, rows, len(event))
    ahead = torch.cat([place[1:], place.new_tensor([len(event)])])
    coming = ahead.flip(0).cummin(0).values.flip(0)  # the next row with an event, in whatever episode
    soon = (coming <= last) & (coming - rows <= horizon)
    cut_short = ~soon & ~ended[last] & (last - rows < horizon)
    return soon.float(), (~cut_short & ~event).float(), torch.where(soon, coming, -1)


def _last_rows(first: Bool[Tensor, " t"]) -> Int[Tensor, " t"]:
    """The last row of the episode that each row is of."""
    starts = first.nonzero().squeeze(-1)
    stops = torch.cat([starts[1:], starts.new_tensor([len(first)])])
    return (stops - 1).repeat_interleave(stops - starts)
