"""Whether a forecast is worth more than a naive one, and whether that is more than chance, or too good to be true.

Intervals by resampling what can be taken as independent: whole entities where there are many (Field and Welsh 2007,
"Bootstrapping Clustered Data"), else circular blocks of rows, entity after entity (Politis and Romano 1992).
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

ALARM = 0.05  # better by more where nothing can be foreseen: look for a leak
_MANY = 30  # entities, from which on these are resampled
_FEW = 10  # entities or blocks, below which nothing is said
_DRAWS = 2_000
_HELD = 1_000_000  # pieces drawn at a time: what is held in memory


class Skill(NamedTuple):
    """How a forecast did against a naive one on the same rows."""

    rows: int
    entities: int
    mase: float  # mean over entities, in which the naive forecast errs at all, of the share of its loss
    better: float  # 1 less the loss of all rows as a share of the naive one; below 0 it is worse
    low: float  # of the interval of 95 % of `better`; infinite where rows are too few
    high: float
    naive: str  # what the naive forecast is
    hopeless: bool  # whether by all that is known nothing can be foreseen here

    @property
    def found(self) -> bool:
        """Whether it is better by more than chance."""
        return self.low > 0.0

    @property
    def alarm(self) -> bool:
        """Whether it is too good to be true."""
        return self.hopeless and self.found and self.better > ALARM

    @property
    def verdict(self) -> str:
        """One sentence for a page."""
        sign = "better" if self.better >= 0.0 else "worse"
        size, against = f"{100.0 * abs(self.better):.1f} %", f"{sign} than {self.naive}"
        if math.isinf(self.low):
            return f"no skill: {size} {against}, of too few rows to tell"
        told = f"{size} (95 % interval {100.0 * self.low:.1f} to {100.0 * self.high:.1f} %) {against}"
        if self.alarm:
            return f"leak alarm: {told}, where nothing can be foreseen: look for what came from the future"
        if self.found:
            return f"skill: {told}"
        return f"no skill: {told}{', which is no more than chance' if self.high >= 0.0 else ''}"


def skill(
    loss: Float[Tensor, " n"],
    naive_loss: Float[Tensor, " n"],
    entity: Int[Tensor, " n"],
    generator: Generator,
    *,
    naive: str = "the last value",
    overlap: int = 1,
    hopeless: bool = False,
) -> Skill:
    """Rows in order of time within each entity, their losses by any measure that is 0 or more, as absolute errors.

    `overlap` is how many rows a forecast reaches ahead: errors of fewer rows apart tell of the same days. Entities that
    live through the same days, as assets of one market, are one: give the mean over them, day by day. The naive
    forecast of a return is 0, the last value of the price: the last return is no rival.
    """
    _, number, count = entity.unique(return_inverse=True, return_counts=True)
    both = torch.stack([loss, naive_loss]).double()
    own = torch.zeros(2, len(count), dtype=torch.float64).index_add_(1, number, both)
    pieces, parts = own, len(count)
    if len(count) < _MANY:
        pieces, parts = _blocks(both[:, number.argsort(stable=True)], overlap)
    low, high = _interval(pieces, parts, generator) if parts >= _FEW else (-math.inf, math.inf)
    return Skill(
        rows=len(loss),
        entities=len(count),
        mase=float(_share(*(own if not (own[1] > 0).any() else own[:, own[1] > 0])).mean()),
        better=1.0 - float(_share(*own.sum(1))),
        low=low,
        high=high,
        naive=naive,
        hopeless=hopeless,
    )


def _share(loss: Float[Tensor, "*b"], naive: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """1 where neither lost anything."""
    return torch.where((loss == 0.0) & (naive == 0.0), 1.0, loss / naive)


def _blocks(both: Float[Tensor, "2 n"], overlap: int) -> tuple[Float[Tensor, "2 n"], int]:
    """Sums of as many rows as the cube root of their number, or as twice the overlap, from each row on; how many fit.

    After the last row comes the first.
    """
    rows = both.shape[1]
    length = min(rows, max(round(rows ** (1.0 / 3.0)), 2 * overlap if overlap > 1 else 1))
    return torch.cat([both, both[:, : length - 1]], 1).unfold(1, length, 1).sum(-1), round(rows / length)


def _interval(pieces: Float[Tensor, "2 k"], parts: int, generator: Generator) -> tuple[float, float]:
    """Of how much better, from resamples of so many pieces each."""
    among, at_once = pieces.shape[1], max(1, _HELD // parts)
    sizes = [min(at_once, _DRAWS - begun) for begun in range(0, _DRAWS, at_once)]
    drawn = [pieces[:, torch.randint(among, (size, parts), generator=generator)].sum(-1) for size in sizes]
    better = 1.0 - _share(*torch.cat(drawn, 1))
    low, high = torch.quantile(better, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high
