"""What the checks of patient tables found. It says patient (a salted hash), row and rule, never a value."""

from dataclasses import dataclass, field

import numpy as np

from feeds.clinical.privacy import pseudonym
from feeds.errors import FeedError

MOST = 1000  # findings of one rule that are kept; all are counted
_SHOWN = 50  # of them in the text


@dataclass(frozen=True)
class Finding:
    """One row or stay that broke one rule."""

    rule: str
    row: int | None  # of the table, from 1, a header not counted
    patient: str | None  # salted hash
    detail: str

    def __str__(self) -> str:
        places = [f"row {self.row}" if self.row else "", f"patient {self.patient}" if self.patient else ""]
        return f"{', '.join(place for place in places if place)}: {self.detail} [{self.rule}]"


@dataclass(frozen=True)
class CheckReport:
    """What was read and what was found."""

    source: str
    rows: int
    stays: int
    patients: int
    policy: str
    findings: tuple[Finding, ...] = ()  # at most MOST of each rule
    counts: dict[str, int] = field(default_factory=dict)  # rule -> all of them
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """The report in lines: source, size, findings one by one, notes."""
        lines = [
            f"source    {self.source}",
            f"rows      {self.rows:,}",
            f"stays     {self.stays:,}",
            f"patients  {self.patients:,}",
            f"findings  {sum(self.counts.values()):,} (policy {self.policy})",
        ]
        for rule, count in self.counts.items():
            shown = [finding for finding in self.findings if finding.rule == rule][:_SHOWN]
            lines += [f"  {rule}: {count:,}", *(f"    {finding}" for finding in shown)]
            lines += [f"    and {count - len(shown):,} more"] if count > len(shown) else []
        return "\n".join(lines + [f"note      {note}" for note in self.notes])


def counted(number: int, noun: str) -> str:
    """ "1 stay", "12 stays"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


class Findings:
    """Collects what the rules find; holds identities only to hash them."""

    def __init__(self, source: str, identities: np.ndarray) -> None:
        self.source = source
        self._identities = identities  # [P] text, by number of the patient
        self.kept: list[Finding] = []
        self.counts: dict[str, int] = {}

    def rows(self, rule: str, rows: np.ndarray, patients: np.ndarray, detail: str) -> None:
        """Rows of the table and the numbers of their patients, -1 where there is none, `[D]` each."""
        if not len(rows):
            return
        self.counts[rule] = self.counts.get(rule, 0) + len(rows)
        room = max(0, MOST - sum(finding.rule == rule for finding in self.kept))
        for row, patient in zip(rows[:room].tolist(), patients[:room].tolist(), strict=True):
            name = pseudonym(str(self._identities[patient])) if patient >= 0 else None
            self.kept.append(Finding(rule, row, name, detail))

    def stop(self) -> None:
        """Raises FeedError with the first finding and how many there are."""
        if not self.kept:
            return
        first = min(self.kept, key=lambda finding: finding.row or 0)
        rules = ", ".join(f"{rule} {number:,}" for rule, number in self.counts.items())
        raise FeedError(
            f"{self.source}, {first}; findings in all: {sum(self.counts.values()):,} ({rules}). "
            "feed.policy=quarantine leaves such rows or stays out, with a line in the report"
        )
