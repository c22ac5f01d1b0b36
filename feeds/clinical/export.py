"""Checked patient records as a MEDS 0.4 data set: `angle-domains feeds export PATH --meds FOLDER`."""

from pathlib import Path
from shlex import quote

import numpy as np
import polars as pl
import yaml

from feeds.clinical.border import read_records
from feeds.clinical.config import ClinicalConfig
from feeds.clinical.meds_out import write_meds
from feeds.clinical.records import DEATH, REASONS, Records
from feeds.clinical.schema import HOURS, Schema
from feeds.clinical.split import SPLITS, patient_parts
from feeds.errors import FeedError
from feeds.findings import count


def export(path: str, config: ClinicalConfig, folder: Path) -> str:
    """Writes what the config reads at `path` into `folder`, which its owner alone can open; gives the words for that.

    Beside the events stand the parts of the patients and `schema.yaml`, by which the folder is read again. FeedError
    where the folder is not empty, where the records break a rule under the policy "error", or where patients are not
    whole numbers; then nothing is written. Not kept are dates (hours count from 1970), the names of stays, deaths after
    the end of a stay, and what tells a transfer from a cap. Numbers have the single precision of MEDS: a dose that lies
    on the edge of two bins may be read into the other one.
    """
    folder = folder.expanduser()
    _check_empty(folder)
    records, report = read_records(config.model_copy(update={"path": path}))
    parts, _ = patient_parts(records, config.splits, least=config.least_patients)
    schema, people = _marked(records.schema), _numbers(records)
    rows = np.arange(len(records))
    if config.ends.last_action == "taken":  # what reading adds at the ends of stays is no record
        rows = np.flatnonzero(np.diff(records.stay, append=-1) == 0)
    table = _table(records, schema, people, rows)
    named = {name: people[parts == index].tolist() for index, name in enumerate(SPLITS)}
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    write_meds(table, schema, folder, named if (parts >= 0).all() else None)
    (folder / "schema.yaml").write_text(yaml.safe_dump(schema.model_dump(mode="json"), sort_keys=False))
    notes, bins = list(report.notes), _bins(records, rows)
    if bins is None:
        notes.append("rows are not evenly apart: reading makes one for every bin of feed.meds.bin_hours")
    if (parts < 0).any():
        notes.append("patients of no part are written, too, so no parts are named")
    told = f"{count(len(table), 'row')} of {count(len(people), 'patient')} in {count(len(records.patient), 'stay')}"
    lines = [f"written   {told}, as MEDS 0.4 in {folder}", *(f"note      {note}" for note in notes)]
    told = "" if bins in (None, 1.0) else f" --set feed.meds.bin_hours={bins:g}"
    return "\n".join((*lines, f"read by   angle-domains feeds check {quote(str(folder))} --feed clinical{told}"))


def _check_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise FeedError(f"{folder}: is no folder; MEDS wants one that is empty or not there yet")
    if folder.is_dir() and any(folder.iterdir()):
        raise FeedError(f"{folder}: the folder is not empty; name one that is, or that is not there yet")


def _marked(schema: Schema) -> Schema:
    """The schema with a column for how stays end, also where the table has none: MEDS has marks for that."""
    return schema.model_copy(
        update={"outcome": schema.outcome or "meds_died", "end_reason": schema.end_reason or "meds_end_reason"}
    )


def _numbers(records: Records) -> np.ndarray:
    """The patients [P] as int64."""
    texts = pl.Series(records.identities, dtype=pl.String).str.strip_chars()
    numbers = texts.cast(pl.Int64, strict=False)
    if numbers.null_count() or numbers.n_unique() < len(numbers):
        raise FeedError(
            f"{records.source}: column '{records.schema.subject}': MEDS wants patients as whole numbers, each another"
        )
    return numbers.to_numpy()


def _bins(records: Records, rows: np.ndarray) -> float | None:
    """The hours between rows, where they are always the same; None where they differ."""
    steps = np.diff(records.hours[rows])[np.diff(records.stay[rows]) == 0]
    steps = np.unique(steps.round(6))
    return 1.0 if not len(steps) else float(steps[0]) if len(steps) == 1 else None


def _table(records: Records, schema: Schema, people: np.ndarray, rows: np.ndarray) -> pl.DataFrame:
    """Some rows of the records as a table like the one that they were read from."""
    stay = records.stay[rows]
    reason = records.reason[stay]
    columns: dict[str, pl.Series | np.ndarray] = {}
    for name, values in records.values.items():
        columns[name] = pl.Series(values[rows]).fill_nan(None)
    for name, coded in records.coded.items():  # last: an action column that the state shows has numbers as well
        if name in schema.words | schema.labels:
            codes = pl.Series(coded.codes[rows])
            columns[name] = pl.Series(coded.names, dtype=pl.String).gather(codes.set(codes < 0, None))
    columns[schema.subject] = people[records.patient[stay]]
    if schema.stay:
        columns[schema.stay] = stay
    columns[schema.time] = records.hours[rows] / HOURS[schema.time_unit]
    assert schema.outcome is not None
    assert schema.end_reason is not None
    columns[schema.outcome] = (reason == DEATH).astype(np.int64)
    columns[schema.end_reason] = pl.Series(np.array(REASONS)[reason])
    return pl.DataFrame(columns)
