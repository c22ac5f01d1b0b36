"""MEDS 0.4 in: events to a table with one row per stay and hour.

A row at hour h shows what was measured up to h; what was given from h on, before h + 1, is its decision. So nothing
in a row comes after the decision, although both stand in one table. A dose holds until the next one is recorded.

The outcome of a stay is whether its patient died within it. A later death, at home or in another stay, is none of it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from feeds.clinical.config import Meds
from feeds.clinical.privacy import pseudonym
from feeds.clinical.schema import HOURS, Schema
from feeds.errors import FeedError
from feeds.findings import count

START, END, DEATH = "ICU_ADMISSION", "ICU_DISCHARGE", "MEDS_DEATH"
PARTS = ("train", "tuning", "held_out")  # the names of our parts in MEDS, in our order
_MARKS = ["__start", "__end", "__death"]
_MICROS = 3_600_000_000  # in an hour


def read_meds(folder: Path, schema: Schema, settings: Meds) -> pl.DataFrame:
    """A table of the schema's columns; `subject`, `stay`, `time`, `outcome` and `end_reason` are made here.

    Static events (without a time) stand in every row of their subject. FeedError where a column has no event.
    """
    files = sorted((folder / "data").rglob("*.parquet"))
    if not files:
        raise FeedError(f"{folder}/data: holds no Parquet file")
    made = (schema.subject, schema.stay, schema.time, schema.outcome, schema.end_reason)
    columns = [name for name in schema.columns() if name not in made]
    codes = {name: settings.codes.get(name, (name,)) for name in columns}
    marks = {"start": settings.start or (START,), "end": settings.end or (END,), "death": settings.death}
    events = _events(files, codes, marks)
    stays = _stays(events)
    placed = _placed(events, stays)
    stays = _ended(placed, stays)
    within = placed["micros"].is_null() | (placed["micros"] <= stays["stop"].gather(placed["stay"]))
    plain = placed.filter(within & ~placed["name"].is_in(_MARKS))
    return _table(plain, stays, schema, codes, settings.bin_hours)


def given_parts(folder: Path, identities: np.ndarray) -> np.ndarray | None:
    """The part of each patient [P] that the data name, as an index in PARTS; None where they name none.

    FeedError where a patient is in none of them, or in two.
    """
    file = folder / "metadata" / "subject_splits.parquet"
    if not file.is_file():
        return None
    failed = ""
    try:
        named = pl.scan_parquet(file).select(pl.col("subject_id").cast(pl.String), pl.col("split")).unique().collect()
    except (pl.exceptions.PolarsError, OSError) as error:  # its words may quote cells
        failed = type(error).__name__
    if failed:
        raise FeedError(f"{file}: cannot be read: wants subject_id, split ({failed})")
    part = {name: index for index, name in enumerate(PARTS)}
    named = named.with_columns(part=pl.col("split").replace_strict(part, default=-1, return_dtype=pl.Int64))
    parts = named.group_by("subject_id").agg(pl.col("part").max(), wrong=(pl.len() > 1) | (pl.col("part").min() < 0))
    people = pl.DataFrame({"subject_id": identities.astype(str)})
    found = people.join(parts, on="subject_id", how="left", maintain_order="left")
    wrong = found["wrong"].fill_null(True)
    if wrong.any():
        name = pseudonym(str(identities[int(wrong.arg_max() or 0)]))
        raise FeedError(
            f"{file}: {count(int(wrong.sum()), 'patient')}, {name} the first, must each be in one of "
            f"{', '.join(PARTS)}; feed.splits.by=patient makes parts of its own"
        )
    return found["part"].to_numpy()


def _events(
    files: Sequence[Path], codes: Mapping[str, Sequence[str]], marks: Mapping[str, Sequence[str]]
) -> pl.DataFrame:
    """Events that a column or a mark reads: subject, microseconds, column (or mark), number, text."""
    column_of = {code: name for name, wanted in codes.items() for code in wanted}
    code = pl.col("code")
    name = code.replace_strict(column_of, default=None, return_dtype=pl.String)
    for mark, prefixes in marks.items():
        hit = pl.any_horizontal(*(code.str.starts_with(prefix) for prefix in prefixes))
        name = pl.when(hit).then(pl.lit(f"__{mark}")).otherwise(name)
    scan = pl.scan_parquet(list(files))
    failed = ""
    try:
        present = scan.collect_schema().names()
        text = pl.col("text_value").cast(pl.String) if "text_value" in present else pl.lit(None, pl.String)
        chosen = scan.select(
            "subject_id",
            pl.col("time").cast(pl.Datetime("us")).to_physical().alias("micros"),
            name.cast(pl.Categorical).alias("name"),
            pl.col("numeric_value").cast(pl.Float64).alias("number"),
            text.alias("text"),
        )
        return chosen.filter(pl.col("name").is_not_null()).collect()
    except (pl.exceptions.PolarsError, OSError) as error:  # its words may quote cells
        failed = type(error).__name__
    raise FeedError(
        f"{files[0].parent}: cannot be read as MEDS 0.4: wants subject_id, time, code, numeric_value ({failed})"
    )


def _stays(events: pl.DataFrame) -> pl.DataFrame:
    """One row a stay in order of subject and time: its number, subject and begin; without a mark at the first event."""
    timed = events.filter(pl.col("micros").is_not_null())
    starts = timed.filter(pl.col("name") == "__start").select("subject_id", begin="micros").unique()
    firsts = timed.filter(~pl.col("name").is_in(_MARKS)).group_by("subject_id").agg(begin=pl.col("micros").min())
    stays = pl.concat([starts, firsts.join(starts, on="subject_id", how="anti")])
    return stays.sort("subject_id", "begin").with_row_index("stay")


def _placed(events: pl.DataFrame, stays: pl.DataFrame) -> pl.DataFrame:
    """Events with the stay that they fall in; static ones in every stay of their subject."""
    timed = events.filter(pl.col("micros").is_not_null()).sort("micros")
    timed = timed.join_asof(
        stays.sort("begin"),
        left_on="micros",
        right_on="begin",
        by="subject_id",
        strategy="backward",
        coalesce=False,
        check_sortedness=False,
    )
    static = events.filter(pl.col("micros").is_null()).join(stays, on="subject_id")
    columns = ["stay", "micros", "begin", "name", "number", "text"]
    return pl.concat([static.select(columns), timed.select(columns)]).filter(pl.col("stay").is_not_null())


def _ended(placed: pl.DataFrame, stays: pl.DataFrame) -> pl.DataFrame:
    """The stays with their last instant, how they ended, and whether the patient died before they did."""
    name, micros = pl.col("name"), pl.col("micros")
    ends = placed.group_by("stay").agg(
        left=micros.filter(name == "__end").min(), death=micros.filter(name == "__death").min(), last=micros.max()
    )
    dead = pl.col("death").is_not_null() & (pl.col("left").is_null() | (pl.col("death") <= pl.col("left")))
    reason = pl.when(dead).then(pl.lit("death")).when(pl.col("left").is_not_null()).then(pl.lit("discharge"))
    ended = stays.join(ends, on="stay", how="left").with_columns(
        reason=reason.otherwise(pl.lit("hour_cap")),
        stop=pl.when(dead).then("death").otherwise(pl.coalesce("left", "last", "begin")),
        died=dead,
    )
    return ended.sort("stay")


def _table(
    events: pl.DataFrame, stays: pl.DataFrame, schema: Schema, codes: Mapping[str, Sequence[str]], width: float
) -> pl.DataFrame:
    """Every hour of every stay: the newest event of each column up to it, or from it on where it is a decision."""
    bins = (((stays["stop"] - stays["begin"]) / (width * _MICROS)).ceil().cast(pl.Int64) + 1).to_numpy()
    offset = np.concatenate([[0], np.cumsum(bins)])
    stay = np.repeat(np.arange(len(stays)), bins)
    hour = np.arange(offset[-1]) - offset[stay]
    since = ((pl.col("micros") - pl.col("begin")) / (width * _MICROS)).fill_null(0.0)
    decision = pl.col("name").is_in(list(schema.action))
    row = pl.when(decision).then(since.floor()).otherwise(since.ceil()).cast(pl.Int64)
    start = pl.Series(offset[:-1])
    placed = events.select("name", "number", "text", row=row + start.gather(events["stay"]))
    columns: dict[str, pl.Series | np.ndarray] = {
        schema.subject: stays["subject_id"].gather(stay),
        schema.time: hour * width / HOURS[schema.time_unit],
    }
    if schema.stay:
        columns[schema.stay] = stay
    if schema.outcome:
        columns[schema.outcome] = stays["died"].cast(pl.Int8).gather(stay)
    if schema.end_reason:
        columns[schema.end_reason] = stays["reason"].gather(stay)
    parts = {str(key[0]): part for key, part in placed.partition_by("name", as_dict=True).items()}
    for name in codes:
        if name not in parts:
            raise FeedError(
                f"column '{name}' has no event: which codes it is made of is said by feed.meds.codes.{name}"
            )
        columns[name] = _column(parts[name], name, schema, stay, offset)
    return pl.DataFrame(columns)


def _column(part: pl.DataFrame, name: str, schema: Schema, stay: np.ndarray, offset: np.ndarray) -> pl.Series:
    """One column of the table; events of one row are in order of time, so that the newest is written last."""
    rows = part["row"].to_numpy()
    if name in schema.words or (name in schema.labels and part["text"].null_count() < len(part)):
        at = np.full(len(stay), -1)
        at[rows] = np.arange(len(rows))
        text = part.select(pl.coalesce("text", pl.col("number").cast(pl.String))).to_series()
        at = _held(at, stay, offset) if name in schema.static else at
        places = pl.Series(at)
        return text.gather(places.set(places < 0, None))
    values = np.full(len(stay), np.nan)
    values[rows] = part["number"].to_numpy()
    if name in schema.action or name in schema.static:
        source = _held(np.where(np.isnan(values), -1, np.arange(len(values))), stay, offset)
        nothing = 0.0 if name in schema.action else np.nan
        values = np.where(source >= 0, values[np.maximum(source, 0)], nothing)
    return pl.Series(name, values)


def _held(source: np.ndarray, stay: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """The newest source up to each row of its stay, -1 where there is none; sources rise within a stay."""
    keyed = np.where(source >= 0, np.arange(len(source)), -1)
    newest = np.maximum.accumulate(keyed)
    inside = (newest >= offset[stay]) & (newest >= 0)
    return np.where(inside, source[np.maximum(newest, 0)], -1)
