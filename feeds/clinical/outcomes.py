"""Patients by outcome, and where these are told: one answer for reports and audits, which would undo each other's."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from feeds.clinical.disclosure import hidden, small
from feeds.clinical.records import Records, endings
from feeds.clinical.split import SPLITS


def outcomes(records: Records) -> tuple[int, int]:
    """Patients who died, in a record or after it, and patients who lived."""
    died = records.died_patients
    return int(died.sum()), int((~died).sum())


def untold(parts: Sequence[Records]) -> Bool[np.ndarray, " r"]:
    """Of which of the parts, in the order of SPLITS, it is not told how many died: all, where few did so or lived."""
    table = np.array([outcomes(part) for part in parts])
    return np.asarray(hidden(table, SPLITS.index("train")) | bool(small(table.sum(0)).any()))


def ends_untold(parts: Sequence[Records]) -> Bool[np.ndarray, " r"]:
    """Likewise of how records ended: that tells of deaths, and beside them of those that came later."""
    return np.asarray(untold(parts) | hidden(np.stack([endings(part) for part in parts]), SPLITS.index("train")))
