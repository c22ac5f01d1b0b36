"""What was known at each row: the newest value, never a later one, and how old it is."""

from typing import NamedTuple

import numpy as np

_MILLISECONDS = 3.6e6  # in an hour
_SPAN = 1 << 42  # milliseconds between stays in a key, 139 years


class Filled(NamedTuple):
    """One column [N] as it was known."""

    source: np.ndarray  # row of the value, -1 where none is known
    new: np.ndarray  # bool: the value was not known in the row before
    age: np.ndarray  # hours since it was measured, infinite where none is known


def newest(known: np.ndarray, stay: np.ndarray, hours: np.ndarray, *, delay: float = 0.0, lag: bool = False) -> Filled:
    """The newest known value of the stay at each row, results `delay` hours after their time; `lag`: up to the row
    before."""
    rows = np.arange(len(stay))
    source = _delayed(known, stay, hours, delay) if delay else _last(np.where(known, rows, -1), stay)
    first = np.diff(stay, prepend=-1) != 0
    if lag:
        source = np.where(first, -1, np.roll(source, 1))
    before = np.where(first, -1, np.roll(source, 1))
    age = np.where(source >= 0, hours - hours[np.maximum(source, 0)], np.inf)
    return Filled(source, (source >= 0) & (source != before), age)


def _last(source: np.ndarray, stay: np.ndarray) -> np.ndarray:
    """The largest source up to each row, of its own stay."""
    filled = np.maximum.accumulate(source)
    return np.where((filled >= 0) & (stay[np.maximum(filled, 0)] == stay), filled, -1)


def _delayed(known: np.ndarray, stay: np.ndarray, hours: np.ndarray, delay: float) -> np.ndarray:
    base = hours.min() if len(hours) else 0.0
    stamp = stay.astype(np.int64) * _SPAN + np.round((hours - base) * _MILLISECONDS).astype(np.int64)
    rows = np.flatnonzero(known)
    at = np.searchsorted(stamp[rows] + round(delay * _MILLISECONDS), stamp, side="right") - 1
    source = np.where(at >= 0, rows[np.maximum(at, 0)] if len(rows) else -1, -1)
    return np.where((source >= 0) & (stay[np.maximum(source, 0)] == stay), source, -1)


def at_offset(stay: np.ndarray, hours: np.ndarray, offset: float, slack: float = 1.0) -> np.ndarray:
    """The row of the stay `offset` hours from each row [N], ahead or (negative) back, -1 where there is none.

    It is the latest row at or before that time, if it lies less than `slack` hours before it; never the row itself.
    """
    base = hours.min() if len(hours) else 0.0
    stamp = stay.astype(np.int64) * _SPAN + np.round((hours - base) * _MILLISECONDS).astype(np.int64)
    wanted = stamp + round(offset * _MILLISECONDS)
    at = np.searchsorted(stamp, wanted, side="right") - 1
    found = np.maximum(at, 0)
    near = (at >= 0) & (stay[found] == stay) & (wanted - stamp[found] < slack * _MILLISECONDS)
    return np.where(near & (found != np.arange(len(stay))), found, -1)
