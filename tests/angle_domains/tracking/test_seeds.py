from pathlib import Path

import pytest
from scipy.stats import t as student

from angle_domains.tracking import MemoryTracker, finish_parent
from angle_domains.tracking.gate import MAX_KEYS
from angle_domains.tracking.seeds import HEADLINES, aggregate, mean_interval


def test_the_interval_by_hand() -> None:
    low, high = mean_interval([1.0, 3.0])  # deviation sqrt(2), over the root of 2: 1
    assert (low, high) == pytest.approx((2 - 12.7062, 2 + 12.7062), abs=1e-4)
    assert student.ppf(0.975, 1) == pytest.approx(12.7062, abs=1e-4)


def test_curves_are_averaged_where_all_seeds_have_them() -> None:
    found = aggregate([{"loss": {0: 1.0, 10: 3.0}, "only": {0: 1.0}}, {"loss": {0: 3.0, 10: 5.0, 20: 9.0}}])
    assert found == {"loss": {0: 2.0, 10: 4.0, 20: 6.0}}  # at 20: the last values, 3 and 9


def test_one_seed_has_no_interval_and_none_has_nothing(tmp_path: Path) -> None:
    assert aggregate([{"test/sharpe": {0: 1.0}}]) == {"test/sharpe": {0: 1.0}}
    parent = MemoryTracker()
    assert finish_parent(parent, [tmp_path / "never-ran"], "FAILED") == ()
    assert parent.status == "FAILED"


def test_the_bounds_of_the_seeds_are_no_interval_of_their_mean() -> None:
    one = {"test/turnover": {0: 1.0}, "test/turnover_low": {0: 0.0}, "test/turnover_high": {0: 2.0}}
    assert set(aggregate([one, one])) == {"test/turnover"}


def test_the_limit_of_keys_is_kept_and_headlines_come_first() -> None:
    curves = {key: {0: 1.0} for key in (*HEADLINES, *(f"k{index:02}" for index in range(MAX_KEYS - 13)))}
    found = aggregate([curves, curves])
    assert len(found) == MAX_KEYS
    assert {f"{HEADLINES[0]}_low", f"{HEADLINES[0]}_high", f"{HEADLINES[1]}_low"} <= set(found)
    assert f"{HEADLINES[2]}_low" not in found
