"""Numbers as a report writes them; what is not told, or does not exist, is a dash."""

import math
from collections.abc import Sequence

NONE = "–"


def share(value: float | None) -> str:
    """ "12.3%"."""
    return NONE if value is None else f"{value:.1%}"


def number(value: float | None, digits: int = 3) -> str:
    return NONE if value is None or not math.isfinite(value) else f"{value:,.{digits}g}"


def size(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def precise(value: float | None, error: float | None = None) -> str:
    """With the decimals that its standard error leaves, two digits of which matter, else three."""
    if value is None or not math.isfinite(value):
        return NONE
    if error is None or not math.isfinite(error) or error <= 0.0:
        return f"{value:,.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"
    decimals = min(6, max(0, 1 - math.floor(math.log10(error))))
    return f"{value:.{decimals}f}" if abs(value) < 1e6 else f"{value:.4g}"


def between(interval: Sequence[float] | None, error: float | None = None) -> str:
    """ "0.71 to 0.84"."""
    return "" if interval is None else f"{precise(interval[0], error)} to {precise(interval[1], error)}"


def shares(interval: Sequence[float] | None) -> str:
    """ "12% to 34%"."""
    return "" if interval is None else f"{interval[0]:.0%} to {interval[1]:.0%}"


def spanned(low: float | None, high: float | None, unit: str) -> str:
    """A range of differences in words, both ends as far as there are any."""
    if low is None:
        return "any" if high is None else f"below {high:+.3g} {unit}".strip()
    return f"above {low:+.3g} {unit}".strip() if high is None else f"{low:+.3g} to {high:+.3g} {unit}".strip()
