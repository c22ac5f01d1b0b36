"""Timestamps of any spelling as UTC microseconds."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from feeds.errors import FeedError

_OFFSET = r"\d{2}:\d{2}.*?(Z|[+-]\d{2}:?\d{2})$"  # only after a time of day: the last of "2020-01-02" is no offset
_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d")
MINUTE = 60_000_000  # microseconds
_SUMMER = 60  # minutes that one zone's offsets differ between winter and summer


@dataclass(frozen=True)
class Instants:
    """What a column of timestamps says."""

    micros: np.ndarray  # [M] int64, UTC
    zoned: np.ndarray  # [M] bool: the offset to UTC is known
    dates: np.ndarray  # [M] bool: a day without a time of day
    offsets: np.ndarray  # [M] int64 minutes east of UTC where the text says so, else 0


def typed_instant(column: str, dtype: pl.DataType) -> pl.Expr | None:
    """Int64 UTC microseconds of a column of dates or datetimes, as a lazy expression; None for any other kind."""
    expression = pl.col(column)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        expression = expression.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    elif not isinstance(dtype, pl.Date | pl.Datetime):
        return None
    return expression.cast(pl.Datetime("us")).to_physical()


def wall_clock(column: str, dtype: pl.DataType) -> pl.Expr:
    """Int64 microseconds that the clocks of its zone show, of a column of dates or datetimes; else null."""
    if not isinstance(dtype, pl.Date | pl.Datetime):
        return pl.lit(None, pl.Int64)
    expression = pl.col(column)
    if isinstance(dtype, pl.Datetime):
        expression = expression.dt.replace_time_zone(None)
    return expression.cast(pl.Datetime("us")).to_physical()


def read_instants(series: pl.Series, dtype: pl.DataType, place: Callable[[int], str]) -> Instants:
    """Instants of a column of text, dates or datetimes; naive ones are read as UTC, days as their first instant.

    `series` holds int64 microseconds already where `typed_instant` made them. Raises FeedError naming the first row
    that cannot be read, as `place` calls it.
    """
    size = len(series)
    if isinstance(dtype, pl.String):
        return _from_text(series, place)
    if not isinstance(dtype, pl.Date | pl.Datetime):
        raise FeedError(
            f"{place(0)}: the timestamp is {dtype}, wanted dates, datetimes or ISO text; numbers lack a unit"
        )
    if series.null_count():
        raise FeedError(f"{place(int(series.is_null().arg_max() or 0))}: the timestamp is missing")
    zoned = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
    dates = isinstance(dtype, pl.Date)
    return Instants(series.to_numpy(), np.full(size, zoned), np.full(size, dates), np.zeros(size, np.int64))


def _from_text(series: pl.Series, place: Callable[[int], str]) -> Instants:
    unique = series.unique(maintain_order=True)  # few among many rows
    text = unique.str.strip_chars().str.replace(r"^(\d{4}[-/]\d{2}[-/]\d{2}) ", "${1}T")
    offset = text.str.extract(_OFFSET, 1)
    iso = text.str.replace(r"Z$", "+00:00").str.replace(r"(T\d{2}:\d{2})([+-]|$)", "${1}:00$2")
    zoned = iso.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", strict=False, time_unit="us", time_zone="UTC")
    stamps = zoned.dt.replace_time_zone(None)
    naive = iso.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="us")
    stamps = pl.select(pl.when(offset.is_null()).then(naive).otherwise(stamps)).to_series()
    day = pl.Series([None] * len(text), dtype=pl.Datetime("us"))
    for form in _DATES:
        day = pl.select(pl.coalesce(day, text.str.to_date(form, strict=False).cast(pl.Datetime("us")))).to_series()
    dates = stamps.is_null() & day.is_not_null()
    stamps = pl.select(pl.coalesce(stamps, day)).to_series()
    minutes = _minutes(offset)
    table = pl.DataFrame(
        {"text": unique, "stamp": stamps, "zoned": offset.is_not_null(), "day": dates, "east": minutes}
    )
    rows = pl.DataFrame({"text": series}).join(table, on="text", how="left", nulls_equal=True, maintain_order="left")
    bad = rows["stamp"].is_null()
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise FeedError(f"{place(row)}: timestamp '{series[row]}' cannot be read; wanted ISO text such as 2020-01-31")
    columns = (rows[name].to_numpy() for name in ("zoned", "day", "east"))
    return Instants(rows["stamp"].to_physical().to_numpy(), *columns)


def _minutes(offset: pl.Series) -> pl.Series:
    """Minutes east of UTC; 0 where nothing or Z stands."""
    hours = offset.str.slice(1, 2).cast(pl.Int64, strict=False)
    minutes = offset.str.slice(-2).cast(pl.Int64, strict=False)
    east = hours * 60 + minutes
    sign = pl.select(pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)).to_series()
    return (east * sign).fill_null(0)


def foreign_zone(instants: Instants) -> np.ndarray:
    """`[M]` bool: rows whose zone does not go with the first row's: naive among zoned, or further than summer time."""
    if not len(instants.micros):
        return np.zeros(0, bool)
    mixed = instants.zoned != instants.zoned[0]
    return mixed | (np.abs(instants.offsets - instants.offsets[0]) > _SUMMER)
