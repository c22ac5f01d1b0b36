"""Covariates before and after weighting, by hand and where the truth is known."""

import numpy as np
import pytest

from angle_domains.ope.balance import at_the_start, by_action


def test_a_start_by_hand() -> None:
    """Values 0, 0, 1, 1 have mean .5 and deviation .5; weights 1, 1, 1, 3 move the mean to 4 / 6."""
    first = np.array([[0.0, 7.0], [0.0, 7.0], [1.0, 7.0], [1.0, 7.0]])
    found = at_the_start(first, np.log([1.0, 1.0, 1.0, 3.0]), ("age", "site"))
    assert found is not None
    assert found.before == pytest.approx(0.0)
    assert found.after == pytest.approx((4 / 6 - 0.5) / 0.5)
    assert (found.worst, found.concerned, found.groups) == ("age", 1.0, 1)
    assert "0.33 SD after weighting (age)" in found.words("the first states")
    assert at_the_start(first, np.full(4, -np.inf)) is None
    assert at_the_start(first[:, 1:], np.zeros(4)) is None


@pytest.mark.parametrize(("right", "low", "high"), [(True, 0.0, 0.06), (False, 0.3, 1.0)])
def test_right_propensities_balance_what_wrong_ones_do_not(right: bool, low: float, high: float) -> None:
    rng = np.random.default_rng(0)
    severity = rng.normal(size=(5_000, 1))
    chance = 1.0 / (1.0 + np.exp(-1.5 * severity[:, 0]))
    action = (rng.random(5_000) < chance) * 1
    given = np.where(action == 1, chance, 1.0 - chance) if right else np.full(5_000, 0.5)
    found = by_action(severity, action, np.maximum(given, 0.02), ("severity",))
    assert found is not None
    assert found.before > 0.5
    assert low <= found.after <= high


def test_rare_actions_are_left_out() -> None:
    action = np.array([0] * 40 + [1] * 5)
    assert by_action(np.arange(45.0)[:, None], action, np.full(45, 0.5)) is None
