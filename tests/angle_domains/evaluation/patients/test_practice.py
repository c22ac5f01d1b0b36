"""Practice and policy side by side, by hand."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from angle_domains.evaluation.drugs import drug_metrics
from angle_domains.evaluation.patients.curve import curve, wilson
from angle_domains.evaluation.patients.decided import Component, Decided
from angle_domains.evaluation.patients.practice import STARTS, practice


def drug(given: np.ndarray, meant: np.ndarray, kind: str = "binary", top: float = 1.0) -> Component:
    return Component("drug", "", kind, top, given, given, meant, 1e-9)  # type: ignore[arg-type]


def ward(starts: list[float | None], hours: int = 60, died: list[bool] | None = None) -> tuple[Decided, np.ndarray]:
    """One patient for each start, who is given the drug from that hour on, or never."""
    size = len(starts)
    hour = np.tile(np.arange(hours, dtype=np.float64), size)
    patient = np.repeat(np.arange(size), hours)
    begin = np.array([np.inf if start is None else start for start in starts])
    given = 1.0 * (hour >= begin[patient])
    outcome = np.array(died or [False] * size)
    return Decided((), patient, patient, hour, outcome, np.arange(len(hour))), given


STARTED = [0.0] * 12 + [6.0] * 3 + [7.0] * 15 + [24.0] * 11 + [25.0] * 12 + [49.0] * 13
NEVER: list[float | None] = [None] * 14


def test_times_to_the_first_dose_are_counted_by_patients_and_a_bin_holds_its_end() -> None:
    found, given = ward(STARTED + NEVER)
    start = practice(found, drug(given, given)).starts_given
    assert start.counts == dict(zip(STARTS, [15, 15, 11, 12, 13], strict=True))
    assert start.never == 14
    assert start.early == pytest.approx(15 / 66)
    assert start.median == 24.0  # the 33rd and the 34th of 66


def test_use_is_the_share_of_patients_and_of_decisions() -> None:
    found, given = ward([0.0] * 20 + NEVER, hours=10)
    told = practice(found, drug(given, np.zeros_like(given)))
    assert told.all.given.ever == pytest.approx(20 / 34)
    assert told.all.given.share == pytest.approx(20 / 34)
    assert told.all.given.quartiles == (1.0, 1.0, 1.0)
    assert (told.all.meant.ever, told.all.meant.quartiles) == (0.0, None)
    assert told.alike == pytest.approx(14 / 34)
    assert told.alike_on == 0.0


def test_where_nearly_all_get_it_only_a_bound_is_told_and_never_follows_from_nothing() -> None:
    found, given = ward([0.0] * 97 + [None] * 3, hours=4)
    told = practice(found, drug(given, given))
    assert told.all.given.ever is None
    assert told.all.given.bounds == (pytest.approx(0.9), 1.0)
    start = told.starts_given
    assert (start.never, start.early, start.median, start.counts["0 to 6 h"]) == (None, None, None, None)


def test_by_outcome_nothing_is_told_that_tells_of_few() -> None:
    """Of 12 who died 3 got it: with all patients told, that of the survivors would give them away."""
    died = [False] * 60 + [True] * 12
    found, given = ward([0.0] * 30 + [None] * 30 + [0.0] * 3 + [None] * 9, hours=4, died=died)
    told = practice(found, drug(given, given))
    assert told.all.given.ever == pytest.approx(33 / 72)
    assert told.survivors.given.ever is None
    assert told.dead.given.ever is None
    assert (told.survivors.given.patients, told.dead.given.patients) == (60, 12)
    few, given = ward([0.0] * 30 + [None] * 30, hours=4, died=[False] * 55 + [True] * 5)
    hidden = practice(few, drug(given, given))
    assert (hidden.survivors.given.patients, hidden.dead.given.patients) == (None, None)


def test_levels_are_shares_of_decisions() -> None:
    found, _ = ward(NEVER * 4, hours=10)
    given = np.where(found.hour < 3, 0.0, np.where(found.hour < 8, 0.1, 0.35))
    told = practice(found, drug(given, 0.0 * given, "dose", top=0.5)).levels
    assert [level.label for level in told][:3] == ["none", "0 to 0.1", "0.1 to 0.2"]
    assert [level.given for level in told] == pytest.approx([0.3, 0.5, 0.0, 0.0, 0.2, 0.0])
    assert [level.meant for level in told] == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]


def test_the_curve_counts_patients_by_their_mean_difference() -> None:
    """Of 40 who got what they should 11 died; of 40 who got .2 less 29 did."""
    died = [True] * 11 + [False] * 29 + [True] * 29 + [False] * 11
    found, _ = ward([None] * 80, hours=5, died=died)
    given = np.zeros(len(found.hour))
    meant = np.where(found.patient < 40, 0.0, 0.2)
    told = curve(found, drug(given, meant, "dose", top=0.5))
    known = [(each.low, each.high, each.patients, each.mortality) for each in told.bins if each.patients]
    assert known == [(-0.025, 0.025, 40, pytest.approx(11 / 40)), (0.15, None, 40, pytest.approx(29 / 40))]
    assert told.dead is not None
    assert told.dead.estimate == pytest.approx(0.2 * 29 / 40)
    assert told.survivors is not None
    assert told.survivors.estimate == pytest.approx(0.2 * 11 / 40)


def test_ranges_are_joined_until_none_tells_of_few() -> None:
    died = [True] * 30 + [False] * 30 + [True] * 2 + [False] * 20
    found, _ = ward([None] * 82, hours=3, died=died)
    meant = np.where(found.patient < 60, 0.0, 0.2)
    told = curve(found, drug(np.zeros(len(meant)), meant, "dose", top=0.5))
    known = [(each.low, each.high, each.patients, each.mortality) for each in told.bins if each.patients]
    assert known == [(-0.025, None, 82, pytest.approx(32 / 82))]
    few, _ = ward([None] * 30, hours=3, died=[True] * 4 + [False] * 26)
    alone = curve(few, drug(np.zeros(90), np.zeros(90), "dose"))
    assert [each.patients for each in alone.bins] == [None]
    assert (alone.survivors, alone.dead) == (None, None)


def test_wilsons_interval() -> None:
    """Of 10 in 100 by hand: (.1 + .0192) / 1.0384 ± 1.96 / 1.0384 · sqrt(.0009 + .0000922)."""
    assert wilson(10, 100) == pytest.approx((0.05522, 0.17437), abs=1e-5)
    assert wilson(0, 20)[0] == 0.0
    assert wilson(20, 20)[1] == 1.0


def test_what_no_action_can_express_was_given_all_the_same() -> None:
    """A tenth of 20 patients' range counts as none among the policy's actions; it was given, and counts as given."""
    found, _ = ward([None] * 40, hours=4, died=[True, False] * 20)
    given = np.where(found.patient < 20, 0.1, 0.0)
    meant = np.where(found.patient < 20, 0.2, 0.0)
    low = Component("drug", "", "dose", 0.5, given, 0.0 * given, meant, 1e-9)
    told = practice(found, low)
    assert told.alike_on == 0.0
    np.testing.assert_allclose(low.change, meant - given)
    study: Any = SimpleNamespace(practices=(told,), belief=None)
    assert drug_metrics(study) == {"concordance_drug": 0.5, "use_drug": 0.5, "recorded_use_drug": 0.5}
    same = Component("drug", "", "dose", 0.5, given, 0.0 * given, 0.0 * given, 1e-9)
    assert not same.change.any()
    assert practice(found, same).alike_on == 1.0
