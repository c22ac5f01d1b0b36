"""What is not recorded can turn an estimate around; the bounds say how much of it that takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from angle_domains.errors import ConfigError
from angle_domains.ope.episodes import Episodes
from angle_domains.ope.estimators import weighted
from angle_domains.ope.sensitivity import bounds, e_value, tipping_factor
from angle_domains.ope.weights import log_weights


def ward(treat: bool, patients: int = 20_000) -> Episodes:
    """The sicker half is treated four times in five, the others once; treatment saves one in ten of either.

    Severity is not recorded, so treatment seems to be given at even odds. Never treating is worth .55 and always
    treating .65, and the records say .7 and .5.
    """
    rng = np.random.default_rng(0)
    severe = rng.random(patients) < 0.5
    treated = rng.random(patients) < np.where(severe, 0.8, 0.2)
    alive = rng.random(patients) < np.where(severe, 0.3, 0.8) + 0.1 * treated
    one = np.ones((patients, 1))
    target = (treated == treat)[:, None].astype(float)
    return Episodes(alive[:, None] * 1.0, one, 0.5 * one, target, one > 0, np.arange(patients), one[:, 0] > 0)


def test_a_hidden_confounder_turns_the_sign_and_the_bounds_hold_the_truth() -> None:
    always, never = (weighted(ward(treat), 1.0, log_weights(ward(treat))).value() for treat in (True, False))
    assert always - never == pytest.approx(-0.2, abs=0.03)  # and the truth is +.1
    for treat, truth in ((True, 0.65), (False, 0.55)):
        assert not bounds(ward(treat), 1.0, 1.05)[0] <= truth <= bounds(ward(treat), 1.0, 1.05)[1]
        low, high = bounds(ward(treat), 1.0, 2.5)  # true propensities of .2 and .8 for .5: at most 2.5 either way
        assert low <= truth <= high
        assert 1.05 < tipping_factor(ward(treat), 1.0, truth) < 2.5


@given(st.lists(st.tuples(st.floats(0.1, 3.0), st.floats(-2.0, 2.0)), min_size=1, max_size=7), st.floats(1.0, 5.0))
def test_bounds_are_the_extremes_of_all_weights(rows: list[tuple[float, float]], factor: float) -> None:
    """A weighted mean is extreme where every weight is at an end of its range: all of these are tried."""
    weight, gained = np.array(rows).T
    one = np.ones((len(rows), 1))
    episodes = Episodes(
        gained[:, None], one, 0.2 * one, 0.2 * weight[:, None], one > 0, np.arange(len(rows)), one[:, 0] > 0
    )
    ends = np.array(np.meshgrid(*[[1.0 / factor, factor]] * len(rows))).reshape(len(rows), -1).T
    means = (ends * weight * gained).sum(1) / (ends * weight).sum(1)
    assert bounds(episodes, 1.0, factor) == pytest.approx((means.min(), means.max()), abs=1e-9)


def test_without_confounding_the_bounds_are_the_estimate() -> None:
    value = weighted(ward(True), 1.0, log_weights(ward(True))).value()
    assert bounds(ward(True), 1.0, 1.0) == pytest.approx((value, value))
    assert tipping_factor(ward(True), 1.0, value) == pytest.approx(1.0, abs=1e-3)
    assert tipping_factor(ward(True), 1.0, 7.0) == np.inf
    with pytest.raises(ConfigError, match="at least 1"):
        bounds(ward(True), 1.0, 0.5)


def test_e_values_of_the_literature() -> None:
    assert e_value(3.9) == pytest.approx(7.26, abs=0.01)  # the worked example of VanderWeele and Ding
    assert e_value(1 / 3.9) == pytest.approx(7.26, abs=0.01)
    assert e_value(1.0) == 1.0
    with pytest.raises(ConfigError, match="above 0"):
        e_value(0.0)
