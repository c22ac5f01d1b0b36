"""Doses as actions and back: one codec serves learner, evaluation and report.

codec      an action is                                            decodes to
binary     for each column on or off                               0 or 1
block      for each column on or off, or a bin of the dose         the bin's stated representative; no dose is a level
stepwise   on or off, and a change of the dose in steps            the dose in force plus the change
box        the doses themselves, on or off from one half on        itself
discrete   the number that already stands in the column            itself

Doses are in the units of the schema, `[N, K]`, K columns. `before` [N, K] is what was in force when the decision was
taken, zeros at the start of a stay. Decoding never needs more, so a codec can drive a simulation.
With `persist` a column that is on stays on: turning it off is masked, and what was recorded as off later counts as on.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium import spaces
from jaxtyping import Bool, Float

from feeds.clinical.config import Actions
from feeds.clinical.levels import Levels, Steps, make_levels
from feeds.clinical.schema import Column, Schema
from feeds.errors import FeedError, nearest


@runtime_checkable
class Codec(Protocol):
    """Doses to actions and back."""

    columns: tuple[str, ...]
    units: dict[str, str]
    labels: tuple[str, ...]  # of the actions; empty where they are not numbered
    context: tuple[str, ...]  # names of what a state must show for the mask to be known

    @property
    def space(self) -> spaces.Space[Any]: ...

    def encode(self, doses: Float[np.ndarray, "n k"], before: Float[np.ndarray, "n k"]) -> np.ndarray: ...

    def decode(self, action: np.ndarray, before: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]: ...

    def mask(self, before: Float[np.ndarray, "n k"]) -> Bool[np.ndarray, "n a"] | None:
        """The actions that are allowed, at least one in each row; None where all always are."""
        ...

    def clipped(self, doses: Float[np.ndarray, "n k"], before: Float[np.ndarray, "n k"]) -> Bool[np.ndarray, " n"]:
        """Where no action means the dose: it was moved into what can be expressed."""
        ...

    def show(self, before: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n c"]:
        """The context, between 0 and 1 where the columns have bounds."""
        ...


class ProductCodec:
    """Every combination of one level for each column; the last column changes fastest."""

    def __init__(self, levels: Sequence[Levels], persist: frozenset[str], *, show: bool) -> None:
        self.levels = tuple(levels)
        self.persist = tuple(level.name in persist for level in levels)
        self.columns = tuple(level.name for level in levels)
        self.units = {level.name: level.unit for level in levels}
        self.shape = tuple(len(level.doses) for level in levels)
        self.space = spaces.Discrete(int(np.prod(self.shape)))
        self._table = np.stack(np.unravel_index(np.arange(int(self.space.n)), self.shape), axis=1)  # [A, K]
        self.labels = tuple(
            ", ".join(level.label(int(at)) for level, at in zip(self.levels, row, strict=True)) for row in self._table
        )
        shown = [name for name, stays in zip(self.columns, self.persist, strict=True) if show or stays]
        self.context = tuple(f"{name}_before" for name in shown)
        self._shown = [self.columns.index(name) for name in shown]

    def encode(self, doses: np.ndarray, before: np.ndarray) -> np.ndarray:
        doses = self._held(doses, before)
        indices = tuple(level.index(doses[:, k]) for k, level in enumerate(self.levels))
        return np.ravel_multi_index(indices, self.shape).astype(np.int64)

    def decode(self, action: np.ndarray, before: np.ndarray) -> np.ndarray:
        chosen = self._table[np.asarray(action, np.int64)]
        doses = np.stack([level.doses[chosen[:, k]] for k, level in enumerate(self.levels)], axis=1)
        return self._held(doses, before)

    def mask(self, before: np.ndarray) -> np.ndarray | None:
        if not any(self.persist):
            return None
        allowed = np.ones((len(before), len(self._table)), bool)
        for k, stays in enumerate(self.persist):
            if stays:
                allowed &= (self._table[:, k] > 0)[None, :] | (before[:, k] <= 0)[:, None]
        return allowed

    def clipped(self, doses: np.ndarray, before: np.ndarray) -> np.ndarray:
        return np.any([level.outside(doses[:, k]) for k, level in enumerate(self.levels)], axis=0)

    def show(self, before: np.ndarray) -> np.ndarray:
        tops = np.array([level.top for level in self.levels])
        return (before / tops)[:, self._shown].astype(np.float32)

    def _held(self, doses: np.ndarray, before: np.ndarray) -> np.ndarray:
        return np.where(self.persist & (before > 0) & (doses <= 0), before, doses)


class StepwiseCodec:
    """Changes of one dose under a rate limit, times on or off of the other columns.

    A dose in force below the floor or above the cap counts as floor or cap. `before` gives the grid: a dose between
    two reachable ones is the nearer.
    """

    def __init__(
        self, steps: Steps, others: Sequence[Levels], columns: Sequence[str], persist: frozenset[str], *, show: bool
    ) -> None:
        self.steps = steps
        self.columns = tuple(columns)
        self._dose = self.columns.index(steps.name)
        self._rest = [k for k in range(len(self.columns)) if k != self._dose]
        self._others = ProductCodec(others, persist, show=show) if others else None
        self._many = int(self._others.space.n) if self._others else 1
        self.units = {steps.name: steps.unit} | (self._others.units if self._others else {})
        self.space = spaces.Discrete(self._many * len(steps.deltas))
        rest = self._others.labels if self._others else ("",)
        self.labels = tuple(f"{label}, {step}".removeprefix(", ") for label in rest for step in steps.labels())
        self.context = steps.context() + (self._others.context if self._others else ())

    def encode(self, doses: np.ndarray, before: np.ndarray) -> np.ndarray:
        step = self.steps.index(doses[:, self._dose], before[:, self._dose])
        return self._other(doses, before) * len(self.steps.deltas) + step

    def decode(self, action: np.ndarray, before: np.ndarray) -> np.ndarray:
        other, step = np.divmod(np.asarray(action, np.int64), len(self.steps.deltas))
        doses = np.empty(before.shape)
        doses[:, self._dose] = self.steps.dose(step, before[:, self._dose])
        if self._others:
            doses[:, self._rest] = self._others.decode(other, before[:, self._rest])
        return doses

    def mask(self, before: np.ndarray) -> np.ndarray | None:
        reachable = self.steps.reachable(before[:, self._dose])
        other = self._others.mask(before[:, self._rest]) if self._others else None
        if other is None:
            return np.tile(reachable, (1, self._many))
        return (other[:, :, None] & reachable[:, None, :]).reshape(len(before), -1)

    def clipped(self, doses: np.ndarray, before: np.ndarray) -> np.ndarray:
        meant = self.decode(self.encode(doses, before), before)[:, self._dose]
        return np.abs(meant - doses[:, self._dose]) > self.steps.step / 2 + 1e-9

    def show(self, before: np.ndarray) -> np.ndarray:
        parts = [self.steps.show(before[:, self._dose])]
        parts += [self._others.show(before[:, self._rest])] if self._others else []
        return np.concatenate(parts, axis=1).astype(np.float32)

    def _other(self, doses: np.ndarray, before: np.ndarray) -> np.ndarray:
        if not self._others:
            return np.zeros(len(doses), np.int64)
        return self._others.encode(doses[:, self._rest], before[:, self._rest])


class BoxCodec:
    """Doses as they are, in their units; a binary column is on from one half on."""

    labels: tuple[str, ...] = ()

    def __init__(self, columns: dict[str, Column], persist: frozenset[str], *, show: bool) -> None:
        self.columns = tuple(columns)
        self.units = {name: column.unit for name, column in columns.items()}
        self._binary = np.array([column.kind == "binary" for column in columns.values()])
        self._persist = np.array([name in persist for name in columns])
        bounds = [(0.0, 1.0) if column.kind == "binary" else _bounds(name, column) for name, column in columns.items()]
        self._low, self._high = (np.array(side) for side in zip(*bounds, strict=True))
        self.space = spaces.Box(self._low.astype(np.float32), self._high.astype(np.float32), dtype=np.float32)
        self._shown = [k for k in range(len(columns)) if show or self._persist[k]]
        self.context = tuple(f"{self.columns[k]}_before" for k in self._shown)

    def encode(self, doses: np.ndarray, before: np.ndarray) -> np.ndarray:
        action = np.clip(self._held(doses, before), self._low, self._high).astype(np.float32)
        return np.clip(action, self.space.low, self.space.high)

    def decode(self, action: np.ndarray, before: np.ndarray) -> np.ndarray:
        doses = np.clip(np.asarray(action, np.float64), self._low, self._high)
        return self._held(np.where(self._binary, doses >= 0.5, doses), before)

    def mask(self, before: np.ndarray) -> np.ndarray | None:
        return None

    def clipped(self, doses: np.ndarray, before: np.ndarray) -> np.ndarray:
        return np.any((doses < self._low) | (doses > self._high), axis=1)

    def show(self, before: np.ndarray) -> np.ndarray:
        return (before / np.maximum(np.abs(self._high), 1e-12))[:, self._shown].astype(np.float32)

    def _held(self, doses: np.ndarray, before: np.ndarray) -> np.ndarray:
        return np.where(self._persist & (before > 0) & (doses < 0.5), before, doses)


def make_codec(schema: Schema, settings: Actions, *, show: bool = False) -> Codec:
    """The codec that the settings name; `show`: states hold the doses of the row before."""
    columns = _chosen(schema, settings)
    kinds = {column.kind for column in columns.values()}
    for name in settings.persist:
        if name not in columns or columns[name].kind != "binary":
            raise FeedError(f"feed.actions.persist: '{name}' is no binary action column; {nearest(name, columns)}")
    kind, persist = codec_kind(schema, settings), frozenset(settings.persist)
    if kind == "binary" and kinds != {"binary"}:
        raise FeedError("feed.actions.codec=binary needs binary columns; choose them by feed.actions.columns")
    if kind == "box":
        return BoxCodec(columns, persist, show=show)
    if kind == "stepwise":
        doses = [name for name, column in columns.items() if column.kind == "numeric"]
        if len(doses) != 1:
            raise FeedError(f"feed.actions.codec=stepwise needs one numeric column, and here are {len(doses)}")
        others = [make_levels(name, column, settings) for name, column in columns.items() if name != doses[0]]
        steps = Steps(doses[0], columns[doses[0]].unit, settings)
        return StepwiseCodec(steps, others, tuple(columns), persist, show=show)
    if kind == "discrete" and len(columns) != 1:
        raise FeedError("feed.actions.codec=discrete needs one column that is already coded; see feed.actions.columns")
    return ProductCodec([make_levels(name, column, settings) for name, column in columns.items()], persist, show=show)


def codec_kind(schema: Schema, settings: Actions) -> str:
    """The name of the codec; by itself it follows from the kinds of the columns."""
    if settings.codec != "auto":
        return settings.codec
    kinds = {column.kind for column in _chosen(schema, settings).values()}
    return "discrete" if kinds == {"categorical"} else "binary" if kinds == {"binary"} else "block"


def _chosen(schema: Schema, settings: Actions) -> dict[str, Column]:
    for name in settings.columns:
        if name not in schema.action:
            raise FeedError(f"feed.actions.columns: no action column '{name}'; {nearest(name, schema.action)}")
    return {name: schema.action[name] for name in settings.columns or schema.action}


def _bounds(name: str, column: Column) -> tuple[float, float]:
    if column.low is None or column.high is None or column.low >= column.high:
        raise FeedError(f"feed.roles.action.{name}: a box needs low and high, in the unit of the column")
    return column.low, column.high
