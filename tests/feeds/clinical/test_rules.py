"""Every rule of patient tables: refused by patient, row and rule, or left out with a line."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from feeds.clinical.border import read_records
from feeds.clinical.config import ClinicalConfig
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.privacy import pseudonym
from feeds.errors import FeedError
from feeds.findings import MOST
from tests.feeds.clinical.tables import ROLES, SCHEMA, table

SOUND = table(20, holes=0.2)
LINE = 40  # of the table, from 0
STAY = SOUND["stay_id"][LINE]
SAME = int((SOUND["stay_id"] == STAY).sum())
WHOLE = len(SOUND["stay_id"].unique())


def cell(name: str, value: Any, dtype: Any = None) -> pl.DataFrame:
    """The sound table with another value in one row."""
    column = SOUND[name].to_list()
    column[LINE] = value
    return SOUND.with_columns(pl.Series(name, column, dtype=dtype, strict=False))


def whole_stay(name: str, value: pl.Expr) -> pl.DataFrame:
    return SOUND.with_columns(pl.when(pl.col("stay_id") == STAY).then(value).otherwise(name).alias(name))


def config(policy: str, **settings: Any) -> ClinicalConfig:
    return ClinicalConfig.model_validate({"path": "unused", "roles": SCHEMA, "policy": policy, **settings})


def swapped() -> pl.DataFrame:
    order = np.arange(len(SOUND))
    order[[LINE, LINE + 1]] = order[[LINE + 1, LINE]]
    return SOUND[order.tolist()]


FIRST = int(np.flatnonzero(SOUND["stay_id"].to_numpy() == STAY)[0])
# rule: (table, settings, rows left out, stays left out, what is said)
RULES: dict[str, tuple[Callable[[], pl.DataFrame], dict[str, Any], int, int, str]] = {
    "missing_key": (lambda: cell("subject_id", None), {}, 1, 0, "the patient is missing"),
    "missing_key, time": (lambda: cell("time_hour", None), {}, 1, 0, "the time is missing"),
    "unsorted": (swapped, {}, 0, 0, "before that of the stay's row before"),
    "duplicate": (lambda: pl.concat([SOUND[: LINE + 1], SOUND[LINE:]]), {}, 1, 0, "another row has this stay and time"),
    "two_patients": (lambda: cell("subject_id", "MRN9999"), {}, SAME, 1, "belongs to another patient too"),
    "not_a_number": (lambda: cell("mbp", np.inf), {}, 0, 0, "mbp is no number"),
    "out_of_range": (lambda: cell("mbp", 900.0), {}, 0, 0, "mbp lies outside its plausible range, 10 … 250 mmHg"),
    "out_of_range, binary": (lambda: cell("ventil", 0.5), {}, 0, 0, "ventil lies outside its plausible range, 0 or 1"),
    "missing_value": (
        lambda: cell("mbp", None).with_columns(pl.col("lactate").fill_null(2.0)),
        {"states": {"missing": "error"}},
        SAME,
        1,
        "mbp is missing",
    ),
    "action_range": (lambda: cell("norepinephrine", 0.7), {}, SAME, 1, "outside its range, 0 … 0.5 ug/kg/min"),
    "action_range, negative": (lambda: cell("norepinephrine", -0.1), {}, SAME, 1, "outside its range"),
    "missing_action": (lambda: cell("action_vaso", None), {}, SAME, 1, "is missing where a decision was taken"),
    "contradictory_outcome": (
        lambda: cell("death", 1 - SOUND["death"][LINE]),
        {},
        SAME,
        1,
        "the stay has two outcomes",
    ),
    "missing_outcome": (
        lambda: whole_stay("death", pl.lit(None)).with_columns(
            pl.when(pl.col("stay_id") == STAY).then(None).otherwise("traj_end_reason").alias("traj_end_reason")
        ),
        {},
        SAME,
        1,
        "neither outcome nor end reason",
    ),
    "end_reason": (
        lambda: cell("traj_end_reason", "eloped"),
        {},
        SAME,
        1,
        "none of death, discharge, transfer, hour_cap",
    ),
    "contradictory_end": (lambda: cell("traj_end_reason", "transfer"), {}, SAME, 1, "two end reasons"),
    "contradictory_end, outcome": (
        lambda: whole_stay("traj_end_reason", pl.lit("discharge" if SOUND["death"][LINE] else "death")),
        {},
        SAME,
        1,
        "contradicts the outcome",
    ),
    "static": (lambda: cell("age", 99.0), {}, SAME, 1, "age changes within the stay"),
    "empty_stay": (
        lambda: SOUND.with_columns(
            pl.when(pl.col("stay_id") == STAY).then(None).otherwise(name).alias(name)
            for name in ("mbp", "lactate", "sofa", "ventil", "age", "gender")
        ),
        {},
        SAME,
        1,
        "no state value stands in any row",
    ),
    "unseen_category": (
        lambda: whole_stay("gender", pl.lit("neither")),
        {
            "roles": ROLES
            | {"state": ROLES["state"] | {"gender": {"kind": "categorical", "categories": ["female", "male"]}}}
        },
        0,
        0,
        "of a category that the schema does not list",
    ),
    "unit": (
        lambda: whole_stay("lactate", pl.col("lactate") / 1000),
        {},
        SAME,
        1,
        "lactate is over 200 times off other stays: is it in mmol/L?",
    ),
}


@pytest.mark.parametrize("case", RULES)
def test_a_broken_rule_is_told_by_patient_row_and_rule_or_left_out(case: str) -> None:
    make, settings, rows, stays, said = RULES[case]
    rule = case.split(",")[0]
    with pytest.raises(FeedError) as caught:
        read_records(config("error", **settings), make())
    told = str(caught.value)
    assert f"[{rule}]" in told
    assert said in told
    assert re.search(r"frame, row \d+", told)
    if case != "missing_key":
        assert re.search(r"patient [0-9a-f]{8}", told)
    assert "MRN" not in told
    records, report = read_records(config("quarantine", **settings), make())
    assert report.counts[rule] >= 1
    assert said in report.text()
    kept = SAME - rows if stays else SAME
    assert kept >= 0
    assert len(records.patient) == WHOLE - stays
    assert len(records) == len(SOUND) - (rows if case != "duplicate" else 0)
    ClinicalFeed(config("quarantine", **settings), records=(records, report)).episodes("train")


def test_the_first_broken_row_is_named_and_all_are_counted() -> None:
    frame = SOUND.with_columns(mbp=pl.when(pl.col("time_hour") == 2).then(999.0).otherwise("mbp"))
    broken = np.flatnonzero(frame["mbp"].to_numpy() > 900)
    with pytest.raises(FeedError) as caught:
        read_records(config("error"), frame)
    owner = pseudonym(frame["subject_id"][int(broken[0])])
    assert f"frame, row {broken[0] + 1}, patient {owner}: mbp lies outside" in str(caught.value)
    assert f"findings in all: {len(broken)} (out_of_range {len(broken)})" in str(caught.value)
    many = pl.concat([SOUND.with_columns(subject_id=pl.lit(None, pl.String))] * 6)
    report = read_records(config("quarantine"), pl.concat([SOUND, many]))[1]
    assert len(report.findings) == MOST < report.counts["missing_key"] == len(many)


def test_milligrams_among_micrograms_are_caught() -> None:
    for factor in (1000.0, 1 / 1000):
        dose = pl.col("norepinephrine") * factor
        roles = ROLES | {"action": {"norepinephrine": {"unit": "ug/kg/min", "low": 0.0, "high": None}}}
        with pytest.raises(FeedError, match="norepinephrine is over 200 times off other stays"):
            read_records(config("error", roles=roles), whole_stay("norepinephrine", dose))
    state = ROLES["state"] | {"creatinine": {}}
    one = pl.when(pl.col("stay_id") == STAY).then(88.0).otherwise(1.0)
    with pytest.raises(FeedError, match="creatinine lies outside its plausible range, 0 … 30 mg/dL"):
        read_records(config("error", roles=ROLES | {"state": state}), SOUND.with_columns(creatinine=one))


def refusal(settings: ClinicalConfig, frame: pl.DataFrame) -> str:
    """Why a table is refused, nothing where it is not."""
    try:
        read_records(settings, frame)
    except FeedError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("name", "factor", "said"),
    [
        ("norepinephrine", 1e-3, r"norepinephrine above 0 is 0.0002\d, where 0.005 to 2 ug/kg/min was expected"),
        ("norepinephrine", 1e3, r"norepinephrine above 0 is 2.\de\+02, where 0.005 to 2 ug/kg/min was expected"),
        ("creatinine", 0.1, "creatinine above 0 is 0.11, where 0.25 to 8 mg/dL was expected"),
        ("creatinine", 88.4, r"creatinine above 0 is 97, where 0.25 to 8 mg/dL was expected"),
        ("mbp", 0.1333, r"mbp above 0 is 8.\d, where 40 to 130 mmHg was expected"),
    ],
)
@pytest.mark.parametrize("policy", ["error", "quarantine"])
def test_a_whole_table_in_another_unit_is_refused(policy: str, name: str, factor: float, said: str) -> None:
    """No stay is off the others; left out, none would be left, or the column would count as not measured."""
    roles = ROLES | {"state": ROLES["state"] | {"creatinine": {}}}
    sound = SOUND.with_columns(creatinine=pl.lit(1.1))
    read_records(config(policy, roles=roles), sound)
    other = sound.with_columns(pl.col(name) * factor)
    with pytest.raises(FeedError, match=said):
        read_records(config(policy, roles=roles), other)
    few = other.filter(pl.col("subject_id").is_in(other["subject_id"].unique(maintain_order=True)[:10]))
    for settings, frame in (({"unit_factor": None}, other), ({}, few)):  # not asked for; too few to say
        assert "was expected" not in refusal(config(policy, roles=roles, **settings), frame)


def test_a_column_whose_roles_name_another_unit_is_taken_at_its_word() -> None:
    roles = ROLES | {"action": {"norepinephrine": {"unit": "mg/kg/min", "low": 0.0, "high": 0.0005}}}
    read_records(config("error", roles=roles), SOUND.with_columns(pl.col("norepinephrine") / 1000))


def test_a_value_out_of_range_counts_as_not_measured() -> None:
    records, _ = read_records(config("quarantine"), cell("mbp", 900.0))
    assert np.flatnonzero(np.isnan(records.values["mbp"])).tolist() == [LINE]


def test_the_last_row_counts_where_it_is_said_to() -> None:
    last = pl.col("time_hour") == pl.col("time_hour").max().over("stay_id")
    frame = SOUND.with_columns(death=pl.when(last).then("death").otherwise(0))
    with pytest.raises(FeedError, match="set feed.ends.outcome=last_row"):
        read_records(config("error"), frame)
    records, _ = read_records(config("error", ends={"outcome": "last_row"}), frame)
    np.testing.assert_array_equal(records.died, read_records(config("error"), SOUND)[0].died)
    back = frame.with_columns(death=pl.when(pl.col("time_hour") == 0).then(1).otherwise("death"))
    with pytest.raises(FeedError, match="the stay has two outcomes"):
        read_records(config("error", ends={"outcome": "last_row"}), back)
