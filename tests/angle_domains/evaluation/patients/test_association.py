"""The weighted odds ratio, by hand and on a ward whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from angle_domains.evaluation.patients.association import STEP, association, weighted_logistic
from angle_domains.evaluation.patients.decided import Decided


def decided(died: np.ndarray, hours: int) -> Decided:
    patient = np.repeat(np.arange(len(died)), hours)
    hour = np.tile(np.arange(hours, dtype=np.float64), len(died))
    return Decided((), patient, patient, hour, died, np.arange(len(hour)))


def test_of_a_table_of_four_it_is_the_cross_ratio_and_woolfs_error() -> None:
    counts = {(1, 1): 20, (1, 0): 30, (0, 1): 40, (0, 0): 25}
    share = np.concatenate([np.full(n, float(agree)) for (agree, _), n in counts.items()])
    died = np.concatenate([np.full(n, bool(dead)) for (_, dead), n in counts.items()])
    slope, error = weighted_logistic(share, died, np.ones(len(died)))
    assert np.exp(slope) == pytest.approx(20 * 25 / (30 * 40))
    assert error == pytest.approx(np.sqrt(1 / 20 + 1 / 30 + 1 / 40 + 1 / 25))


def test_weights_count_as_patients_would() -> None:
    share, died = np.array([0.0, 0.0, 1.0, 1.0, 0.5]), np.array([True, False, True, False, True])
    weight = np.array([3.0, 2.0, 1.0, 4.0, 2.0])
    slope, _ = weighted_logistic(share, died, weight)
    repeated, _ = weighted_logistic(*(np.repeat(each, weight.astype(int)) for each in (share, died)), np.ones(12))
    assert slope == pytest.approx(repeated)


def test_what_parts_the_dead_from_the_living_has_no_odds_ratio() -> None:
    slope, error = weighted_logistic(np.arange(20.0), np.arange(20) >= 10, np.ones(20))
    assert np.isnan(slope)
    assert np.isnan(error)


def confounded(patients: int, seed: int) -> tuple[Decided, np.ndarray, np.ndarray]:
    """The ill are agreed with less and die more; agreement itself does nothing."""
    chance, hours = np.random.default_rng(seed), 4
    ill = chance.random(patients) < 0.5
    died = chance.random(patients) < np.where(ill, 0.6, 0.2)
    found = decided(died, hours)
    sick = ill[found.patient]
    alike = chance.random(len(sick)) < np.where(sick, 0.35, 0.65)
    return found, alike, sick[:, None].astype(np.float64)


def test_weighting_takes_away_what_the_state_explains() -> None:
    found, alike, seen = confounded(4_000, seed=0)
    share = np.bincount(found.patient, alike) / 4
    crude, _ = weighted_logistic(share / STEP, found.died, np.ones(len(share)))
    told = association("drug", found, alike, seen, seed=0)
    assert np.exp(crude) < 0.93  # as if agreement saved lives
    assert told.odds_ratio == pytest.approx(1.0, abs=0.03)
    assert told.low is not None
    assert told.high is not None
    assert told.low < 1.0 < told.high
    assert told.mean_weight == pytest.approx(1.0, abs=0.1)


def test_it_is_not_told_where_few_died_or_weights_say_nothing() -> None:
    found, alike, seen = confounded(100, seed=1)
    none = association("drug", decided(np.arange(100) < 5, 4), alike, seen, seed=0)
    assert (none.odds_ratio, none.reason) == (None, "fewer than 11 patients died, or fewer lived")
    always = association("drug", found, np.ones(400, bool), seen, seed=0)
    assert "as often in every patient" in always.reason
    certain = association("drug", found, seen[:, 0] > 0, np.hstack([seen, 0 * seen]), seed=0)
    assert certain.odds_ratio is None
    assert certain.reason.startswith("not estimable: ")


def test_reasons_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    found, alike, seen = confounded(400, seed=1)

    def reason(of: Decided = found) -> str:
        told = association("drug", of, alike, seen, seed=0)
        assert told.odds_ratio is None
        return told.reason

    assert reason(replace(found, secret=True)).startswith("not told: few patients of another part died")
    module = "angle_domains.evaluation.patients.association"
    weight = np.where(np.arange(400) < 4, 40.0, 0.6)  # cut at their 99th percentile they would pass
    monkeypatch.setattr(f"{module}.stabilised", lambda *_: weight)
    assert "weights average 0.994 (1 is right), effective sample size 24, one patient holds 10%" in reason()
    monkeypatch.setattr(f"{module}.stabilised", lambda *_: np.ones(400))
    monkeypatch.setattr(f"{module}.weighted_logistic", lambda *_: (float("nan"), float("nan")))
    assert reason() == "not estimable: the regression does not converge"
    alike = ~found.died[found.patient]
    assert reason() == "not estimable: agreement tells those who died from those who lived"
