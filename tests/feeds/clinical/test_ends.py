"""How stays end: death terminates, the end of a record is never silently death, and no short stay is lost."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from feeds.clinical.records import DEATH, HOUR_CAP
from tests.feeds.clinical.tables import ROLES, feed, table

SPLITS = ("train", "validation", "test")


@pytest.mark.parametrize("ends", [{}, {"discharge": "truncated"}, {"hour_cap": "terminated", "transfer": "terminated"}])
def test_ends_follow_their_settings(ends: dict[str, Any]) -> None:
    made = feed(ends=ends, reward={"kind": "mortality"})
    for split in SPLITS:
        rows, records = made.episodes(split), made.part(split)
        by_reason = {0: True, 1: ends.get("discharge") != "truncated", 2: "transfer" in ends, 3: "hour_cap" in ends}
        wanted = [by_reason[reason] for reason in records.reason.tolist()]
        assert rows.terminated[rows.stops - 1].tolist() == wanted
        assert (rows.reward[rows.stops - 1] == -1.0).tolist() == records.died.tolist()


def test_deaths_are_told_by_the_record_and_in_last_rows_alone() -> None:
    made = feed(table(60))
    for split in ("train", "validation", "test"):
        records, rows = made.part(split), made.episodes(split)
        died = made.died(split)
        assert died.sum() == (records.reason == DEATH).sum()
        assert not (died & ~rows.last).any()


def test_every_death_reaches_the_rows() -> None:
    frame = table(80)
    made = feed(frame, reward={"kind": "mortality"})
    rewards = sum(float(made.episodes(split).reward.sum()) for split in SPLITS)
    assert rewards == -frame.filter(pl.col("death") == 1)["stay_id"].n_unique()


def test_the_cap_cuts_and_censors() -> None:
    made = feed(table(60), ends={"max_hours": 6.0}, reward={"kind": "mortality"})
    whole = feed(table(60), reward={"kind": "mortality"})
    since = made.records.hours - made.records.hours[made.records.starts][made.records.stay]
    assert since.max() == 6.0
    long = np.bincount(whole.records.stay) > 7
    assert (made.records.reason[long] == HOUR_CAP).all()
    np.testing.assert_array_equal(made.records.reason[~long], whole.records.reason[~long])
    credited = feed(table(60), ends={"max_hours": 6.0, "late_death": "terminal"})
    np.testing.assert_array_equal(credited.records.reason == DEATH, whole.records.died)


def test_stays_of_one_row_are_counted_or_kept() -> None:
    first = pl.col("time_hour") == 0
    frame = table(40).filter(first | (pl.col("stay_id") % 3 != 0))
    short = int((frame.group_by("stay_id").len()["len"] == 1).sum())
    made = feed(frame)
    assert made.describe()["profile"]["left_out"] == {"stays of one row, which hold no decision": short}
    kept = feed(frame, ends={"last_action": "taken"})
    assert len(kept.records.patient) == frame["stay_id"].n_unique()
    assert len(kept.records) == len(frame) + frame["stay_id"].n_unique()
    for split in SPLITS:
        rows = kept.episodes(split)
        assert (rows.stops - rows.starts).min() == 2
        assert (rows.elapsed[~rows.first] == 1.0).all()
        assert (rows.action[rows.last] == 0).all()
    taken = np.concatenate([kept.part(split).values["action_vaso"] for split in SPLITS])
    assert np.nansum(taken) == frame["action_vaso"].sum()


def test_the_row_that_is_added_stands_the_stays_own_step_away() -> None:
    """Whoever else is in the table: steps of 2 and 4 hours come to 3, and one row alone to what is set."""
    frame = table(40)
    early = pl.col("subject_id") == "MRN7002"
    chosen = frame.filter(early & (pl.col("time_hour") < 3)).with_columns(
        time_hour=pl.col("time_hour").replace({1: 2, 2: 6})
    )
    single = frame.filter((pl.col("subject_id") == "MRN7003") & (pl.col("time_hour") == 0))
    others = frame.filter(~pl.col("subject_id").is_in(["MRN7002", "MRN7003"]))
    for factor in (1.0, 10.0):
        wide = others.with_columns(time_hour=pl.col("time_hour") * factor)
        records = feed(pl.concat([wide, chosen, single]), ends={"last_action": "taken", "single_hours": 5.0}).records
        by_patient = dict(
            zip(records.identities[records.patient], np.split(records.hours, records.starts[1:]), strict=True)
        )
        assert by_patient["MRN7002"].tolist() == [0.0, 2.0, 6.0, 9.0]
        assert by_patient["MRN7003"].tolist() == [0.0, 5.0]
        assert np.diff(by_patient["MRN7005"]).tolist() == [factor] * (len(by_patient["MRN7005"]) - 1)


def test_without_a_reason_the_outcome_says_it_and_without_both_the_record_just_ends() -> None:
    plain = {key: value for key, value in ROLES.items() if key != "end_reason"}
    made = feed(roles=plain)
    assert made.records.reason.tolist() == np.where(made.records.died, 0, 1).tolist()
    neither = {key: value for key, value in plain.items() if key != "outcome"}
    made = feed(roles=neither, reward={"kind": "mortality"})
    assert (made.records.reason == HOUR_CAP).all()
    assert "no column says how stays end" in made.records.notes[0]
    assert not made.episodes("train").terminated.any()


def test_discharges_that_may_be_a_cap_are_told() -> None:
    """An outcome alone does not say that a record was cut: the note of `feeds check` does, where many end alike."""
    plain = {key: value for key, value in ROLES.items() if key != "end_reason"}
    frame = table(200).filter(pl.col("time_hour") <= 8)
    notes = feed(frame, roles=plain).check_report.notes
    assert notes[0] == "no column says why stays end: whoever did not die counts as discharged, at an hour cap too"
    alive = frame.filter(pl.col("death") == 0).group_by("stay_id").agg(pl.col("time_hour").max())
    number = int((alive["time_hour"] == 8).sum())
    assert number > 11
    assert notes[1].startswith(f"{number} of {len(alive)} stays that count as discharged end after 8 h, and none later")
    spread = frame.with_columns(time_hour=pl.col("time_hour") * (1.0 + pl.col("stay_id") / 1e6))
    assert len(feed(spread, roles=plain).check_report.notes) == 1
    assert not feed(frame).check_report.notes
    capped = feed(frame, roles=plain, ends={"max_hours": 7.0})
    long = (capped.records.hours[capped.records.stops - 1] == 7.0) & ~capped.records.died
    assert (capped.records.reason[long] == HOUR_CAP).sum() >= number


def test_rebinning_leaves_elapsed_time_as_it_is() -> None:
    """Elapsed hours of a stay are the same whatever its bins are; for values see tests/angle_domains/test_rebinning."""
    frame = table(40).filter((pl.col("time_hour").max().over("stay_id") % 4) == 0)
    coarse = frame.filter(pl.col("time_hour") % 4 == 0)
    splits = {"train_fraction": 0.5, "validation_fraction": 0.25}
    fine, rough = feed(frame, splits=splits), feed(coarse, splits=splits)
    for split in SPLITS:
        one, two = fine.episodes(split), rough.episodes(split)
        assert np.add.reduceat(one.elapsed, one.starts).tolist() == np.add.reduceat(two.elapsed, two.starts).tolist()
        assert set(two.elapsed[~two.first].tolist()) == {4.0}


def test_a_chain_that_is_cut_keeps_its_value() -> None:
    """One state, a reward of 1 an hour without end, seen through a cap: its value is that of the endless chain."""
    gamma, values = 0.9, []
    for hour_cap in ("truncated", "terminated"):
        frame = table(60).with_columns(death=0, traj_end_reason=pl.lit("hour_cap"))
        rows = feed(frame, reward={"kind": "oviss_base"}, ends={"hour_cap": hour_cap}).episodes("train")
        goes_on = 1.0 - rows.terminated[~rows.first]
        values.append(rows.reward[~rows.first].mean() / (1.0 - gamma * goes_on.mean()))
    assert values[0] == pytest.approx(10.0)
    assert values[1] < 7.0


def test_propensities_are_those_of_the_decisions() -> None:
    frame = table().with_columns(probability=0.25 + pl.col("time_hour") / 100)
    rows = feed(frame, roles=ROLES | {"propensity": "probability"}).episodes("train")
    assert rows.propensity is not None
    assert (rows.propensity[rows.last] == 1.0).all()
    assert (rows.propensity[rows.first] == 0.25).all()
