"""Observed deaths by how far the clinicians' doses were from the policy's: the J-shaped curve of dose differences.

It is an association. Who was given less than the policy would give may have been less ill, or beyond help.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri

from angle_domains.evaluation.patients.decided import Component, Decided
from angle_domains.interval import LEVEL, Interval
from angle_domains.ope.intervals import t_interval
from feeds.clinical.disclosure import hidden, small

EDGES = (-0.30, -0.15, -0.05, 0.05, 0.15, 0.30)  # of the range of the dose


@dataclass(frozen=True)
class Bin:
    """Patients whose mean difference, recommended minus given, lies between two doses; None where few do."""

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
    dead = np.bincount(place[found.died], minlength=len(edges) + 1)
    alive = np.bincount(place[~found.died], minlength=len(edges) + 1)
    secret = hidden(np.stack([dead, alive], 1)) | bool(small(found.died.sum()) | small((~found.died).sum()))
    sides = [None, *np.round(edges, 9).tolist(), None]
    bins = tuple(
        Bin(sides[i], sides[i + 1], *_mortality(int(dead[i]), int(dead[i] + alive[i]), bool(secret[i])))
        for i in range(len(edges) + 1)
    )
    split = None if small(found.died.sum()) or small((~found.died).sum()) else [mean[~found.died], mean[found.died]]
    means = [None, None] if split is None else [_mean(each) for each in split]
    return Curve(component.name, component.unit, bins, *means)


def _mortality(dead: int, patients: int, secret: bool) -> tuple[int | None, float | None, tuple[float, float] | None]:
    if secret:
        return None, None, None
    return (patients, dead / patients, wilson(dead, patients)) if patients else (0, None, None)


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
