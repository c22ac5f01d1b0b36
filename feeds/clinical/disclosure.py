"""Small cells: which counts of patients may be told, so that none of a few can be had, by subtraction neither.

A cell of 1 to 10 patients is not told (the cell size policy of the US Centers for Medicare and Medicaid Services). Its
neighbours and their total would give it away: so cells are hidden until at least two are, and together they hold no
fewer than 11 (secondary suppression). Whoever shows such cells marks all hidden ones alike.

Sizes of parts, and how many stays broke a rule, say nothing of anybody and are told.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

LEAST = 11  # patients of a cell that is told
HIDDEN = "not told (few patients)"


def small(count: int | Int[np.ndarray, "*n"]) -> Bool[np.ndarray, "*n"]:
    """Whether somebody is there, and too few."""
    return np.asarray((np.asarray(count) > 0) & (np.asarray(count) < LEAST))


def hidden(cells: Int[np.ndarray, "r *c"], first: int | None = None) -> Bool[np.ndarray, " r"]:
    """Which rows are not told, of groups that share out a known total: a count each, or counts of what became of them.

    A row is hidden where one of its cells is small. Then the smallest others are, until no cell follows from the
    totals of the columns, and those of the hidden rows are not small themselves. The row `first` goes before smaller
    ones: whoever tells the same cells in several places must hide the same ones everywhere.
    """
    table = np.asarray(cells).reshape(len(cells), -1)
    found = np.logical_or.reduce(small(table), axis=1, dtype=bool)
    size = table.sum(1)
    order = np.where(np.arange(len(table)) == first, 0, size)
    while found.any() and (found.sum() == 1 or small(table[found].sum(0)).any()):
        others = np.flatnonzero(~found & (size > 0))
        if not len(others):
            break
        found[others[order[others].argmin()]] = True
    return found


def told(counts: Int[np.ndarray, " r"], hide: Bool[np.ndarray, " r"]) -> list[int | None]:
    """The counts, None where they are hidden."""
    return [None if away else int(count) for count, away in zip(counts, hide, strict=True)]


def told_profile(profile: Mapping[str, Any]) -> dict[str, Any]:
    """What a feed says of its data, for stores and pages: no number of rows so small that few patients stand behind it.

    Of other feeds it is what it was.
    """
    if not profile.get("unknown_categories"):
        return dict(profile)
    rows = {name: HIDDEN if small(count) else count for name, count in profile["unknown_categories"].items()}
    return {**profile, "unknown_categories": rows}
