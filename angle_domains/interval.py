"""An interval of resamples, whatever was resampled."""

from dataclasses import dataclass

LEVEL = 0.95
BEYOND = 1e6  # larger numbers are weights that ran away: their digits say nothing


def limited(value: float, digits: int = 4) -> str:
    """The number, or that it lies beyond a million, on which side."""
    if abs(value) > BEYOND:  # infinities too
        return "beyond 1e6" if value > 0.0 else "beyond -1e6"
    return f"{value:.{digits}g}"


@dataclass(frozen=True)
class Interval:
    """A central interval of the resamples around the estimate."""

    estimate: float
    low: float
    high: float
    above: float  # share of resamples above zero

    @property
    def includes_zero(self) -> bool:
        return self.low <= 0.0 <= self.high

    def words(self) -> str:
        """ "[low, high]"."""
        return f"[{limited(self.low)}, {limited(self.high)}]"
