"""Checked patient records: arrays sorted by stay and time."""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from feeds.clinical.disclosure import HIDDEN, hidden, small, told
from feeds.clinical.schema import Schema

REASONS = ("death", "discharge", "transfer", "hour_cap")
DEATH, DISCHARGE, TRANSFER, HOUR_CAP = range(4)


@dataclass(frozen=True, repr=False)
class Coded:
    """A categorical column: numbers of its categories, -1 where it is missing."""

    codes: Int[np.ndarray, " n"]
    names: tuple[str, ...]

    def take(self, rows: np.ndarray) -> "Coded":
        return Coded(self.codes[rows], self.names)


@dataclass(frozen=True, repr=False)
class Records:
    """N rows of S stays of P patients, stay after stay, each in order of time. Missing values are NaN."""

    schema: Schema
    row: Int[np.ndarray, " n"]  # of the table, from 1
    stay: Int[np.ndarray, " n"]  # 0 … S-1, rising
    hours: Float[np.ndarray, " n"]
    patient: Int[np.ndarray, " s"]  # 0 … P-1
    reason: Int[np.ndarray, " s"]  # index in REASONS: how the record ended
    died: Bool[np.ndarray, " s"]  # the patient's outcome, maybe after the record ended
    values: dict[str, np.ndarray]  # numeric and binary columns [N] float64
    coded: dict[str, Coded]  # categorical columns
    site: Int[np.ndarray, " s"]
    sites: tuple[str, ...]
    identities: np.ndarray  # [P] text; never shown
    notes: tuple[str, ...] = ()
    source: str = ""
    counts: dict[str, int] = field(default_factory=dict)  # what reading left out, and why
    deaths_lost: dict[str, int] = field(default_factory=dict)  # stays among it that ended by death, by why
    given: Int[np.ndarray, " p"] | None = None  # the part that the data name: of train, validation, test

    def __len__(self) -> int:
        return len(self.row)

    @property
    def starts(self) -> Int[np.ndarray, " s"]:
        """The first row of each stay."""
        return np.searchsorted(self.stay, np.arange(len(self.patient)))

    @property
    def stops(self) -> Int[np.ndarray, " s"]:
        """The row behind the last of each stay."""
        return np.searchsorted(self.stay, np.arange(len(self.patient)), side="right")

    @property
    def died_patients(self) -> Bool[np.ndarray, " p"]:
        """Who died, in a stay or after it."""
        return np.asarray(np.bincount(self.patient, self.died, len(self.identities)) > 0)

    @property
    def first(self) -> Bool[np.ndarray, " n"]:
        return np.diff(self.stay, prepend=-1) != 0

    def of(self, patients: Bool[np.ndarray, " p"]) -> "Records":
        """The records of some patients alone, who are numbered anew."""
        return self.stays(patients[self.patient])

    def stays(self, keep: Bool[np.ndarray, " s"], rows: np.ndarray | None = None) -> "Records":
        """Some stays alone, of them the `rows` alone; stays and patients are numbered anew."""
        chosen = keep[self.stay] if rows is None else keep[self.stay] & rows
        patients, patient = np.unique(self.patient[keep], return_inverse=True)
        return replace(
            self,
            row=self.row[chosen],
            stay=(np.cumsum(keep) - 1)[self.stay[chosen]],
            hours=self.hours[chosen],
            patient=patient,
            reason=self.reason[keep],
            died=self.died[keep],
            values={name: column[chosen] for name, column in self.values.items()},
            coded={name: column.take(chosen) for name, column in self.coded.items()},
            site=self.site[keep],
            identities=self.identities[patients],
            given=None if self.given is None else self.given[patients],
        )

    def ends(self) -> dict[str, int | None]:
        """Stays by how their record ended; None where that is not told."""
        stays = np.bincount(self.reason, minlength=len(REASONS))
        *patients, late = endings(self).tolist()
        return dict(zip(REASONS, told(stays, hidden(np.array(patients)) | bool(small(late))), strict=True))

    def digest(self) -> str:
        """Sha256 of times, ends, values and given parts; no identity goes into it."""
        total = hashlib.sha256()
        given = () if self.given is None else (self.given,)
        for array in (self.stay, self.hours, self.patient, self.reason, self.died, self.site, *given):
            total.update(np.ascontiguousarray(array).tobytes())
        for name in sorted(self.values):
            total.update(name.encode() + np.ascontiguousarray(self.values[name]).tobytes())
        for name in sorted(self.coded):
            coded = self.coded[name]
            total.update("\n".join((name, *coded.names)).encode() + np.ascontiguousarray(coded.codes).tobytes())
        return total.hexdigest()

    def describe(self) -> dict[str, Any]:
        """What the records are, JSON-ready: names of columns and counts of at least a part, nobody's value."""
        kinds = {name: self.schema.kind(name) for name in (*self.values, *self.coded)}
        units = {**self.schema.state, **self.schema.action}
        schema = {name: f"{kind} {units[name].unit}".strip() if name in units else kind for name, kind in kinds.items()}
        return {
            "name": self.source.rstrip("/").rsplit("/", 1)[-1] or "records",
            "digest": self.digest(),
            "source": self.source,
            "schema": schema,
            "profile": {
                "rows": len(self),
                "stays": len(self.patient),
                "patients": len(self.identities),
                "ends": {name: HIDDEN if count is None else count for name, count in self.ends().items()},
                "left_out": dict(self.counts),
                "notes": list(self.notes),
            },
        }


def endings(records: Records) -> Int[np.ndarray, " e"]:
    """Patients by REASONS, and behind them those who died without a record that ended so: deaths that came later.

    Whoever tells of all deaths, and of records that ended by one, tells of these too.
    """
    patients = [len(np.unique(records.patient[records.reason == reason])) for reason in range(len(REASONS))]
    return np.array([*patients, abs(int(records.died_patients.sum()) - patients[DEATH])])
