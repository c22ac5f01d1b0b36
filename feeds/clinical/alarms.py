"""Rows at which an alarm could be raised, and whether what it warns of begins soon after.

Nothing at or after an onset is a row for an alarm: the drug that treats it, the lab that proves it would tell. The
hours just before it, the gap, are left out too, for what is charted late. A row whose future the record does not hold
to the end of the horizon, and in which nothing begins, is left out as well: it is censored, not negative.
"""

from typing import NamedTuple

import numpy as np

from feeds.clinical.records import Records


class Alarms(NamedTuple):
    """Rows of the records and what is true of them."""

    row: np.ndarray  # [M] int
    label: np.ndarray  # [M] bool: the onset comes within the horizon
    lead: np.ndarray  # [M] hours until the onset, infinite where none comes


def alarm_rows(records: Records, onset: np.ndarray, *, horizon: float, gap: float = 0.0) -> Alarms:
    """`onset` [S] hours on the clock of the records, NaN where nothing begins; horizon and gap in hours."""
    when = np.where(np.isnan(onset), np.inf, onset)[records.stay]
    lead = when - records.hours
    last = records.hours[records.stops - 1][records.stay]
    label = (lead > gap) & (lead <= gap + horizon)
    negative = (lead > gap + horizon) & (np.minimum(last, when) - records.hours >= gap + horizon)
    row = np.flatnonzero(label | negative)
    return Alarms(row, label[row], lead[row])


def onsets(records: Records, begun: np.ndarray) -> np.ndarray:
    """The first hour [S] of each stay in which `begun` [N] holds, NaN where it never does."""
    when = np.where(begun, records.hours, np.inf)
    first = np.minimum.reduceat(when, records.starts)
    return np.where(np.isinf(first), np.nan, first)
