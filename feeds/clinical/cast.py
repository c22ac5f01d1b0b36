"""Columns of a table as numbers: text that is none is told by its row, never by what it says."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from feeds.clinical.schema import HOURS
from feeds.errors import FeedError

_WORDS = {"true": "1", "false": "0", "yes": "1", "no": "0"}
_ENDS = {
    "death": 0, "died": 0, "dead": 0, "expired": 0,
    "discharge": 1, "discharged": 1, "discharge_alive": 1, "alive": 1,
    "transfer": 2, "transferred": 2,
    "hour_cap": 3, "cap": 3, "censored": 3, "end_of_record": 3,
}  # fmt: skip


def numbers(column: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """The column as float64 [N], NaN where nothing stands, and where something stands that is no finite number."""
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        text = text.set(text == "", None) if text.null_count() < len(text) else text
        cast = text.str.to_lowercase().replace(_WORDS).cast(pl.Float64, strict=False)
    else:
        text, cast = column, column.cast(pl.Float64, strict=False)
    values = cast.to_numpy().astype(np.float64)
    wrong = (cast.is_null() & text.is_not_null()).to_numpy() | np.isinf(values)
    return np.where(wrong, np.nan, values), wrong


def labels(column: pl.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    """Numbers of the categories [N] int32, -1 where nothing stands, and the categories in sorted order."""
    if column.dtype.is_float():
        column = column.fill_nan(None)
        whole = column.drop_nulls()
        column = column.cast(pl.Int64) if len(whole) == (whole == whole.round()).sum() else column
    text = column.cast(pl.String).str.strip_chars()
    names = sorted(name for name in text.unique().drop_nulls().to_list() if name)
    codes = text.replace_strict(names, range(len(names)), default=None, return_dtype=pl.Int32)
    return codes.fill_null(-1).to_numpy(), tuple(names)


def identities(column: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Numbers by first appearance [N], -1 where nothing stands, and the texts that they stand for [P]."""
    if column.dtype.is_float():
        column = column.fill_nan(None).cast(pl.Int64, strict=False)
    names = column.drop_nulls().unique(maintain_order=True)
    numbered = column.replace_strict(names, np.arange(len(names)), default=None, return_dtype=pl.Int64)
    return numbered.fill_null(-1).to_numpy(), names.cast(pl.String).to_numpy()


def reasons(column: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Index of the end reason [N] int, -1 where nothing stands, and where a word stands that is none."""
    text = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    text = text.str.replace_all(r"[\s-]+", "_")
    found = text.replace_strict(_ENDS, default=-1, return_dtype=pl.Int64).fill_null(-1).to_numpy()
    return found, (found < 0) & (text.is_not_null() & (text != "")).fill_null(False).to_numpy()


def hours(column: pl.Series, unit: str, name: str) -> np.ndarray:
    """Hours [N] float64, NaN where nothing stands; of datetimes since 1970."""
    if column.dtype == pl.String:
        values, wrong = numbers(column)
        if not wrong.any():
            return values * HOURS[unit]
        column = _instants(column, name)
    if column.dtype.is_temporal():
        micros = column.cast(pl.Datetime("us")).to_physical()
        return micros.cast(pl.Float64).to_numpy() / 3.6e9
    return numbers(column)[0] * HOURS[unit]


def _instants(column: pl.Series, name: str) -> pl.Series:
    """Text as instants; FeedError, which quotes none, where it is mixed or none."""
    try:
        return column.str.to_datetime(strict=False)
    except pl.exceptions.PolarsError:
        pass
    raise FeedError(f"column '{name}' holds neither numbers nor instants that are written alike")


def first_of(codes: Sequence[int] | np.ndarray, count: int) -> np.ndarray:
    """The first place of each number 0 … count-1 in `codes`."""
    places = np.full(count, len(codes), np.int64)
    np.minimum.at(places, codes, np.arange(len(codes)))
    return places
