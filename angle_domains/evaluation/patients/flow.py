"""How patients came into the study and what became of them, as a CONSORT flow tells it."""

from dataclasses import dataclass

import numpy as np

from feeds.clinical.disclosure import told
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.outcomes import outcomes, untold
from feeds.clinical.records import Records
from feeds.clinical.split import SPLITS


@dataclass(frozen=True)
class Part:
    """Patients of one part; deaths are None where they are not told."""

    name: str
    patients: int
    stays: int
    decisions: int
    deaths: int | None  # patients who died, maybe after their record ended
    judged: bool  # the policy is judged on this part


@dataclass(frozen=True)
class Flow:
    """From the table to the parts. Sizes are told whatever they are, outcomes only where enough patients share them."""

    rows_read: int
    stays_read: int
    patients_read: int
    left_out: dict[str, int]  # what was left out in the end, why
    findings: dict[str, int]  # rule -> rows or stays that broke it, whether or not anything was left out for it
    policy: str  # what becomes of those: "error" (there are none then) or "quarantine"
    rows: int  # that are used
    stays: int
    patients: int
    unassigned: int  # patients in no part: of sites that are in neither
    parts: tuple[Part, ...]
    ends: dict[str, int | None]  # stays by how their record ended
    median_hours: float  # of a record

    @property
    def patients_lost(self) -> int:
        """Patients of the table of whom no stay is left."""
        return self.patients_read - self.patients


def outcomes_told(feed: ClinicalFeed, split: str) -> bool:
    """Whether enough patients of a part died and lived for their number, and what follows from it, to be told."""
    return _deaths(feed)[SPLITS.index(split)] is not None


def flow_of(feed: ClinicalFeed, judged: str) -> Flow:
    """From what reading, checking and dealing out left behind; `judged` is the part that the report is of."""
    read, records = feed.check_report, feed.records
    parts, deaths = [feed.part(split) for split in SPLITS], _deaths(feed)
    return Flow(
        rows_read=int(read.facts["rows"]),
        stays_read=int(read.facts["stays"]),
        patients_read=int(read.facts["patients"]),
        left_out=dict(records.counts),
        findings=dict(read.counts),
        policy=read.policy,
        rows=len(records),
        stays=len(records.patient),
        patients=len(records.identities),
        unassigned=int((feed.parts < 0).sum()),
        parts=tuple(_part(name, part, died, judged) for name, part, died in zip(SPLITS, parts, deaths, strict=True)),
        ends=records.ends(),
        median_hours=float(np.median(records.hours[records.stops - 1] - records.hours[records.starts])),
    )


def _deaths(feed: ClinicalFeed) -> list[int | None]:
    """Of every part, None where they are not told."""
    parts = [feed.part(split) for split in SPLITS]
    return told(np.array([outcomes(part)[0] for part in parts]), untold(parts))


def _part(name: str, records: Records, deaths: int | None, judged: str) -> Part:
    stays = len(records.patient)
    return Part(name, len(records.identities), stays, len(records) - stays, deaths, name == judged)
