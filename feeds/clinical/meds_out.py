"""MEDS 0.4 out: a table with one row per stay and time as events."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from pyarrow import parquet

from feeds.clinical.meds import DEATH, END, PARTS, START
from feeds.clinical.schema import HOURS, Schema
from feeds.errors import FeedError

# The schemas of MEDS 0.4, by hand: five columns need no package.
DATA = pa.schema(
    [
        ("subject_id", pa.int64()),
        ("time", pa.timestamp("us")),
        ("code", pa.string()),
        ("numeric_value", pa.float32()),
        ("text_value", pa.string()),
    ]
)
SUBJECT_SPLITS = pa.schema([("subject_id", pa.int64()), ("split", pa.string())])
CODES = pa.schema([("code", pa.string()), ("description", pa.string()), ("parent_codes", pa.list_(pa.string()))])
NAMES = dict(zip(("train", "validation", "test"), PARTS, strict=True))
_MICROS = 3_600_000_000  # in an hour


def write_meds(
    table: pl.DataFrame, schema: Schema, folder: str | Path, splits: Mapping[str, Sequence[int]] | None = None
) -> Path:
    """A table (see `feeds.clinical.read`) as a MEDS 0.4 data set; `splits`: subjects of train, validation and test.

    Hours count from 1970 where the table's time is a number, a patient's stays one after another with a day between.
    FeedError, before anything is written, where subjects are no whole numbers, as MEDS wants them.
    """
    root = Path(folder)
    events = _to_events(table, schema)
    for part in ("data", "metadata"):
        (root / part).mkdir(parents=True, exist_ok=True)
    parquet.write_table(to_arrow(events, DATA), root / "data" / "0.parquet")
    codes = events.select(pl.col("code").unique().sort()).with_columns(
        description=pl.lit(None, pl.String), parent_codes=pl.lit(None, pl.List(pl.String))
    )
    parquet.write_table(to_arrow(codes, CODES), root / "metadata" / "codes.parquet")
    if splits is not None:
        named = [(subject, NAMES[split]) for split, subjects in splits.items() for subject in subjects]
        frame = pl.DataFrame(named, schema={"subject_id": pl.Int64, "split": pl.String}, orient="row")
        parquet.write_table(to_arrow(frame, SUBJECT_SPLITS), root / "metadata" / "subject_splits.parquet")
    about = {"dataset_name": "angle-domains", "etl_name": "angle_domains", "meds_version": "0.4.1"}
    (root / "metadata" / "dataset.json").write_text(json.dumps(about))
    return root


def to_arrow(frame: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    """The frame as MEDS wants it: polars gives large strings, which its validators refuse."""
    return frame.to_arrow().select(schema.names).cast(schema)


def _to_events(table: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    subject = table[schema.subject]
    if not subject.dtype.is_integer():
        raise FeedError(f"column '{schema.subject}': MEDS wants patients as whole numbers")
    stay = table[schema.stay] if schema.stay else subject
    number = stay.rank("dense").cast(pl.Int64) - 1
    time = table[schema.time]
    if time.dtype.is_temporal():
        micros = time.cast(pl.Datetime("us")).to_physical()
    else:
        hours = time.cast(pl.Float64) * HOURS[schema.time_unit]
        first = min(0.0, float(hours.min() or 0))  # type: ignore[arg-type]
        span = np.ceil(float(hours.max() or 0) - first) + 24.0  # type: ignore[arg-type]
        # counted within the patient: of many patients the times would leave the calendar
        ranks = pl.DataFrame({"subject": subject, "stay": number}).select(pl.col("stay").rank("dense").over("subject"))
        turn = ranks["stay"].cast(pl.Float64) - 1
        micros = ((hours - first + turn * span) * _MICROS).round().cast(pl.Int64)
    base = pl.DataFrame({"subject_id": subject.cast(pl.Int64), "micros": micros, "stay": number})
    marked = (schema.subject, schema.stay, schema.time, schema.outcome, schema.end_reason)
    names = [name for name in schema.columns() if name not in marked]
    parts = [_column_events(base, table[name], name, schema) for name in names]
    whole = pl.concat([*parts, _mark_events(base, table, schema)])
    whole = whole.with_columns(pl.col("micros").cast(pl.Datetime("us")).alias("time"))
    return whole.sort("subject_id", "time", "order", nulls_last=False, maintain_order=True).select(DATA.names)


def _column_events(base: pl.DataFrame, column: pl.Series, name: str, schema: Schema) -> pl.DataFrame:
    text = name in schema.words or (name in schema.labels and column.dtype == pl.String)
    return base.select(
        "subject_id",
        "micros",
        code=pl.lit(name),
        numeric_value=pl.lit(None, pl.Float32) if text else column.cast(pl.Float32),
        text_value=column.cast(pl.String) if text else pl.lit(None, pl.String),
        order=pl.lit(1),
    ).filter(pl.Series(column.is_not_null()))


def _mark_events(base: pl.DataFrame, table: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """Begin and end of each stay; a death is the end of its subject."""
    outcome = table[schema.outcome].cast(pl.Int64) if schema.outcome else pl.lit(0)
    said = table[schema.end_reason].cast(pl.String) if schema.end_reason else pl.lit("discharge")
    spans = (
        base.with_columns(died=outcome, said=said)
        .group_by("stay", maintain_order=True)
        .agg(
            pl.col("subject_id").first(),
            pl.col("micros").min().alias("begin"),
            pl.col("micros").max().alias("stop"),
            pl.col("died").max(),
            pl.col("said").last(),
        )
    )
    dead = (pl.col("died") == 1) & ~pl.col("said").is_in(["hour_cap", "transfer"])
    left = ~dead & (pl.col("said") == "discharge")
    kinds = [("begin", START, pl.lit(True), 0), ("stop", DEATH, dead, 3), ("stop", END, left, 2)]
    return pl.concat(
        spans.filter(where).select(
            "subject_id",
            micros=pl.col(at),
            code=pl.lit(code),
            numeric_value=pl.lit(None, pl.Float32),
            text_value=pl.lit(None, pl.String),
            order=pl.lit(order),
        )
        for at, code, where, order in kinds
    )
