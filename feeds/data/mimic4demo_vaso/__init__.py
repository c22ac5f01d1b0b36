"""Vasopressors hour by hour in 26 real patients of the open MIMIC-IV demo. See DATASHEET.md; the licence is ODbL."""

from pathlib import Path

import polars as pl

FOLDER = Path(__file__).parent
TABLE = FOLDER / "table.parquet"


def load() -> pl.DataFrame:
    """One row per stay and hour since its first vasopressor; null where nothing was measured in the hour before."""
    return pl.read_parquet(TABLE)
