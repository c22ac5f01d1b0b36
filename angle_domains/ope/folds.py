"""Parts of the records that share no patient."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int

from angle_domains.errors import FeedError
from feeds.base import Rows


def folds(patient: Int[np.ndarray, " n"], count: int, seed: int) -> Int[np.ndarray, " n"]:
    """The fold of each row: all rows of a patient are in one, and folds hold equally many patients but for one."""
    unique, number = np.unique(patient, return_inverse=True)
    if len(unique) < 2 * count:
        raise FeedError(f"{len(unique)} patients are too few for {count} folds: at least {2 * count} are needed")
    dealt = np.arange(len(unique)) % count
    return np.random.default_rng(seed).permutation(dealt)[number]


def part(rows: Rows, kept: Bool[np.ndarray, " n"]) -> Rows:
    """Some of the rows, whole episodes of them."""
    mask = None if rows.mask is None else rows.mask[kept]
    propensity = None if rows.propensity is None else rows.propensity[kept]
    names = ("observation", "action", "reward", "terminated", "first", "last", "elapsed", "entity")
    return replace(rows, **{name: getattr(rows, name)[kept] for name in names}, mask=mask, propensity=propensity)
