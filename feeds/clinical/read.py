"""Patient tables on disk or in memory, scanned lazily with polars. No message repeats what stands in a cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import polars as pl

from feeds.clinical.config import ClinicalConfig
from feeds.clinical.rewards import reads
from feeds.clinical.schema import Schema, load_schema, make_schema, shared_names
from feeds.clinical.vocabulary import alias_of
from feeds.errors import FeedError, nearest

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".csv.gz", ".tsv")
ROW = "__row"  # row of the table from 1, which we add
_BLANK = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]

EMBEDDED = {  # name -> module with `load() -> DataFrame`, beside whose file stands schema.yaml
    "icu-sepsis-log": "feeds.data.icu_sepsis",
    "mimic4demo-vaso": "feeds.data.mimic4demo_vaso",
    "synth-vaso": "feeds.data.synth_vaso",
}


@dataclass(frozen=True, repr=False)
class Table:
    """The columns that a schema names, under its names, and the row that each came from."""

    name: str
    frame: pl.DataFrame
    schema: Schema
    notes: tuple[str, ...] = ()


def read_table(config: ClinicalConfig, frame: Any = None) -> Table:
    """Reads what the config names, or takes the frame; FeedError where a column is missing."""
    if frame is not None:
        return _select("frame", _lazy(frame), config, None)
    if config.path in EMBEDDED:
        return _embedded(config)
    if config.confounded:
        raise FeedError(f"feed.confounded=true: '{config.path}' has no confounder to switch on, synth-vaso has")
    place = Path(config.path).expanduser()
    if is_meds(place):
        from feeds.clinical.meds import read_meds

        schema = _schema(config, place / "schema.yaml", None)
        return _select(config.path, read_meds(place, schema, config.meds).lazy(), config, schema)
    files = _files(config.path)
    beside = next(
        (file for file in (place.with_suffix(".yaml"), _folder(place) / "schema.yaml") if file.is_file()), None
    )
    return _select(config.path, _scan(files), config, beside)


def is_meds(place: Path) -> bool:
    """Whether a folder is laid out as MEDS: events under data/, about them metadata/."""
    return (place / "data").is_dir() and (place / "metadata").is_dir()


def _folder(place: Path) -> Path:
    return place if place.is_dir() else place.parent


def _embedded(config: ClinicalConfig) -> Table:
    module = import_module(EMBEDDED[config.path])
    assert module.__file__ is not None
    settings = {"patients": config.patients, "seed": config.draw, "confounded": config.confounded}
    made = {name: value for name, value in settings.items() if value}
    known, beside = signature(module.load).parameters, Path(module.__file__).with_name("schema.yaml")
    if "confounded" in made and "confounded" not in known:
        raise FeedError(f"feed.confounded=true: '{config.path}' has no confounder to switch on, synth-vaso has")
    if made and "patients" not in known:
        raise FeedError(f"feed.patients and feed.draw: '{config.path}' holds real patients, none can be drawn anew")
    schema = _schema(config, beside, None)
    if config.confounded:  # what is recorded knows the frailty
        schema = schema.model_copy(update={"propensity": None})
    return _select(config.path, module.load(**made).lazy(), config, schema if config.confounded else beside)


def _schema(config: ClinicalConfig, beside: Path | Schema | None, columns: Sequence[str] | None) -> Schema:
    if isinstance(beside, Schema):
        return beside
    if isinstance(config.roles, Schema):
        return config.roles
    if config.roles == "clif" and columns is not None:
        return make_schema(shared_names(columns), "feed.roles=clif")
    if beside is not None and beside.is_file():
        return load_schema(beside)
    raise FeedError(
        f"{config.path}: which column is what is not known: give feed.roles (a YAML file, or 'clif' where the "
        "columns carry the names of CLIF), or put schema.yaml beside the data"
    )


def _select(name: str, scan: pl.LazyFrame, config: ClinicalConfig, beside: Path | Schema | None) -> Table:
    present = [column for column in _named(name, scan) if column != ROW]
    schema = _with_rewards(_schema(config, beside, present), config)
    renamed, notes = {}, []
    for column in schema.columns():
        if column in present:
            continue
        other = alias_of(column, [name for name in present if name not in schema.columns()])
        if other is None:
            raise FeedError(f"{name}: column '{column}' is missing ({nearest(column, present)}); see feed.roles")
        renamed[other] = column
        notes.append(f"column '{other}' is read as '{column}'")
    if ROW not in _named(name, scan):
        scan = scan.with_row_index(ROW, offset=1)
    chosen = scan.rename(renamed).select(pl.col(ROW).cast(pl.Int64), *schema.columns())
    return Table(name, collect(name, chosen), schema, tuple(notes))


def _with_rewards(schema: Schema, config: ClinicalConfig) -> Schema:
    """The schema and the columns that the reward reads beside it."""
    missing = tuple(name for name in reads(config.reward) if name not in schema.columns())
    return schema.model_copy(update={"rewards": schema.rewards + missing}) if missing else schema


def collect(name: str, scan: pl.LazyFrame) -> pl.DataFrame:
    """Runs a query. What polars says of a failure may quote cells: only its kind is told, and nothing is chained."""
    failed = ""
    try:
        return scan.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        failed = type(error).__name__
    raise FeedError(f"{name}: cannot be read, truncated or damaged ({failed})")


def _named(name: str, scan: pl.LazyFrame) -> list[str]:
    failed = ""
    try:
        return scan.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        failed = type(error).__name__
    raise FeedError(f"{name}: cannot be read, truncated or damaged ({failed})")


def _lazy(frame: Any) -> pl.LazyFrame:
    if isinstance(frame, pl.DataFrame | pl.LazyFrame):
        return frame.lazy()
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise FeedError(f"frame: wanted a pandas or polars frame, got {type(frame).__name__}")
    failed = ""
    try:
        return pl.from_pandas(frame).lazy()
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:  # its words may quote cells
        failed = type(error).__name__
    raise FeedError(f"frame: a column holds mixed kinds ({failed})")


def _files(path: str) -> tuple[Path, ...]:
    place = Path(path).expanduser()
    if place.is_file():
        files: tuple[Path, ...] = (place,)
    elif place.is_dir():
        files = tuple(file for file in sorted(place.rglob("*")) if file.name.lower().endswith(PARQUET + CSV))
        if not files:
            raise FeedError(f"{path}: the folder holds no file that ends in {', '.join(PARQUET + CSV)}")
    else:
        here = [file.name for file in place.parent.iterdir()] if place.parent.is_dir() else []
        readable = [name for name in here if name.lower().endswith(PARQUET + CSV)]
        hint = nearest(place.name, [*readable[:20], *EMBEDDED])
        raise FeedError(f"{path}: no such file or folder, and no embedded set of that name; {hint}")
    for file in files:
        if not file.name.lower().endswith(PARQUET + CSV):
            raise FeedError(f"{file}: unknown kind of file; known are {', '.join(PARQUET + CSV)}")
        if file.stat().st_size == 0:
            raise FeedError(f"{file}: the file is empty (0 bytes)")
    return files


def _scan(files: Sequence[Path]) -> pl.LazyFrame:
    """Parquet as it is; CSV as text, so that what is no number can be told by its row."""
    kinds = {file.name.lower().endswith(CSV) for file in files}
    if len(kinds) > 1:
        raise FeedError(f"{files[0].parent}: a set is either CSV or Parquet, and here are both")
    if not kinds.pop():
        return pl.scan_parquet(list(files))
    separator = "\t" if files[0].name.lower().endswith(".tsv") else ","
    return pl.scan_csv(list(files), separator=separator, infer_schema=False, null_values=_BLANK)
