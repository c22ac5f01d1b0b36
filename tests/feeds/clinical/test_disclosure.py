"""Cells that are told, and what could be had of the others."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.clinical.audit import audit
from feeds.clinical.disclosure import LEAST, hidden, small, told, told_profile
from feeds.clinical.outcomes import ends_untold, untold
from feeds.clinical.split import SPLITS
from tests.feeds.clinical.tables import feed, table


@pytest.mark.parametrize(
    ("cells", "away"),
    [
        ([50, 40, 30], [0, 0, 0]),
        ([50, 40, 3], [0, 1, 1]),  # 3 alone is the total less the others
        ([50, 40, 3, 4], [0, 1, 1, 1]),  # 3 and 4 are 7 together: still few
        ([50, 40, 6, 5], [0, 0, 1, 1]),
        ([50, 0, 3], [1, 0, 1]),  # nobody there hides nobody
        ([5], [1]),
        ([0, 12], [0, 0]),
        ([[20, 80], [3, 60], [15, 15]], [0, 1, 1]),  # who died and who lived
        ([[20, 80], [30, 4], [15, 15]], [0, 1, 1]),
    ],
)
def test_what_follows_from_a_total_is_hidden_with_it(cells: list[Any], away: list[int]) -> None:
    assert hidden(np.array(cells)).tolist() == [bool(each) for each in away]


def test_one_row_can_be_the_first_to_be_hidden_for_others() -> None:
    """So the pages of two parts hide the same: else each would tell what the other does not."""
    cells = np.array([[100, 200], [5, 60], [15, 70]])
    assert hidden(cells).tolist() == [False, True, True]
    assert hidden(cells, first=0).tolist() == [True, True, False]
    assert hidden(np.array([[100, 200], [15, 60], [5, 70]]), first=0).tolist() == [True, False, True]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_no_small_cell_can_be_had_by_subtraction(counts: list[int]) -> None:
    cells = np.array(counts)
    away = hidden(cells)
    assert not small(cells[~away]).any()
    rest = int(cells[away].sum())
    if away.any() and cells.sum() >= LEAST:
        assert rest >= LEAST
        assert away.sum() > 1 or not (cells[~away] > 0).any()
    assert told(cells, away) == [None if hide else count for hide, count in zip(away, counts, strict=True)]


def test_ends_of_records_cannot_be_had_by_subtraction() -> None:
    """By their total the ends that are told would give away the one that is not."""
    for patients in (24, 60, 200):
        records = feed(table(patients)).records
        ends = records.ends()
        away = [name for name, count in ends.items() if count is None]
        rest = len(records.patient) - sum(count or 0 for count in ends.values())
        assert len(away) != 1
        assert rest == 0 or rest >= LEAST
        profile = records.describe()["profile"]["ends"]
        assert {name for name, text in profile.items() if text == "not told (few patients)"} == set(away)


def test_a_word_that_few_patients_share_goes_with_no_model() -> None:
    frame = table(60).with_columns(
        gender=pl.when(pl.col("subject_id").is_in(["MRN7004", "MRN7005"])).then(pl.lit("Ann")).otherwise("gender")
    )
    made = feed(frame)
    assert "Ann" not in str((made.state_dict(), made.spec, made.describe(), made.records))
    kept = feed(frame, states={"rare": 0})
    assert ("Ann" in str(kept.state_dict())) == ("gender=Ann" in kept.spec.blocks[0].features)
    assert made.spec.blocks[0].features[-3:] == ("gender=female", "gender=male", "gender=unknown")


def test_an_audit_tells_no_part_of_which_a_report_is_silent() -> None:
    """Two patients who died have two stays each: by stays a part would be told that by patients is not."""
    made = feed(table(160), splits={"train_fraction": 0.5, "validation_fraction": 0.1})
    parts = [made.part(split) for split in SPLITS]
    away = untold(parts)
    assert away.tolist() == [True, True, False]  # validation for its own sake, training for its
    assert not (away & ~ends_untold(parts)).any()
    text = audit(made.config, made.records, made.check_report).text
    for split, hide in zip(SPLITS, away, strict=True):
        [line] = [line for line in text.splitlines() if line.startswith(f"split     {split}:")]
        assert not hide or line.endswith("ends: not told (few patients)")
    [line] = [line for line in text.splitlines() if line.startswith("terminal")]
    assert line.endswith("100% of the deaths of the table reach training and judging")


def test_few_deaths_after_the_record_do_not_follow_from_how_records_ended() -> None:
    """All deaths less those in a record would be the five that came later."""
    late = pl.col("subject_id").is_in([f"MRN{7000 + 4 * k + 1}" for k in range(5)])
    ends = pl.when(late).then(pl.lit("hour_cap")).otherwise("traj_end_reason")
    plain, some = table(200), table(200).with_columns(traj_end_reason=ends)
    assert feed(plain).records.ends()["death"] == 50
    assert set(feed(some).records.ends().values()) == {None}


def test_few_rows_of_unknown_categories_are_not_told() -> None:
    said = {"rows": 100, "unknown_categories": {"gender": 3, "unit": 11}}
    assert told_profile(said) == {"rows": 100, "unknown_categories": {"gender": "not told (few patients)", "unit": 11}}
    assert told_profile({"bars": 9}) == {"bars": 9}
