"""What is embedded of the MIMIC-IV demo, and the script that makes it, on one stay that was written by hand."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
import yaml
from sklearn.ensemble import HistGradientBoostingClassifier

from feeds.clinical.audit import auroc
from feeds.clinical.config import ClinicalConfig
from feeds.clinical.feed import ClinicalFeed
from feeds.data.mimic4demo_vaso import FOLDER, TABLE, load
from feeds.data.mimic4demo_vaso.build import HOUR_CAP, STAY, WHEEL, Tables, build

ONE_DRUG = {"codec": "binary", "columns": ["action_vaso"]}
START = datetime(2100, 5, 1, 10, 20, tzinfo=UTC)  # of the first vasopressor


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return load()


def test_it_holds_26_patients_in_33_stays_with_12_deaths(table: pl.DataFrame) -> None:
    assert (table["subject_id"].n_unique(), table["stay_id"].n_unique(), table.height) == (26, 33, 3_761)
    stays = table.group_by("stay_id", maintain_order=True)
    last = stays.last()
    assert last["death"].sum() == 12
    ends = last.group_by("traj_end_reason", "death").len().sort("traj_end_reason", "death").rows()
    assert ends == [("death", 1, 6), ("discharge", 0, 3), ("hour_cap", 0, 18), ("hour_cap", 1, 6)]
    assert (last.filter(pl.col("traj_end_reason") == "hour_cap")["time_hour"] == HOUR_CAP).all()
    for column in ("subject_id", "death", "traj_end_reason", "age", "gender"):
        assert stays.agg(pl.col(column).n_unique())[column].max() == 1
    assert stays.agg((pl.col("time_hour").cast(pl.Int16).diff().drop_nulls() == 1).all())["time_hour"].all()
    assert stays.first()["time_hour"].sum() == 0
    treated = stays.agg(((pl.col("norepinephrine") > 0) | (pl.col("action_vaso") == 1)).first().alias("treated"))
    assert treated["treated"].all()


def test_values_lie_where_the_schema_says(table: pl.DataFrame) -> None:
    schema = yaml.safe_load((FOLDER / "schema.yaml").read_text())
    named = {schema[role] for role in ("subject", "stay", "time", "outcome", "end_reason")}
    assert named | set(schema["state"]) | set(schema["action"]) == set(table.columns)
    for name, said in (schema["state"] | schema["action"]).items():
        if said["kind"] == "categorical":
            assert set(table[name]) == {"Female", "Male"}
            continue
        assert table[name].min() >= said["low"], name
        assert table[name].max() <= said["high"], name
        assert said["kind"] != "binary" or set(table[name]) == {0, 1}


def test_nobody_can_be_named_by_it(table: pl.DataFrame) -> None:
    """Numbers instead of the source's ids, hours instead of dates."""
    assert table["subject_id"].max() == 25
    assert table["stay_id"].max() == 32
    assert not any(kind.is_temporal() for kind in table.dtypes)
    assert table["age"].max() <= 91


def test_the_folder_says_whose_it_is() -> None:
    assert TABLE.stat().st_size < 40_000
    sheet = (FOLDER / "DATASHEET.md").read_text()
    assert WHEEL.sha256 in sheet
    assert "share alike" in sheet.lower()
    licence = (FOLDER / "LICENSE").read_text()
    assert licence.startswith("ODC Open Database License (ODbL)")
    assert "4.4" in licence
    assert "10.13026/dp1f-ex47" in (FOLDER / "CITATION").read_text()


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def one_stay(end: float = 5.5, fate: str = "Expired") -> Tables:
    """Norepinephrine .2 for 90 minutes, then .4 for an hour; half an hour of vasopressin in the third hour."""
    doses = [
        ("norepinephrine", "a", at(0), "start", 0.2),
        ("norepinephrine", "a", at(1.5), "dose_change", 0.4),
        ("norepinephrine", "a", at(2.5), "stop", 0.0),
        ("vasopressin", "b", at(2.25), "start", 2.4),
        ("vasopressin", "b", at(2.75), "stop", 0.0),
        ("propofol", "c", at(-9), "start", 50.0),
    ]
    pressures = [(at(-0.5), 50.0), (at(0.25), 60.0), (at(0.75), 70.0), (at(1.0), 80.0), (at(1.5), 800.0)]
    vitals = [("map", *row) for row in pressures] + [("weight_kg", at(-30), 71.5), ("weight_kg", at(3.5), 74.0)]
    labs = [
        ("lactate", at(-30), at(-29), 9.0),
        ("lactate", at(-3), at(-2), 4.0),
        ("lactate", at(0.5), at(2.5), 3.0),  # drawn in the first hour, known in the third
        ("sodium", at(0), at(1), 140.0),
        ("bun", at(0), at(1), 30.0),
        ("creatinine", at(0), at(1), 1.5),
    ]
    when = pl.Datetime("us", "UTC")
    return {
        "hospitalization": pl.DataFrame(
            {
                "patient_id": ["9"],
                STAY: ["7"],
                "admission_dttm": [at(-40)],
                "discharge_dttm": [at(end)],
                "age_at_admission": [61],
                "discharge_category": [fate],
            },
            schema_overrides={"discharge_dttm": when, "admission_dttm": when},
        ),
        "patient": pl.DataFrame({"patient_id": ["9"], "sex_category": ["Female"]}),
        "medication_admin_continuous": frame(
            "med_category med_order_id admin_dttm mar_action_category med_dose", doses
        ),
        "vitals": frame("vital_category recorded_dttm vital_value", vitals),
        "labs": frame("lab_category lab_collect_dttm lab_result_dttm lab_value_numeric", labs),
        "respiratory_support": frame(
            "recorded_dttm device_category", [(at(-1), "Nasal Cannula"), (at(1.5), "IMV"), (at(1.75), None)]
        ),
        "crrt_therapy": frame("recorded_dttm", [(at(2.75),)]),
    }


