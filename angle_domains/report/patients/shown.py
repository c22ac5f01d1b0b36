"""Numbers as a report writes them; what is not told, or does not exist, is a dash."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from angle_domains.interval import BEYOND, limited

NONE = "–"
OVERRIDDEN = " (overridden: should have been refused)"  # behind every number that is


def share(value: float | None) -> str:
    """ "12.3%"."""
    return NONE if value is None else f"{value:.1%}"


def number(value: float | None, digits: int = 3) -> str:
    if value is None or not math.isfinite(value):
        return NONE
    return limited(value) if abs(value) > BEYOND else f"{value:,.{digits}g}"


def size(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def precise(value: float | None, error: float | None = None) -> str:
    """With the decimals that its standard error leaves, two digits of which matter, else three."""
    if value is None or not math.isfinite(value):
        return NONE
    if abs(value) > BEYOND:
        return limited(value)
    if error is None or not math.isfinite(error) or error <= 0.0:
        return f"{value:,.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"
    decimals = min(6, max(0, 1 - math.floor(math.log10(error))))
    return f"{value:.{decimals}f}"


def estimated(each: Mapping[str, Any]) -> str:
    """An estimate of the JSON, marked where it should have been refused; or that it was, or that it is not told."""
    if each["refused"]:
        return absent(each["verdict"])
    return precise(each["value"], each["standard_error"]) + (OVERRIDDEN if each["overridden"] else "")


def absent(verdict: str) -> str:
    return "not told" if verdict.startswith("not told") else "refused"


def why(value: Mapping[str, Any]) -> str:
    """Why nothing of the JSON's value is told, or what is shown should not have been."""
    reasons = "; ".join(value["judgement"]["reasons"])
    if value["judgement"].get("withheld"):
        return f"{reasons.capitalize()}."
    return f"{'Overridden, should have been refused' if value['overridden'] else 'Refused'}: {reasons}."


def between(interval: Sequence[float] | None, error: float | None = None) -> str:
    """ "0.71 to 0.84"."""
    return "" if interval is None else f"{precise(interval[0], error)} to {precise(interval[1], error)}"


def interval_head(value: Mapping[str, Any]) -> str:
    """Level and method of the intervals of the JSON's value, as the head of a column."""
    made = value["intervals"]
    return f"{100.0 * made['level']:.3g}% interval ({made['method']})"


def shares(interval: Sequence[float] | None) -> str:
    """ "12% to 34%"."""
    return "" if interval is None else f"{interval[0]:.0%} to {interval[1]:.0%}"


def spanned(low: float | None, high: float | None, unit: str) -> str:
    """A range of differences in words, both ends as far as there are any."""
    if low is None:
        return "any" if high is None else f"below {high:+.3g} {unit}".strip()
    return f"above {low:+.3g} {unit}".strip() if high is None else f"{low:+.3g} to {high:+.3g} {unit}".strip()
