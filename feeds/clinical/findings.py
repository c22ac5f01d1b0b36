"""What the checks of patient tables found. It says patient (a salted hash), row and rule, never a value."""

from collections.abc import Iterator

import numpy as np

from feeds.clinical.privacy import pseudonym
from feeds.errors import FeedError
from feeds.findings import Finding, Tally, row_in


class Findings:
    """Collects what the rules find; holds identities only to hash them."""

    def __init__(self, source: str, identities: np.ndarray) -> None:
        self.source, self.tally = source, Tally()
        self._identities = identities  # [P] text, by number of the patient

    def rows(self, rule: str, rows: np.ndarray, patients: np.ndarray, detail: str) -> None:
        """Rows of the table and the numbers of their patients, -1 where there is none, `[D]` each."""
        self.tally.add(rule, len(rows), self._told(rule, rows, patients, detail))

    def _told(self, rule: str, rows: np.ndarray, patients: np.ndarray, detail: str) -> Iterator[Finding]:
        for row, patient in zip(rows, patients, strict=True):
            whose = f", patient {pseudonym(str(self._identities[patient]))}" if patient >= 0 else ""
            yield Finding(rule, f"{row_in(self.source, int(row))}{whose}", int(row), detail)

    def stop(self) -> None:
        """Raises FeedError with the first finding and how many there are."""
        if self.tally.kept:
            raise FeedError(
                f"{self.source}, {self.tally.first()}; findings in all: {self.tally.summed()}. "
                "feed.policy=quarantine leaves such rows or stays out, with a line in the report"
            )
