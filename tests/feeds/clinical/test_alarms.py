"""Rows for alarms: none after the onset, none in the gap, and chance alone where the onset is shuffled."""

import numpy as np
import polars as pl
import pytest

from feeds.clinical.alarms import alarm_rows, onsets
from feeds.clinical.audit import auroc
from feeds.clinical.records import Records
from tests.feeds.clinical.tables import feed, table


def stays(count: int = 400, hours: int = 24, seed: int = 0) -> tuple[Records, np.ndarray]:
    """Stays of equal length; lactate rises when something begins, and says nothing before."""
    chance = np.random.default_rng(seed)
    onset = np.where(chance.random(count) < 0.7, chance.integers(4, hours - 2, count), 10 * hours)
    patient, hour = np.repeat(np.arange(count), hours), np.tile(np.arange(float(hours)), count)
    begun = hour >= onset[patient]
    frame = (
        table(1)
        .head(1)
        .drop("subject_id", "stay_id", "time_hour", "lactate", "action_vaso")
        .join(
            pl.DataFrame(
                {
                    "subject_id": patient,
                    "stay_id": patient,
                    "time_hour": hour,
                    "lactate": np.clip(chance.normal(2, 0.3, len(hour)) + 6 * begun, 0.1, 20),
                    "action_vaso": begun.astype(np.int64),
                }
            ),
            how="cross",
        )
    )
    records = feed(frame).records
    return records, onsets(records, records.values["action_vaso"] > 0)


def test_rows_by_hand() -> None:
    records, _ = stays(20, 10)
    onset = np.full(20, np.nan)
    onset[0] = 6.0
    made = alarm_rows(records, onset, horizon=3.0, gap=1.0)
    mine = made.row < 10
    assert made.row[mine].tolist() == [0, 1, 2, 3, 4]
    assert made.label[mine].tolist() == [False, False, True, True, True]
    assert made.lead[mine].tolist() == [6, 5, 4, 3, 2]
    other = (made.row >= 10) & (made.row < 20)
    assert made.row[other].tolist() == [10, 11, 12, 13, 14, 15]  # the record holds hours 0 … 9: four ahead up to hour 5
    assert not made.label[other].any()


def test_before_the_onset_there_is_nothing_to_see() -> None:
    records, onset = stays()
    made = alarm_rows(records, onset, horizon=4.0)
    assert (records.hours[made.row] < np.where(np.isnan(onset), np.inf, onset)[records.stay[made.row]]).all()
    assert auroc(records.values["lactate"][made.row], made.label) == pytest.approx(0.5, abs=0.05)
    treated = records.values["action_vaso"][made.row]
    assert not treated.any()
    leaky = records.hours >= np.where(np.isnan(onset), np.inf, onset)[records.stay]
    assert auroc(records.values["lactate"], leaky) > 0.98  # what the rows that are left out would give away


def test_a_shuffled_onset_is_chance() -> None:
    records, onset = stays(seed=1)
    shuffled = np.random.default_rng(2).permutation(onset)
    made = alarm_rows(records, np.fmin(shuffled, onset), horizon=4.0)
    for name in ("lactate", "action_vaso"):
        before = records.values[name][made.row]
        assert auroc(before, made.label) == pytest.approx(0.5, abs=0.05)
