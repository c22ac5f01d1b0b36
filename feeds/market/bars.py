"""The checked prices of one universe."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Bars:
    """T bars of N assets. Nothing is ever filled backward: before its first bar an asset is NaN and not listed."""

    timestamp: np.ndarray  # [T] datetime64[us], UTC, the end of each bar, strictly rising
    symbols: tuple[str, ...]  # N
    close: Float[np.ndarray, "t n"]  # carried forward while halted and after delisting, NaN before listing
    listed: Bool[np.ndarray, "t n"]  # from an asset's first bar to its delisting, long after its last bar
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

    def describe(self) -> dict[str, Any]:
        """What the data are, JSON-ready, for whoever keeps a record of a run: name, digest, source, schema, profile."""
        bars, assets = self.shape
        tables = {name: getattr(self, name) for name in ("open", "high", "low", "close", "volume")} | self.extras
        schema = {name: str(table.dtype) for name, table in tables.items() if table is not None}
        first, last = (str(self.timestamp[row].astype("datetime64[s]")) for row in (0, -1))
        return {
            "name": self.source.rsplit("/", 1)[-1] or "bars",
            "digest": self.digest,
            "source": self.source,
            "schema": {"timestamp": "datetime64[us]", "symbol": "str"} | schema,
            "profile": {"bars": bars, "assets": assets, "first": first, "last": last},
        }
