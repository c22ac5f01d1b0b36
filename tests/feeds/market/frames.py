"""Tables of sound prices that tests spoil."""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from feeds.market.config import MarketConfig

CONFIG = MarketConfig(path="unused", max_gap_days=10)


def days(count: int, start: str = "2020-01-01") -> list[date]:
    return [day.astype(object) for day in np.datetime64(start) + np.arange(count)]


def long_frame(bars: int = 30, symbols: tuple[str, ...] = ("AAA", "BBB", "CCC"), seed: int = 0) -> pl.DataFrame:
    """Sound bars with open, high, low, close and volume, one day after the other."""
    chance = np.random.default_rng(seed)
    shape = (bars, len(symbols))
    close = 50 * np.exp(np.cumsum(chance.normal(0, 0.02, shape), axis=0)).ravel()
    opened = close * np.exp(chance.normal(0, 0.005, close.shape))
    return pl.DataFrame(
        {
            "timestamp": np.repeat(np.array(days(bars), dtype="datetime64[us]"), len(symbols)),
            "symbol": list(symbols) * bars,
            "open": opened,
            "high": np.maximum(opened, close) * 1.01,
            "low": np.minimum(opened, close) * 0.99,
            "close": close,
            "volume": chance.integers(100, 1000, close.shape).astype(float),
        }
    )


def wide_frame(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.pivot(on="symbol", index="timestamp", values="close")


def write(frame: pl.DataFrame, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)
    return path


def config_of(path: Path, **settings: object) -> MarketConfig:
    return CONFIG.model_copy(update={"path": str(path), **settings})
