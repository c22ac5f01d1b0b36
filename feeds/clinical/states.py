"""What an agent sees of a patient: values, what is new, how old it is; fitted on training patients alone.

An observation is laid out in blocks: `values` (scaled; categories one-hot with one for unknown), `new` (1 where a value
was measured since the row before), `since` (days since it was measured), `elapsed` (days since the stay began) and
`dose` (what ran before the decision, where the codec needs it). What is missing or too old is 0, the training mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from feeds.base import Block
from feeds.clinical.config import States
from feeds.clinical.fill import Filled, newest
from feeds.clinical.records import Records
from feeds.clinical.schema import Column, Schema
from feeds.errors import FeedError, nearest
from feeds.scale import Standardiser, moments, rescaled

UNKNOWN = "unknown"
_NEVER = 168.0  # hours that stand for "never measured" where values have no maximum age
_DAY = 24.0


@dataclass(frozen=True)
class Fitted:
    """What was learned of the training patients; JSON-ready by `state_dict`."""

    scaler: Standardiser
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)  # in sorted order, without `unknown`

    def state_dict(self) -> dict[str, Any]:
        return {
            "names": list(self.scaler.names),
            "mean": self.scaler.mean.tolist(),
            "scale": self.scaler.scale.tolist(),
            "categories": {name: list(names) for name, names in self.categories.items()},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Fitted":
        scaler = Standardiser(
            tuple(state["names"]), np.array(state["mean"], np.float64), np.array(state["scale"], np.float64)
        )
        return cls(scaler, {name: tuple(names) for name, names in state["categories"].items()})


class StateCoder:
    """Records of any part to observations. Nothing of a row hangs on a later one."""

    def __init__(self, schema: Schema, settings: States, fitted: Fitted | None = None) -> None:
        self.settings = settings
        self.columns = _columns(schema, settings)
        self.static = frozenset(schema.static)
        self.lagged = schema.lagged | set(settings.lag)
        self.fitted = fitted

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns, as they are seen: what is lagged says so."""
        return tuple(f"{name}_before" if name in self.lagged else name for name in self.columns)

    def fit(self, records: Records) -> "StateCoder":
        """The same coder, scalers and categories fitted on these records."""
        categories = {
            name: column.categories or _shared(records, name, self.settings.rare)
            for name, column in self.columns.items()
            if column.kind == "categorical"
        }
        coder = self._with(Fitted(Standardiser((), np.zeros(0), np.zeros(0)), categories))
        names, means, scales = [], [], []
        for name in coder.scaled():
            values, known, _ = coder._column(records, name)
            mean, scale = moments(values, known)
            names.append(name)
            means.append(mean)
            scales.append(scale)
        scaler = Standardiser(tuple(names), np.array(means, np.float64), np.array(scales, np.float64))
        return self._with(Fitted(scaler, categories))

    def scaled(self) -> list[str]:
        """Columns of which mean and deviation are taken off."""
        if self.settings.scale == "none":
            return []
        labels = ("numeric",) if self.settings.encode == "one_hot" else ("numeric", "categorical")
        return [name for name, column in self.columns.items() if column.kind in labels]

    def blocks(self, context: tuple[str, ...] = ()) -> tuple[Block, ...]:
        """How an observation is laid out; `context` names what the codec adds."""
        entries = [("values", self._value_names())]
        entries += [("new", self.names)] if self.settings.masks else []
        entries += [("since", self.names)] if self.settings.since else []
        entries += [("elapsed", ("elapsed",))] if self.settings.elapsed else []
        entries += [("dose", context)] if context else []
        blocks: list[Block] = []
        for name, names in entries:
            blocks.append(Block(name, blocks[-1].stop if blocks else 0, (len(names),), names))
        return tuple(blocks)

    def encode(self, records: Records) -> np.ndarray:
        """Observations [N, D] float32, without the codec's block."""
        values, new, since = [], [], []
        for name in self.columns:
            column, known, filled = self._column(records, name)
            values.append(self._scaled(name, column, known))
            new.append(filled.new.astype(np.float32)[:, None])
            most = self._max_age(name) or _NEVER
            since.append((np.minimum(filled.age, most) / _DAY).astype(np.float32)[:, None])
        parts = [*values, *(new if self.settings.masks else []), *(since if self.settings.since else [])]
        if self.settings.elapsed:
            elapsed = records.hours - records.hours[records.starts][records.stay]
            parts.append((elapsed / _DAY).astype(np.float32)[:, None])
        return np.concatenate(parts, axis=1)

    def measured(self, records: Records) -> np.ndarray:
        """Which values [N, V] bool are new in their row; those of columns that never change count as new."""
        assert self.fitted is not None
        parts = []
        for name, column in self.columns.items():
            wide = column.kind == "categorical" and self.settings.encode == "one_hot"
            entries = len(self.fitted.categories[name]) + 1 if wide else 1
            new = np.ones(len(records), bool) if name in self.static else self._column(records, name)[2].new
            parts.append(np.repeat(new[:, None], entries, axis=1))
        return np.concatenate(parts, axis=1)

    def _with(self, fitted: Fitted) -> "StateCoder":
        coder = StateCoder.__new__(StateCoder)
        coder.__dict__.update(self.__dict__, fitted=fitted)
        return coder

    def _max_age(self, name: str) -> float | None:
        if name in self.static:
            return None
        return self.columns[name].max_age or self.settings.max_age

    def _column(self, records: Records, name: str) -> tuple[np.ndarray, np.ndarray, Filled]:
        """One column as it was known, codes where it is categorical; and where it is known and not too old."""
        assert self.fitted is not None
        column = self.columns[name]
        if column.kind == "categorical":
            raw, present = _coded(records, name, self.fitted.categories[name])
        else:
            raw = records.values[name]
            present = ~np.isnan(raw)
        filled = newest(present, records.stay, records.hours, delay=column.delay, lag=name in self.lagged)
        most = self._max_age(name)
        known = (filled.source >= 0) & (filled.age <= (np.inf if most is None else most))
        return np.where(known, raw[np.maximum(filled.source, 0)], 0.0), known, filled

    def _scaled(self, name: str, values: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Columns [N, F] float32 of one column of the table."""
        assert self.fitted is not None
        categorical = self.columns[name].kind == "categorical"
        count = len(self.fitted.categories.get(name, ()))
        if categorical and self.settings.encode == "one_hot":
            codes = np.where(known, values, count).astype(np.int64)
            return np.eye(count + 1, dtype=np.float32)[codes]
        if categorical:
            values, known = np.where(known, values, count), np.ones(len(values), bool)
        if name in self.fitted.scaler.names:
            at = self.fitted.scaler.names.index(name)
            mean, scale = float(self.fitted.scaler.mean[at]), float(self.fitted.scaler.scale[at])
            values = rescaled(values, known, mean, scale)
            if self.settings.clip is not None:
                values = np.clip(values, -self.settings.clip, self.settings.clip)
        return values.astype(np.float32)[:, None]

    def _value_names(self) -> tuple[str, ...]:
        assert self.fitted is not None
        names: list[str] = []
        for name, shown in zip(self.columns, self.names, strict=True):
            if self.columns[name].kind == "categorical" and self.settings.encode == "one_hot":
                names += [f"{shown}={category}" for category in (*self.fitted.categories[name], UNKNOWN)]
            else:
                names.append(shown)
        return tuple(names)


def _columns(schema: Schema, settings: States) -> dict[str, Column]:
    for key, names in (("lag", settings.lag), ("drop", settings.drop)):
        for name in names:
            if name not in schema.state:
                raise FeedError(f"feed.states.{key}: no state column '{name}'; {nearest(name, schema.state)}")
    return {name: column for name, column in schema.state.items() if name not in settings.drop}


def _shared(records: Records, name: str, least: int) -> tuple[str, ...]:
    """Categories that so many patients have: a name that few share, free text perhaps, would go with the model."""
    coded = records.coded[name]
    there = coded.codes >= 0
    held = np.unique(np.stack([coded.codes[there], records.patient[records.stay[there]]]), axis=1)[0]
    count = np.bincount(held, minlength=len(coded.names))
    return tuple(text for text, patients in zip(coded.names, count, strict=True) if patients >= max(1, least))


def _coded(records: Records, name: str, categories: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers by the fitted categories, the next one for any other; and where a category stands at all."""
    coded = records.coded[name]
    number = {category: at for at, category in enumerate(categories)}
    table = np.array([number.get(text, len(categories)) for text in coded.names] or [0], np.float64)
    return table[np.maximum(coded.codes, 0)], coded.codes >= 0
