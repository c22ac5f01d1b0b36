"""What was given and what the policy would have given, drug by drug, in the order of the recorded decisions.

The policy's decision is that of the policy that is valued: its likeliest action in the recorded situation, or one drawn
from its probabilities where it draws, so that tables and values are of one policy. What its own decisions would have
led to, and so what it would have done next, no record tells.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from gymnasium import spaces
from jaxtyping import Bool, Float, Int

from angle_domains.evaluation.cohort import Intended
from feeds.base import Rows
from feeds.clinical.disclosure import small
from feeds.clinical.episodes import doses_of
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.schema import Column

_CLOSE = 0.05  # of a dose's range, within which continuous doses are alike


@dataclass(frozen=True)
class Component:
    """One part of the action over D decisions: a drug, or what a digit of a coded action stands for."""

    name: str
    unit: str  # empty: a pure number
    kind: Literal["binary", "dose", "level"]
    top: float  # the highest that it can be, in its unit
    given: Float[np.ndarray, " d"]  # as recorded
    coded: Float[np.ndarray, " d"]  # the recorded one as the policy's actions can express it
    meant: Float[np.ndarray, " d"]  # what the policy would have given
    tolerance: float  # within which two are alike

    @property
    def alike(self) -> Bool[np.ndarray, " d"]:
        return np.abs(self.meant - self.coded) <= self.tolerance

    @property
    def change(self) -> Float[np.ndarray, " d"]:
        """Recommended minus what was truly given; nothing where both are the same action."""
        return np.where(self.alike, 0.0, self.meant - self.given)


@dataclass(frozen=True)
class Decided:
    """D decisions of P patients."""

    components: tuple[Component, ...]
    patient: Int[np.ndarray, " d"]  # 0 … P-1
    stay: Int[np.ndarray, " d"]
    hour: Float[np.ndarray, " d"]  # since the stay began
    died: Bool[np.ndarray, " p"]
    row: Int[np.ndarray, " d"]  # of the part
    secret: bool = False  # how many died is not told, here or on the page of another part

    @property
    def few(self) -> bool:
        """Nothing is told by outcome: it would tell of few."""
        return self.secret or bool(small(int(self.died.sum())) | small(int((~self.died).sum())))


def decided(feed: ClinicalFeed, split: str, rows: Rows, intent: Intended, *, secret: bool = False) -> Decided:
    """The decisions of one part, whose rows and intentions these are."""
    records, row = feed.part(split), np.flatnonzero(~rows.last)
    doses = doses_of(records, feed.codec, feed.config)
    before = doses.before[row]
    coded, meant = (feed.codec.decode(action[row], before) for action in (rows.action, intent.action))
    given, exact = doses.decided[row], isinstance(feed.spec.action_space, spaces.Discrete)
    components: list[Component] = []
    for k, name in enumerate(feed.codec.columns):
        column = feed.records.schema.action[name]
        columns = (given[:, k], coded[:, k], meant[:, k])
        components += _levels(column, *columns) if column.grid else [_component(name, column, *columns, exact=exact)]
    hours = records.hours - records.hours[records.starts][records.stay]
    return Decided(
        tuple(components), rows.entity[row], records.stay[row], hours[row], records.died_patients, row, secret
    )


def _component(
    name: str, column: Column, given: np.ndarray, coded: np.ndarray, meant: np.ndarray, *, exact: bool
) -> Component:
    kinds = {"binary": "binary", "numeric": "dose", "categorical": "level"}
    top = 1.0 if column.kind == "binary" else float(column.high or max(given.max(initial=0.0), meant.max(initial=0.0)))
    near = 1e-9 if exact or column.kind == "binary" else _CLOSE * (top - (column.low or 0.0))
    unit = "" if column.unit == "1" else column.unit.replace("ug", "µg")
    return Component(name, unit, kinds[column.kind], top, given, coded, meant, near)  # type: ignore[arg-type]


def _levels(column: Column, given: np.ndarray, coded: np.ndarray, meant: np.ndarray) -> list[Component]:
    """What each digit of a coded action stands for."""
    shape = tuple(column.grid.values())
    sides = [np.unravel_index(code.astype(np.int64), shape) for code in (given, coded, meant)]
    found = []
    for k, (name, levels) in enumerate(column.grid.items()):
        had, could, would = (side[k].astype(np.float64) for side in sides)
        found.append(Component(name, "", "level", float(levels - 1), had, could, would, 1e-9))
    return found
