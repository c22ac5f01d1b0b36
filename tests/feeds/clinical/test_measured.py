"""What was measured in a row, and what an observation only carries forward."""

import numpy as np
import polars as pl
import pytest

from feeds.clinical.config import ClinicalConfig
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.measured import measured
from tests.feeds.clinical.tables import feed


def test_values_count_as_measured_where_they_are_new() -> None:
    made = feed(states={"masks": True})
    seen, rows = measured(made, "train"), made.episodes("train")
    assert seen.shape == rows.observation.shape
    values, new = made.spec.blocks[0], made.spec.block("new")
    assert new is not None
    for name in ("mbp", "lactate", "sofa", "ventil"):
        shown = rows.observation[:, new.start + new.features.index(name)]
        np.testing.assert_array_equal(seen[:, values.features.index(name)], shown > 0)
    assert not seen[:, values.features.index("lactate")].all()
    assert seen[:, values.stop :].all()  # masks and ages
    for name in ("age", "gender=female", "gender=male", "gender=unknown"):
        assert seen[:, values.features.index(name)].all()  # what never changes


@pytest.mark.parametrize("states", [{"masks": False, "since": False}, {"encode": "label"}, {"lag": ["lactate"]}])
def test_masks_hang_on_no_other_setting_of_states(states: dict[str, object]) -> None:
    made = feed(states=states)
    seen, values, records = measured(made, "test"), made.spec.blocks[0], made.part("test")
    known = ~np.isnan(records.values["lactate"])
    if "lag" in states:
        known = np.roll(known, 1) & ~records.first
    name = "lactate_before" if "lag" in states else "lactate"
    np.testing.assert_array_equal(seen[:, values.features.index(name)], known)
    assert seen.shape[1] == made.spec.blocks[-1].stop


def test_doses_before_count_as_measured() -> None:
    made = feed(states={"last_action": True}, actions={"codec": "box"})
    assert made.spec.blocks[-1].name == "dose"
    assert measured(made, "train")[:, made.spec.blocks[-1].start :].all()


def test_nothing_is_measured_at_the_end_of_a_patient_of_the_log() -> None:
    made = ClinicalFeed(ClinicalConfig.model_validate({"path": "icu-sepsis-log", "patients": 30}))
    seen, rows, values = measured(made, "train"), made.episodes("train"), made.spec.blocks[0]
    np.testing.assert_array_equal(seen[:, : values.stop].all(1), ~rows.last)
    np.testing.assert_array_equal(seen[:, : values.stop].any(1), ~rows.last)


def test_what_comes_later_changes_no_mask() -> None:
    frame = pl.DataFrame(
        {
            "subject_id": np.repeat(np.arange(40), 6),
            "time_hour": np.tile(np.arange(6.0), 40),
            "lactate": np.where(np.arange(240) % 3 == 0, 2.0, np.nan),
            "action": np.tile([0, 1], 120),
            "death": np.zeros(240, np.int64),
        }
    ).with_columns(pl.col("lactate").fill_nan(None))
    roles = {
        "subject": "subject_id",
        "time": "time_hour",
        "time_unit": "hours",
        "outcome": "death",
        "state": {"lactate": {}},
        "action": {"action": {"kind": "binary"}},
    }
    later = frame.with_columns(lactate=pl.when(pl.col("time_hour") > 2).then(None).otherwise("lactate"))
    made = [ClinicalFeed(ClinicalConfig.model_validate({"path": "-", "roles": roles}), frame=f) for f in (frame, later)]
    early = made[0].part("train").hours <= 2
    np.testing.assert_array_equal(*(measured(each, "train")[early] for each in made))
