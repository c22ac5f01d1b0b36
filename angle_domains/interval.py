"""An interval of resamples, whatever was resampled."""

from dataclasses import dataclass

LEVEL = 0.95


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
        return f"[{self.low:.4g}, {self.high:.4g}]"
