"""The checked prices of one universe."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Bars:
    """T bars of N assets. Nothing is ever filled backward: before its first bar an asset is NaN and not listed."""

    timestamp: np.ndarray  # [T] datetime64[us], UTC, the end of each bar, strictly rising
    symbols: tuple[str, ...]  # N
    close: Float[np.ndarray, "t n"]  # carried forward while halted and after delisting, NaN before listing
    listed: Bool[np.ndarray, "t n"]  # from an asset's first bar to its last (the last bar of the data or its delisting)
    tradable: Bool[np.ndarray, "t n"]  # listed, and the bar exists: orders fill
    open: Float[np.ndarray, "t n"] | None = None
    high: Float[np.ndarray, "t n"] | None = None
    low: Float[np.ndarray, "t n"] | None = None
    volume: Float[np.ndarray, "t n"] | None = None  # shares
    extras: dict[str, np.ndarray] = field(default_factory=dict)  # name -> [T, N], known at the close of their bar
    source: str = ""  # what the user asked for
    digest: str = ""  # sha256 of the content
    notes: tuple[str, ...] = ()  # sentences for the report: survivors, rounding, licence

    @property
    def shape(self) -> tuple[int, int]:
        return self.close.shape[0], self.close.shape[1]
