"""Observed deaths by how far the clinicians' doses were from the policy's: the J-shaped curve of dose differences.

Ranges of differences are joined until in each enough patients died and lived to be told.

It is an association. Who was given less than the policy would give may have been less ill, or beyond help.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri

from angle_domains.evaluation.patients.decided import Component, Decided
from angle_domains.interval import LEVEL, Interval
from angle_domains.ope.intervals import t_interval
from feeds.clinical.disclosure import small

EDGES = (-0.30, -0.15, -0.05, 0.05, 0.15, 0.30)  # of the range of the dose


@dataclass(frozen=True)
class Bin:
    """Patients whose mean difference, recommended minus given, lies between two doses; None where even all are few."""

    low: float | None  # None: without bound
    high: float | None
    patients: int | None
    mortality: float | None
    interval: tuple[float, float] | None  # Wilson's


@dataclass(frozen=True)
class Curve:
    name: str
    unit: str
    bins: tuple[Bin, ...]
    survivors: Interval | None  # mean difference of those who lived; None where few did, or few did not
    dead: Interval | None


def curve(found: Decided, component: Component) -> Curve:
    """A patient counts once, by the mean over all of his decisions."""
    patients = len(found.died)
    count = np.bincount(found.patient, minlength=patients)
    mean = np.bincount(found.patient, component.change, patients) / count
    edges = np.array(EDGES) * component.top
    place = np.digitize(mean, edges)
    dead, alive = (np.bincount(place[who], minlength=len(edges) + 1) for who in (found.died, ~found.died))
    sides = [None, *np.round(edges, 9).tolist(), None]
    bins = tuple(_bin(sides[i], sides[j], dead[i:j], alive[i:j]) for i, j in _merged(dead, alive) if not found.secret)
    split = None if found.few else [mean[~found.died], mean[found.died]]
    means = [None, None] if split is None else [_mean(each) for each in split]
    return Curve(component.name, "of decisions" if component.kind == "binary" else component.unit, bins, *means)


def _merged(dead: Int[np.ndarray, " b"], alive: Int[np.ndarray, " b"]) -> list[tuple[int, int]]:
    """Runs of bins, (first, behind the last), joined until nothing can be had of few: to the smaller neighbour."""
    runs = [(i, i + 1) for i in range(len(dead))]

    def size(run: tuple[int, int]) -> tuple[int, int]:
        return int(dead[slice(*run)].sum()), int(alive[slice(*run)].sum())

    while len(runs) > 1:
        weak = [k for k, run in enumerate(runs) if any(small(part) for part in size(run))]
        if not weak:
            break
        k = min(weak, key=lambda k: sum(size(runs[k])))
        beside = [other for other in (k - 1, k + 1) if 0 <= other < len(runs)]
        low, high = sorted((k, min(beside, key=lambda other: sum(size(runs[other])))))
        runs[low : high + 1] = [(runs[low][0], runs[high][1])]
    return runs


def _bin(low: float | None, high: float | None, dead: np.ndarray, alive: np.ndarray) -> Bin:
    died, lived = int(dead.sum()), int(alive.sum())
    if small(died) or small(lived):
        return Bin(low, high, None, None, None)
    if not died + lived:
        return Bin(low, high, 0, None, None)
    return Bin(low, high, died + lived, died / (died + lived), wilson(died, died + lived))


def _mean(values: Float[np.ndarray, " p"]) -> Interval | None:
    if len(values) < 2:
        return None
    return t_interval(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))), len(values))


def wilson(successes: int | Int[np.ndarray, ""], count: int, level: float = LEVEL) -> tuple[float, float]:
    """The score interval of a share (Wilson 1927), which never leaves 0 to 1."""
    z = float(ndtri((1.0 + level) / 2))
    share, spread = successes / count, z * z / count
    middle = (share + spread / 2) / (1.0 + spread)
    reach = z / (1.0 + spread) * np.sqrt(share * (1.0 - share) / count + spread / (4.0 * count))
    return max(0.0, float(middle - reach)), min(1.0, float(middle + reach))
