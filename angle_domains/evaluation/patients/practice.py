"""What patients were given beside what the policy would have given them: how much, to whom, and how soon.

Cells of fewer than 11 patients are None, and so are those from which one would follow (`feeds.clinical.disclosure`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from angle_domains.evaluation.patients.decided import Component, Decided
from feeds.clinical.disclosure import LEAST, hidden, small, told

HOURS = (6.0, 12.0, 24.0, 48.0)  # of the start, ends of its bins; each bin holds its end
STARTS = ("0 to 6 h", "6 to 12 h", "12 to 24 h", "24 to 48 h", "later than 48 h")
_BINS = 5  # of a dose, between none and the highest
_CODES = 12  # as many levels are told one by one


@dataclass(frozen=True)
class Use:
    """How some patients are treated."""

    patients: int | None
    ever: float | None  # share of patients who ever get it
    bounds: tuple[float, float] | None  # of that share, where it is not told because nearly all do, or hardly any
    share: float | None  # of decisions in which it is given
    quartiles: tuple[float, float, float] | None  # of the dose where it is given; None where few get it


@dataclass(frozen=True)
class Starts:
    """How long after the beginning of the stay patients first get it."""

    counts: dict[str, int | None]  # patients by STARTS
    never: int | None
    early: float | None  # share of those who get it that do so within six hours
    median: float | None  # hours


@dataclass(frozen=True)
class Level:
    """One level or range of doses, as a share of all decisions."""

    label: str
    given: float | None
    meant: float | None


@dataclass(frozen=True)
class Pair:
    """The clinicians' practice and the policy's."""

    given: Use
    meant: Use


@dataclass(frozen=True)
class Practice:
    """Of one component of the action."""

    name: str
    unit: str
    kind: str
    tolerance: float  # within which two doses are alike; as good as 0 where actions are numbered
    alike: float  # share of decisions in which policy and clinicians do alike
    alike_on: float | None  # of those in which clinicians gave it
    all: Pair
    survivors: Pair
    dead: Pair
    starts_given: Starts
    starts_meant: Starts
    levels: tuple[Level, ...]


def practice(found: Decided, component: Component) -> Practice:
    """Both practices, of all patients and by what became of them."""
    on = component.given > 0
    groups = [_pairs(found, component, found.died == died) for died in (False, True)]
    hide = [found.few or _tells(found, values) for values in (component.given, component.meant)]
    survivors, dead = (_veiled(pair, hide, found.few) for pair in groups)
    return Practice(
        name=component.name,
        unit=component.unit,
        kind=component.kind,
        tolerance=component.tolerance,
        alike=float(component.alike.mean()),
        alike_on=float(component.alike[on].mean()) if len(np.unique(found.patient[on])) >= LEAST else None,
        all=_pairs(found, component, np.ones(len(found.died), bool)),
        survivors=survivors,
        dead=dead,
        starts_given=starts(found, component.given),
        starts_meant=starts(found, component.meant),
        levels=levels(found, component),
    )


def _pairs(found: Decided, component: Component, chosen: Bool[np.ndarray, " p"]) -> Pair:
    return Pair(use(found, component.given, chosen), use(found, component.meant, chosen))


def _tells(found: Decided, values: Float[np.ndarray, " d"]) -> bool:
    """Whether use by outcome would tell of few, given what is told of all."""
    return bool(hidden(np.array([_ever(found, values, chosen) for chosen in (~found.died, found.died)])).any())


def _veiled(pair: Pair, hide: list[bool], few: bool) -> Pair:
    shown = [
        Use(None if few else each.patients, None, None, None, None) if away else each
        for each, away in zip((pair.given, pair.meant), hide, strict=True)
    ]
    return Pair(*shown)


def _ever(found: Decided, values: np.ndarray, chosen: Bool[np.ndarray, " p"]) -> tuple[int, int]:
    """Of the chosen patients, how many ever get it and how many never do."""
    ever = np.bincount(found.patient, values > 0, len(found.died)) > 0
    return int((ever & chosen).sum()), int((~ever & chosen).sum())


def use(found: Decided, values: Float[np.ndarray, " d"], chosen: Bool[np.ndarray, " p"]) -> Use:
    """Of the chosen patients."""
    number, rows = int(chosen.sum()), chosen[found.patient]
    ever, never = _ever(found, values, chosen)
    if number < LEAST:
        return Use(None if number else 0, None, None, None, None)
    if small(ever):
        return Use(number, None, (0.0, (LEAST - 1) / number), None, None)
    dose = values[rows & (values > 0)]
    quartiles = tuple(np.quantile(dose, [0.25, 0.5, 0.75]).tolist()) if ever else None
    bounds = (1.0 - (LEAST - 1) / number, 1.0) if small(never) else None
    known = None if bounds else ever / number
    return Use(number, known, bounds, len(dose) / int(rows.sum()), quartiles)


def starts(found: Decided, values: Float[np.ndarray, " d"]) -> Starts:
    """Of each patient's first decision for it, in hours since that stay began."""
    on = np.flatnonzero(values > 0)
    who, place = np.unique(found.patient[on], return_index=True)  # decisions stand in order of time
    hour = found.hour[on[place]]
    counts = np.bincount(np.searchsorted(HOURS, hour, side="left"), minlength=len(STARTS))
    never, ever = len(found.died) - len(who), len(who)
    if small(never) or small(ever):  # who never gets it may not follow from the others
        every = told(np.append(counts, never), hidden(np.append(counts, never)))
        return Starts(dict(zip(STARTS, every[:-1], strict=True)), every[-1], None, None)
    cells = told(counts, hidden(counts))
    early = None if cells[0] is None or not ever else cells[0] / ever
    return Starts(dict(zip(STARTS, cells, strict=True)), never, early, float(np.median(hour)) if ever else None)


def levels(found: Decided, component: Component) -> tuple[Level, ...]:
    """Shares of decisions, of each level or range of doses."""
    labels, edges = _ranges(component)
    shares = [_shares(found, np.searchsorted(edges, values, side="left"), len(labels))
              for values in (component.given, component.meant)]  # fmt: skip
    return tuple(Level(*row) for row in zip(labels, *shares, strict=True))


def _ranges(component: Component) -> tuple[list[str], Float[np.ndarray, " l"]]:
    """Names of the ranges and the upper end of each but the last; a range holds its upper end."""
    if component.kind == "binary":
        return ["off", "on"], np.array([0.5])
    if component.kind == "level" and component.top < _CODES:
        whole = np.arange(int(component.top) + 1)
        return [str(level) for level in whole], whole[:-1] + 0.5
    edges = np.linspace(0.0, component.top, _BINS + 1)
    between = [f"{low:g} to {high:g}" for low, high in zip(edges[:-1].round(6), edges[1:].round(6), strict=True)]
    return ["none", *between], edges[:-1]


def _shares(found: Decided, place: Int[np.ndarray, " d"], count: int) -> list[float | None]:
    behind = np.array([len(np.unique(found.patient[place == level])) for level in range(count)])
    share = np.bincount(place, minlength=count) / max(1, len(place))
    return [None if away else float(s) for s, away in zip(share, hidden(behind), strict=True)]
