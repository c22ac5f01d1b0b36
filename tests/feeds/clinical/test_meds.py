"""MEDS 0.4: there and back, the types that its validators want, and no look-ahead within the hour."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from feeds.clinical.config import ClinicalConfig
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.meds_out import DATA, SUBJECT_SPLITS, write_meds
from feeds.clinical.schema import Schema
from feeds.errors import FeedError
from tests.feeds.clinical.tables import ROLES, feed, table

SPLITS = ("train", "validation", "test")
SCHEMA = Schema.model_validate(ROLES)


def numbered(patients: int = 30) -> pl.DataFrame:
    """The small table with whole numbers for patients; single precision, as MEDS keeps it."""
    frame = table(patients)
    frame = frame.with_columns(subject_id=pl.col("subject_id").str.slice(3).cast(pl.Int64))
    single = [pl.col(name).cast(pl.Float32).cast(pl.Float64) for name in ("mbp", "lactate", "norepinephrine")]
    return frame.with_columns(*single)


def config(path: Path, **settings: Any) -> ClinicalConfig:
    return ClinicalConfig.model_validate({"path": str(path), "roles": ROLES, **settings})


def test_out_and_in_again_gives_the_same_rows(tmp_path: Path) -> None:
    frame = numbered()
    plain = feed(frame)
    splits = {split: [int(name) for name in plain.part(split).identities] for split in SPLITS}
    root = write_meds(frame, SCHEMA, tmp_path / "meds", splits)
    read = ClinicalFeed(config(root))
    for split in SPLITS:
        one, other = plain.episodes(split), read.episodes(split)
        for name in ("observation", "action", "reward", "terminated", "last", "elapsed", "entity"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def placed(made: ClinicalFeed) -> dict[str, str]:
    """The part of every patient."""
    return {str(name): split for split in SPLITS for name in made.part(split).identities}


def test_parts_are_those_that_the_data_name(tmp_path: Path) -> None:
    """Other than those of the hash; told not to, the feed makes its own."""
    frame = numbered()
    people = frame["subject_id"].unique().sort().to_list()
    splits = {"train": people[:10], "validation": people[10:25], "test": people[25:]}
    root = write_meds(frame, SCHEMA, tmp_path / "meds", splits)
    wanted = {str(name): split for split, names in splits.items() for name in names}
    for by in ("auto", "given"):
        made = ClinicalFeed(config(root, splits={"by": by}))
        assert placed(made) == wanted
        assert made.bounds == ()
        assert made.check_report.notes == ("patients are in the parts that the data name",)
        assert placed(ClinicalFeed(config(root, splits={"by": by}), fitted=made.state_dict())) == wanted
    own = ClinicalFeed(config(root, splits={"by": "patient"}))
    assert placed(own) == placed(feed(frame)) != wanted
    assert own.describe()["digest"] != made.describe()["digest"]
    with pytest.raises(FeedError, match="feed.splits.by=given is for MEDS data"):
        feed(frame, splits={"by": "given"})


@pytest.mark.parametrize("fault", ["left out", "in two", "in a part that is none", "no file of that kind"])
def test_a_patient_in_no_part_that_the_data_name_is_a_mistake(fault: str, tmp_path: Path) -> None:
    frame = numbered()
    people = frame["subject_id"].unique().sort().to_list()
    splits = {"train": people[:10], "validation": people[10:25], "test": people[25:]}
    if fault == "left out":
        splits["test"] = splits["test"][1:]
    if fault == "in two":
        splits["train"] = [*splits["train"], splits["test"][0]]
    root = write_meds(frame, SCHEMA, tmp_path / "meds", splits)
    file = root / "metadata" / "subject_splits.parquet"
    if fault == "in a part that is none":
        told = pl.read_parquet(file)
        told.with_columns(
            pl.when(pl.col("subject_id") == people[-1]).then(pl.lit("test")).otherwise("split").alias("split")
        ).write_parquet(file)
    if fault == "no file of that kind":
        file.write_bytes(b"PAR1 nothing")
    with pytest.raises(
        FeedError, match="cannot be read" if "file" in fault else "1 patient, .* must each be in"
    ) as found:
        ClinicalFeed(config(root))
    assert not any(str(name) in str(found.value) for name in people)
    ClinicalFeed(config(root, splits={"by": "patient"}))


def test_what_is_written_has_the_types_of_meds(tmp_path: Path) -> None:
    frame = numbered(6)
    root = write_meds(frame, SCHEMA, tmp_path, {"train": [7000], "validation": [7001], "test": [7002]})
    events = parquet.read_table(root / "data" / "0.parquet")
    assert events.schema.remove_metadata() == DATA
    assert DATA.field("code").type == pa.string()  # polars alone gives large_string
    assert frame.select("gender").to_arrow().schema.field("gender").type != pa.string()
    told = pl.from_arrow(events)
    assert isinstance(told, pl.DataFrame)
    assert told["subject_id"].is_sorted()
    assert told.select((pl.col("time").diff() >= pl.duration(seconds=0)).over("subject_id").all()).item()
    assert set(told["code"]) >= {"mbp", "gender", "ICU_ADMISSION", "MEDS_DEATH", "ICU_DISCHARGE"}
    parts = parquet.read_table(root / "metadata" / "subject_splits.parquet")
    assert parts.schema.remove_metadata() == SUBJECT_SPLITS
    assert parts["split"].to_pylist() == ["train", "tuning", "held_out"]
    with pytest.raises(FeedError, match="wants patients as whole numbers"):
        write_meds(table(6), SCHEMA, tmp_path)


def events(rows: list[tuple[int, float | None, str, float | None]], folder: Path) -> Path:
    """A data set of events: subject, minutes (None: static), code, number."""
    (folder / "data").mkdir(parents=True)
    (folder / "metadata").mkdir()
    micros = [None if row[1] is None else int(row[1] * 60e6) + 50 * 365 * 86_400_000_000 for row in rows]
    frame = pl.DataFrame(
        {
            "subject_id": [row[0] for row in rows],
            "time": pl.Series(micros, dtype=pl.Int64).cast(pl.Datetime("us")),
            "code": [row[2] for row in rows],
            "numeric_value": pl.Series([row[3] for row in rows], dtype=pl.Float32),
            "text_value": pl.Series([None for _ in rows], dtype=pl.String),
        }
    )
    frame.write_parquet(folder / "data" / "0.parquet")
    return folder


NARROW = {
    "subject": "subject_id",
    "time": "hour",
    "outcome": "death",
    "end_reason": "end",
    "state": {"lactate": {}, "age": {}},
    "static": ["age"],
    "action": {"vaso": {"kind": "binary"}},
}


def test_an_hour_shows_what_was_measured_up_to_it_and_decides_what_is_given_from_it_on(tmp_path: Path) -> None:
    rows: list[tuple[int, float | None, str, float | None]] = []
    for subject in range(10):
        rows += [(subject, None, "age", 60.0), (subject, 0, "LAB//lactate", 2.0), (subject, 30, "LAB//lactate", 3.0)]
        rows += [(subject, 59, "LAB//lactate", 4.0), (subject, 61, "LAB//lactate", 5.0), (subject, 90, "vaso", 1.0)]
        rows += [(subject, 179, "vaso", 0.0), (subject, 200, "MEDS_DEATH" if subject % 2 else "LAB//other", None)]
        rows += [(subject, 210, "LAB//lactate", 9.0)] if subject % 2 == 0 else []
    folder = events(rows, tmp_path)
    given = {"codes": {"lactate": ["LAB//lactate"]}}
    made = ClinicalFeed(ClinicalConfig.model_validate({"path": str(folder), "roles": NARROW, "meds": given,
                                                       "reward": {"kind": "mortality"}}))  # fmt: skip
    records = made.records
    one = records.stay == 1
    assert records.hours[one].tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(records.values["lactate"][one], [2.0, 4.0, 5.0, np.nan, np.nan])
    assert records.values["vaso"][one].tolist() == [0, 1, 0, 0, 0]
    assert records.values["age"][one].tolist() == [60] * 5
    assert [bool(died) for died in records.died] == [False, True] * 5
    assert records.reason.tolist() == [3, 0] * 5  # the record ends, or death ends it


def test_a_stay_begins_and_ends_by_its_marks(tmp_path: Path) -> None:
    rows: list[tuple[int, float | None, str, float | None]] = []
    for subject in range(10):
        rows += [(subject, 0, "lactate", 1.0), (subject, None, "age", 50.0)]
        for at in (600, 6000):
            rows += [(subject, at, "ICU_ADMISSION//A", None), (subject, at + 60, "lactate", 2.0)]
            rows += [(subject, at + 70, "vaso", 1.0), (subject, at + 180, "ICU_DISCHARGE//home", None)]
            rows += [(subject, at + 400, "lactate", 7.0)]
    folder = events(rows, tmp_path)
    made = ClinicalFeed(config(folder, roles=NARROW | {"stay": "stay"}))
    assert len(made.records.patient) == 20
    assert set(made.records.reason.tolist()) == {1}
    assert made.records.hours.tolist() == [0, 1, 2, 3] * 20
    assert not (made.records.values["lactate"] == 7).any()
    assert made.records.values["vaso"].tolist() == [0, 1, 1, 1] * 20


@pytest.mark.parametrize("leaves", [True, False])
@pytest.mark.parametrize("policy", ["error", "quarantine"])
def test_a_death_after_a_stay_is_none_of_it(policy: str, leaves: bool, tmp_path: Path) -> None:
    """Of 90 days later, of a later stay, and of the stay itself; whether or not the end of stays is told."""
    rows: list[tuple[int, float | None, str, float | None]] = []
    for subject in range(30):
        rows += [(subject, None, "age", 50.0)]
        again = subject % 3 == 1
        for at in (0, 6000) if again else (0,):
            rows += [(subject, at, "ICU_ADMISSION//A", None), (subject, at + 60, "lactate", 2.0)]
            rows += [(subject, at + 70, "vaso", 1.0), (subject, at + 170, "lactate", 2.0)]
            dies = subject % 3 == 2 or (again and at)
            rows += [(subject, at + 180, "ICU_DISCHARGE//home", None)] if leaves and not dies else []
        death = {0: 180 + 90 * 1440, 1: 6000 + 150, 2: 150}[subject % 3]
        rows += [(subject, death, "MEDS_DEATH", None)] if subject % 3 or leaves else []
    folder = events(rows, tmp_path)
    ends = {"late_death": "terminal"}
    made = ClinicalFeed(config(folder, roles=NARROW | {"stay": "stay"}, policy=policy, ends=ends))
    assert len(made.records.patient) == 40
    kind = made.records.patient % 3
    second = np.diff(made.records.patient, prepend=-1) == 0
    dies = (kind == 2) | second
    np.testing.assert_array_equal(made.records.died, dies)
    np.testing.assert_array_equal(made.records.reason, np.where(dies, 0, 1 if leaves else 3))
    assert not made.check_report.counts


def test_a_column_without_events_is_named(tmp_path: Path) -> None:
    folder = events([(1, 0.0, "lactate", 1.0), (1, 60.0, "vaso", 1.0)], tmp_path)
    with pytest.raises(FeedError, match="column 'age' has no event: which codes it is made of is said by"):
        ClinicalFeed(config(folder, roles=NARROW))
    (folder / "data" / "0.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(FeedError, match="cannot be read as MEDS 0.4"):
        ClinicalFeed(config(folder, roles=NARROW))
