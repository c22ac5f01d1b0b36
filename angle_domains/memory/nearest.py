"""The nearest of many keys, every one looked at, block after block."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

_ROWS, _QUERIES = 1 << 16, 64  # of a block: 16 MB of scores


@torch.no_grad()
def nearest(
    key: Float[Tensor, "n d"], norm: Float[Tensor, " n"], query: Float[Tensor, "q d"], count: int
) -> Int[Tensor, "q c"]:
    """For each query the rows of the `count` nearest keys, or of all where there are fewer; in no order.

    `norm` is the squared length of each key. Distances are compared as norm - 2 key · query, whose rounding may
    swap keys that are nearly as far as one another: ask for a few more than are needed, and measure those.
    """
    if not len(key) or not len(query):
        return torch.zeros(len(query), min(count, len(key)), dtype=torch.int64, device=key.device)
    return torch.cat([_of_block(key, norm, few, count) for few in query.split(_QUERIES)])


def _of_block(key: Tensor, norm: Tensor, query: Tensor, count: int) -> Tensor:
    scores, rows = [], []
    for start in range(0, len(key), _ROWS):
        stop = min(start + _ROWS, len(key))
        score = torch.addmm(norm[start:stop], query, key[start:stop].T, alpha=-2.0)
        least = lowest(score, count)
        scores.append(score.gather(1, least))
        rows.append(least + start)
    if len(rows) == 1:
        return rows[0]
    score, row = torch.cat(scores, 1), torch.cat(rows, 1)
    return row.gather(1, lowest(score, count))


def lowest(score: Float[Tensor, "q n"], count: int) -> Int[Tensor, "q c"]:
    """Where the `count` lowest scores of each row stand, or all where there are fewer; in no order.

    They lie in the `count` groups whose least score is lowest: so most scores are compared once, in their group. With
    groups of the root of n / count, there are about as many groups as members of those chosen.
    """
    columns = score.shape[1]
    count = min(count, columns)
    size = int((columns / max(count, 1)) ** 0.5)
    if size < 3:
        return score.topk(count, largest=False, sorted=False).indices
    groups = columns // size
    whole = groups * size
    best = score[:, :whole].unflatten(1, (size, groups)).amin(1).topk(count, largest=False, sorted=False).indices
    members = torch.arange(0, whole, groups, device=score.device)
    place = (best.unsqueeze(-1) + members).flatten(1)
    if whole < columns:
        rest = torch.arange(whole, columns, device=score.device).expand(len(score), -1)
        place = torch.cat([place, rest], 1)
    chosen = score.gather(1, place).topk(count, largest=False, sorted=False).indices
    return place.gather(1, chosen)
