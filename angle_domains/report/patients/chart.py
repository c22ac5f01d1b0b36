"""All estimators on one axis, with what the clinicians earned and, where it is known, the truth."""

from collections.abc import Mapping

import numpy as np

from angle_domains.interval import BEYOND, Interval
from angle_domains.ope.value import Estimate
from angle_domains.report.page import forest
from angle_domains.report.patients.shown import precise
from angle_domains.report.scales import linear

_WIDE = 4.0  # an axis reaches this many times as far as the narrower half of the estimates does, no farther


def value_chart(estimates: Mapping[str, Estimate], observed: float | None, truth: float | None) -> str:
    """Nothing where no estimate is told; what ran away has no place on an axis."""
    shown = [
        (name, each, _interval(each))
        for name, each in estimates.items()
        if each.value is not None and abs(each.value) <= BEYOND
    ]
    if not shown:
        return ""
    marks = [("clinicians", observed, "one"), ("truth", truth, "two")]
    lines = [(name, value, style) for name, value, style in marks if value is not None]
    reach = np.clip([[each.low, each.high] for _, _, each in shown], -BEYOND, BEYOND).reshape(-1)
    axis = linear(np.append(_within(reach), [value for _, value, _ in lines]), count=5)
    rows = [
        (
            f"{name} (overridden)" if each.overridden else name,
            found,
            precise(each.value, each.standard_error) + _beyond(found, axis.low, axis.high),
        )
        for name, each, found in shown
    ]
    return forest(rows, axis.ticks, f".{axis.digits}f", marks=lines)


def _interval(estimate: Estimate) -> Interval:
    """A point where there is none."""
    assert estimate.value is not None
    if estimate.interval is None or not np.isfinite([estimate.interval.low, estimate.interval.high]).all():
        return Interval(estimate.value, estimate.value, estimate.value, 0.0)
    return estimate.interval


def _within(ends: np.ndarray) -> np.ndarray:
    """So that one estimator that knows nothing does not squeeze all others into a dot."""
    middle = float(np.median(ends))
    usual = float(np.median(np.abs(ends - middle))) or 1.0
    return np.clip(ends, middle - _WIDE * usual, middle + _WIDE * usual)


def _beyond(found: Interval, low: float, high: float) -> str:
    return " (goes on)" if found.low < low or found.high > high else ""
