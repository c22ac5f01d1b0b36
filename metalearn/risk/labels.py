"""Which rows are followed by an event soon."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def event_within(
    event: Bool[Tensor, " t"], first: Bool[Tensor, " t"], ended: Bool[Tensor, " t"], horizon: int
) -> tuple[Float[Tensor, " t"], Float[Tensor, " t"]]:
    """1 where an event comes in the next `horizon` rows of the same episode, and 1 where that is known.

    Rows with an event of their own are left out, as unknown: it is no longer to be foreseen. Where the record stops
    before the horizon without an event, and not because the task `ended`, nothing is known either: a transfer is not
    survival.
    """
    rows = len(event)
    episode = first.long().cumsum(0)
    wait = torch.full((rows,), torch.inf)  # rows until the next event
    left = torch.zeros(rows)  # rows of the episode that are still to come
    resolved = ended.clone()  # its end tells that nothing more will come
    for row in range(rows - 2, -1, -1):
        if episode[row] == episode[row + 1]:
            wait[row] = 1.0 if event[row + 1] else wait[row + 1] + 1.0
            left[row], resolved[row] = left[row + 1] + 1.0, resolved[row + 1]
    soon = wait <= horizon
    cut_short = ~soon & ~resolved & (left < horizon)
    return soon.float(), (~cut_short & ~event).float()
