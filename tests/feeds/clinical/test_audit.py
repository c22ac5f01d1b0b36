"""The report of `feeds check`: whole, and red for every kind of leak."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from feeds.clinical.audit import auroc, check, future, ids
from feeds.clinical.config import ClinicalConfig
from feeds.clinical.states import StateCoder
from tests.feeds.clinical.tables import ROLES, feed, table, write_set

FRAME = table(120)


def report(frame: pl.DataFrame, folder: Path, **settings: Any) -> tuple[str, bool]:
    path = write_set(folder, frame)
    text, accepted = check(str(path), ClinicalConfig.model_validate({"roles": ROLES, **settings}))
    return text, accepted


def test_the_whole_report(tmp_path: Path) -> None:
    text, accepted = report(FRAME, tmp_path, reward={"kind": "oviss"})
    for line in (
        f"source    {tmp_path / 'table.parquet'}",
        f"rows      {len(FRAME):,}",
        "stays     150",
        "patients  120",
        "findings  0 (policy error)",
        "verdict   accepted",
        "split     train: 84 patients",
        "mbp: train mean",
        "actions   block of action_vaso, norepinephrine",
        "reward    oviss: reads up to 6 h beyond the decision",
        "ids       0 patients in two parts",
        "action    no feature tells the decision of its own row; the nearest is",
        "outcome   no feature tells who dies by itself; the nearest is",
        "terminal  100% of the deaths of the table reach training and judging",
        "proof     nothing leaks that was looked for",
    ):
        assert line in text, line
    assert text.count("equal to the bit") == 3
    assert accepted
    assert "MRN" not in text


def test_it_goes_on_without_rows_that_break_rules(tmp_path: Path) -> None:
    bad = FRAME.with_columns(mbp=pl.when(pl.int_range(pl.len()) == 50).then(999.0).otherwise("mbp"))
    text, accepted = report(bad, tmp_path)
    assert not accepted
    assert "verdict   refused: 1 finding under feed.policy=error" in text
    assert "row 51, patient" in text
    assert "proof     nothing leaks" in text
    text, accepted = report(bad, tmp_path, policy="quarantine")
    assert accepted
    assert "verdict   accepted with 1 finding" in text


def test_a_feature_that_holds_the_action_is_told(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, len(FRAME))
    leaky = FRAME.with_columns(pump=pl.col("norepinephrine") * 10 + noise)
    roles = ROLES | {"state": {**ROLES["state"], "pump": {}}}
    text, accepted = report(leaky, tmp_path, roles=roles)
    assert not accepted
    assert "action    FAILED: pump tells the norepinephrine of its own row" in text
    assert report(leaky, tmp_path, roles=roles, states={"lag": ["pump"]})[1]
    assert report(leaky, tmp_path, roles=roles, states={"drop": ["pump"]})[1]


def test_a_feature_that_holds_a_part_of_a_coded_action_is_told(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    level = chance.integers(0, 25, len(FRAME))
    order = np.array([2, 0, 4, 1, 3])
    leaky = FRAME.with_columns(level=level, fluid_in=order[level % 5] + chance.normal(0, 0.05, len(FRAME)))
    roles = ROLES | {
        "state": {**ROLES["state"], "fluid_in": {}},
        "action": {"level": {"kind": "discrete", "low": 0, "high": 24}},
    }
    text, accepted = report(leaky, tmp_path, roles=roles)
    assert not accepted
    assert "fluid_in tells the level of its own row" in text


def test_a_feature_that_tells_the_outcome_is_told(tmp_path: Path) -> None:
    roles = ROLES | {"state": {**ROLES["state"], "ward": {}}}
    told = FRAME.with_columns(ward=pl.col("death") * 3 + pl.col("time_hour") / 100)
    text, accepted = report(told, tmp_path, roles=roles)
    assert not accepted
    assert "outcome   FAILED: ward (values) tells who dies, AUROC 1.0000" in text


def test_what_could_not_be_looked_for_is_never_said_to_be_clean(tmp_path: Path) -> None:
    """A leak that few deaths hide, and the same one among survivors: accepted, but not as looked at."""
    roles = ROLES | {"state": {**ROLES["state"], "ward": {}}}
    few = table(40).with_columns(ward=pl.col("death") * 3.0)
    for frame in (few, few.with_columns(death=1 - pl.col("death"), traj_end_reason=pl.lit(None, pl.String))):
        text, accepted = report(frame, tmp_path, roles=roles)
        assert accepted
        assert "outcome   not looked for: fewer than 11 deaths or survivors in training" in text
        assert text.endswith("nothing leaks that was looked for; not looked for: features that tell who dies")
    text, _ = report(FRAME, tmp_path)
    assert "not looked for" not in text


def test_states_that_look_ahead_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(leak.passed for leak in future(feed()))
    honest = StateCoder.encode

    def backward(coder: StateCoder, records: Any) -> np.ndarray:
        seen = honest(coder, records)
        seen[:-1, 0] = seen[1:, 0]
        return seen

    monkeypatch.setattr(StateCoder, "encode", backward)
    leaks = future(feed())
    assert not any(leak.passed for leak in leaks)
    assert "DIFFER in " in leaks[0].told
    assert "observations" in leaks[0].told


def test_a_horizon_that_is_not_declared_is_told() -> None:
    from feeds.clinical.feed import ClinicalFeed

    def ahead(story: Any) -> np.ndarray:
        return np.nan_to_num(story.paired(story.column("mbp"), 3.0)[1])

    for horizon, passed in ((0.0, False), (3.0, True)):
        config = feed().config.model_copy(update={"reward": feed(reward={"horizon": horizon}).config.reward})
        leaks = future(ClinicalFeed(config, frame=FRAME, reward=ahead))
        assert all(leak.passed for leak in leaks) == passed


def test_deaths_that_never_reach_training_are_told(tmp_path: Path) -> None:
    """A quarter of the patients die; half of these are left out: stays of one row, and stays that break a rule."""
    died = (pl.col("subject_id").str.slice(3).cast(pl.Int64) - 7000) % 4 == 1
    eighth = (pl.col("subject_id").str.slice(3).cast(pl.Int64) - 7000) % 8 == 1
    short = FRAME.filter(~(died & eighth) | (pl.col("time_hour") == 0))
    text, accepted = report(short, tmp_path / "short")
    assert not accepted
    assert (
        "terminal  FAILED: 50% of the deaths of the table reach training and judging; lost are some in stays that"
        in text
    )
    assert "hold no decision" in text
    now_and_then = pl.int_range(pl.len()) % 2
    broken = FRAME.with_columns(death=pl.when(died & eighth).then(now_and_then).otherwise("death"))
    text, accepted = report(broken, tmp_path / "broken", policy="quarantine")
    assert not accepted
    assert (
        "terminal  FAILED: 50% of the deaths of the table reach training and judging; lost are some in stays that"
        in text
    )
    assert "broke a rule" in text.split("terminal")[1]


def test_few_deaths_that_are_lost_are_not_counted(tmp_path: Path) -> None:
    one = FRAME.filter((pl.col("subject_id") != "MRN7001") | (pl.col("time_hour") == 0))
    text, accepted = report(one, tmp_path)
    assert accepted
    told = "terminal  not all (of few patients it is not told how many) of the deaths of the table reach training"
    assert told in text


def test_a_patient_in_two_parts_under_names_that_look_alike_is_told(tmp_path: Path) -> None:
    other = FRAME.with_columns(
        subject_id=pl.format("mrn0{} ", pl.col("subject_id").str.slice(3)), stay_id=pl.col("stay_id") + 1_000
    )
    text, accepted = report(pl.concat([FRAME, other]), tmp_path)
    assert not accepted
    assert "in two parts, maybe under names that differ in case, blanks or leading zeros" in text
    assert "ids       FAILED: " in text
    assert ids(feed()).passed


def test_the_area_by_hand() -> None:
    positive = np.array([True, True, False, False])
    assert auroc(np.array([3.0, 1.0, 2.0, 0.0]), positive) == 0.75
    assert auroc(np.array([1.0, 1.0, 1.0, 1.0]), positive) == 0.5
    assert auroc(np.array([2.0, 3.0, 0.0, 1.0]), positive) == 1.0