def frame(columns: str, rows: list) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=columns.split(), orient="row").with_columns(pl.lit("7").alias(STAY))


def test_a_row_shows_what_was_known_and_what_was_then_given() -> None:
    made = build(one_stay())
    assert made["time_hour"].to_list() == [0, 1, 2, 3, 4, 5]
    assert made["norepinephrine"].to_list() == pytest.approx([0.2, 0.3, 0.2, 0.0, 0.0, 0.0])
    assert made["action_vaso"].to_list() == [0, 0, 1, 0, 0, 0]
    assert made["mbp"].to_list() == [50.0, 70.0, None, None, None, None]  # 800 is an artefact
    assert made["lactate"].to_list() == [4.0, None, None, 3.0, None, None]
    assert made["bun"].to_list() == [None, 30.0, None, None, None, None]
    assert made["weight"].to_list() == [71.5] * 4 + [74.0] * 2
    assert made["ventil"].to_list() == [0, 0, 1, 1, 1, 1]
    assert made["rrt"].to_list() == [0, 0, 0, 1, 1, 0]
    assert set(made["traj_end_reason"]) == {"death"}
    assert set(made["death"]) == {1}


@pytest.mark.parametrize(
    ("end", "fate", "rows", "reason", "death"),
    [
        (5.5, "Home", 6, "discharge", 0),
        (119.9, "Expired", 120, "death", 1),
        (130.0, "Expired", 121, "hour_cap", 1),
        (500.0, "Home", 121, "hour_cap", 0),
    ],
)
def test_the_end_is_named_by_what_ended_the_rows(end: float, fate: str, rows: int, reason: str, death: int) -> None:
    made = build(one_stay(end, fate))
    assert made.height == rows
    assert set(made["traj_end_reason"]) == {reason}
    assert set(made["death"]) == {death}


def test_no_row_knows_what_comes_later() -> None:
    """Later measurements changed: rows up to then stay as they are."""
    plain, tables = build(one_stay()), one_stay()
    for name, time, value in (
        ("vitals", "recorded_dttm", "vital_value"),
        ("labs", "lab_result_dttm", "lab_value_numeric"),
        ("medication_admin_continuous", "admin_dttm", "med_dose"),
    ):
        later = pl.when(pl.col(time) > at(2)).then(pl.col(value) + 1).otherwise(pl.col(value))
        tables[name] = tables[name].with_columns(later.alias(value))
    changed = build(tables)
    states = [name for name in plain.columns if name not in ("norepinephrine", "action_vaso")]
    assert changed.select(states).head(3).equals(plain.select(states).head(3))
    assert changed.head(2).equals(plain.head(2))
    assert not changed.equals(plain)


def test_a_split_of_rows_flatters_on_these_very_patients() -> None:
    """Who will die, told by boosting from a row alone: rows of patients who were learned from give their death away."""
    feed = ClinicalFeed(ClinicalConfig.model_validate({"path": "mimic4demo-vaso", "actions": ONE_DRUG}))
    rows, records = feed.rows_of(feed.records), feed.records
    seen, died = rows.observation, records.died[records.stay]
    chance = np.random.default_rng(0)
    by_patient, by_row = [], []
    for _ in range(3):
        held = np.isin(rows.entity, chance.permutation(len(records.identities))[:8])
        by_patient.append(told(seen, died, held))
        by_row.append(told(seen, died, chance.random(len(seen)) < held.mean()))
    assert min(by_row) > 0.95
    assert np.mean(by_patient) < np.mean(by_row) - 0.2


def told(seen: np.ndarray, died: np.ndarray, held: np.ndarray) -> float:
    """AUROC on the rows that were held out."""
    model = HistGradientBoostingClassifier(max_iter=30, random_state=0).fit(seen[~held], died[~held])
    return auroc(model.predict_proba(seen[held])[:, 1], died[held])
