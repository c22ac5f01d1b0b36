"""One column of doses as a few levels, or as steps from the dose in force."""

from dataclasses import dataclass, field
from itertools import pairwise
from math import prod

import numpy as np

from feeds.clinical.config import Actions
from feeds.clinical.schema import Column
from feeds.errors import FeedError


@dataclass(frozen=True)
class Levels:
    """The levels of one column. A bin holds its lower edge (represented by its upper one: that edge instead)."""

    name: str
    unit: str
    doses: np.ndarray  # [L] what a level means, rising; 0 first where it is a level of its own
    edges: np.ndarray | None = None  # [bins + 1]; None: every level is one dose
    zero: bool = False  # the first level is no dose, bins follow
    upper: bool = False
    grid: dict[str, int] = field(default_factory=dict)  # what a code stands for, as in the schema

    @property
    def top(self) -> float:
        return float(max(self.doses[-1] if self.edges is None else self.edges[-1], 1e-12))

    def index(self, doses: np.ndarray) -> np.ndarray:
        """The level of each dose [N]; what lies beyond the edges falls into the outer bins."""
        if self.edges is None:
            middle = (self.doses[1:] + self.doses[:-1]) / 2
            return np.searchsorted(middle, doses, side="right")
        bins = np.searchsorted(self.edges[1:-1], doses, side="left" if self.upper else "right")
        return np.where(doses <= 0, 0, bins + 1) if self.zero else bins

    def outside(self, doses: np.ndarray) -> np.ndarray:
        """Where a dose is none of the levels and in none of the bins."""
        if self.edges is None:
            return np.abs(self.doses[self.index(doses)] - doses) > 1e-9
        inside = (doses >= self.edges[0]) & (doses <= self.edges[-1])
        return ~(inside | ((doses == 0) & self.zero))

    def label(self, at: int) -> str:
        """What the level means, in words."""
        if self.grid:
            parts = np.unravel_index(at, tuple(self.grid.values()))
            return ", ".join(f"{name} {part}" for name, part in zip(self.grid, parts, strict=True))
        if self.edges is None:
            return f"{self.name} {self.doses[at]:g} {self.unit.removeprefix('1')}".strip()
        if self.zero and at == 0:
            return f"{self.name} 0"
        low, high = self.edges[at - self.zero], self.edges[at - self.zero + 1]
        return f"{self.name} {low:g} to {high:g} {self.unit} ({self.doses[at]:g})"


def make_levels(name: str, column: Column, settings: Actions) -> Levels:
    """Off and on of a binary column, the codes of a categorical one, bins of a dose."""
    if column.kind == "binary":
        return Levels(name, column.unit, np.array([0.0, 1.0]))
    if column.kind == "categorical":
        count = settings.num or (int(column.high) + 1 if column.high is not None else 0)
        if count < 2:
            raise FeedError(
                f"feed.roles.action.{name}: how many codes there are is not known: give high, or actions.num"
            )
        grid = column.grid if count == prod(column.grid.values()) else {}
        return Levels(name, column.unit, np.arange(count, dtype=np.float64), grid=grid)
    edges = np.array(settings.edges.get(name, ()), np.float64)
    if not len(edges):
        if column.high is None:
            raise FeedError(f"feed.roles.action.{name}: bins need high, or feed.actions.edges.{name}")
        edges = np.linspace(column.low or 0.0, column.high, settings.bins + 1)
    if len(edges) < 2 or not (np.diff(edges) > 0).all() or edges[0] < 0:
        raise FeedError(f"feed.actions.edges.{name}: edges must rise from 0 or more, and there must be two at least")
    means = {"centre": (edges[1:] + edges[:-1]) / 2, "lower": edges[:-1], "upper": edges[1:]}[settings.representative]
    if settings.zero and means[0] == 0:
        raise FeedError(f"feed.actions: the lowest bin of {name} would mean no dose, which zero=true makes a level: "
                        "choose another representative, or begin the edges above 0")  # fmt: skip
    doses = np.concatenate([[0.0], means]) if settings.zero else means
    return Levels(name, column.unit, doses, edges, settings.zero, settings.representative == "upper")


@dataclass(frozen=True)
class Steps:
    """Changes of a dose from the one in force."""

    name: str
    unit: str
    settings: Actions
    deltas: np.ndarray = field(init=False)  # [D] rising, 0 in the middle

    def __post_init__(self) -> None:
        settings = self.settings
        most = round(settings.max_step / settings.step)
        if abs(most * settings.step - settings.max_step) > 1e-9 or most < 1:
            raise FeedError("feed.actions: max_step must be a multiple of step")
        if not 0 <= settings.floor < settings.cap:
            raise FeedError("feed.actions: floor must lie between 0 and cap")
        object.__setattr__(self, "deltas", np.arange(-most, most + 1) * settings.step)

    @property
    def step(self) -> float:
        return self.settings.step

    def _within(self, dose: np.ndarray) -> np.ndarray:
        return np.clip(dose, self.settings.floor, self.settings.cap)

    def reachable(self, before: np.ndarray) -> np.ndarray:
        """The changes [N, D] that stay between floor and cap; staying is always among them."""
        wanted = self._within(before)[:, None] + self.deltas
        return (wanted >= self.settings.floor - 1e-9) & (wanted <= self.settings.cap + 1e-9)

    def index(self, dose: np.ndarray, before: np.ndarray) -> np.ndarray:
        """The reachable change that comes nearest to a dose [N]."""
        wanted = self._within(before)[:, None] + self.deltas
        far = np.where(self.reachable(before), np.abs(wanted - dose[:, None]), np.inf)
        return far.argmin(axis=1)

    def dose(self, index: np.ndarray, before: np.ndarray) -> np.ndarray:
        """The dose [N] that follows; a change that is not reachable goes as far as floor or cap."""
        return self._within(np.round(self._within(before) + self.deltas[index], 12))

    def labels(self) -> tuple[str, ...]:
        return tuple(f"{self.name} {delta:+.4g} {self.unit}".strip() for delta in self.deltas)

    def context(self) -> tuple[str, ...]:
        edges = np.linspace(0.0, self.settings.cap, self.settings.dose_bins + 1)
        return tuple(f"{self.name}_before_{low:.3g}_{high:.3g}" for low, high in pairwise(edges))

    def show(self, before: np.ndarray) -> np.ndarray:
        """The current dose, one-hot [N, bins]."""
        count = self.settings.dose_bins
        bins = np.clip((before / self.settings.cap * count + 1e-9).astype(np.int64), 0, count - 1)
        return np.eye(count, dtype=np.float32)[bins]
