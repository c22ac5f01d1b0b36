"""Estimators on a process whose truth is known, and a self-test that finds what is wrong."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from angle_domains.ope import tabular
from angle_domains.ope.episodes import from_rows
from angle_domains.ope.policies import greedy
from angle_domains.ope.process import best_policy, random_patients, sample, value, values
from angle_domains.ope.selftest import SelfTest, SelfTestConfig, _estimates, _line, selftest
from angle_domains.ope.selftest_learned import Check, checks, line_of_health
from angle_domains.ope.value import OpeConfig, evaluate
from feeds.base import Rows
from tests.angle_domains.ope.test_tabular import stays

PROCESS = random_patients()


@pytest.fixture(scope="module")
def tested() -> SelfTest:
    return selftest(
        config=SelfTestConfig(replicates=24, patients=500, draws=200, estimators=("WIS", "DR", "DM"), learned=False)
    )


def test_near_policies_are_valued_and_the_far_one_is_refused(tested: SelfTest) -> None:
    assert tested.passed, "\n".join(tested.table())
    for estimator in ("WIS", "DR", "DM"):
        near = tested.line("near", estimator)
        assert near.unbiased
        assert near.coverage >= 0.88
        assert near.refused <= 0.1
        assert tested.line("optimum", estimator).refused == 1.0


def test_the_table_is_for_a_terminal(tested: SelfTest) -> None:
    table = tested.table()
    assert len(table) == 3 + 9
    assert table[-1] == "self-test passed"
    assert max(map(len, table)) <= 80


def test_it_fails_where_the_propensities_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five per cent too high in the records: weights no longer average 1, and long stays count too little."""

    def lying(*told: Any) -> Rows:
        rows = sample(*told)
        return replace(rows, propensity=np.minimum(1.05 * rows.propensity, 1.0))

    monkeypatch.setattr("angle_domains.ope.selftest.sample", lying)
    found = selftest(
        config=SelfTestConfig(replicates=20, patients=300, draws=50, estimators=("WIS", "DR"), learned=False)
    )
    assert not found.passed
    assert found.table()[-1].startswith("self-test FAILED: ")


def test_a_policy_that_goes_in_circles_in_the_records_has_no_fitted_value_and_counts_as_refused() -> None:
    config = SelfTestConfig(estimators=("WIS", "DM"), draws=20, learned=False)
    rows = replace(stays(*[([0, 1, 0], [0, 0], [0.0, 0.0], False)] * 40), propensity=np.ones(120))
    given = _estimates(rows, np.array([[1.0, 0.0], [1.0, 0.0]]), config)
    assert list(given) == ["WIS"]
    assert _line("optimum", "DM", 0.5, [given.get("DM")]).refused == 1.0
    assert _line("optimum", "WIS", 0.5, [given.get("WIS")]).refused == 0.0


def test_exact_values_are_what_long_play_comes_to() -> None:
    policy = best_policy(PROCESS, 0.9)
    rows = sample(PROCESS, policy, 20_000, np.random.default_rng(1))
    number = np.cumsum(rows.first) - 1
    step = np.arange(len(rows)) - rows.starts[number]
    earned = np.bincount(number, rows.reward * 0.9 ** np.maximum(step - 1, 0))
    assert value(PROCESS, policy, 0.9) == pytest.approx(earned.mean(), abs=4 * earned.std() / np.sqrt(len(earned)))
    assert (values(PROCESS, policy, 0.9) >= values(PROCESS, PROCESS.behaviour, 0.9) - 1e-12).all()


def test_what_a_greedy_policy_believes_of_itself_is_no_value() -> None:
    """Improved on 150 patients' records until nothing more is gained there: its own estimate is far above the truth.

    Other patients' records show it, or refuse to speak: of themselves they never repeat what it believes.
    """
    gamma, states = 0.99, len(PROCESS.start)
    rows, others = (sample(PROCESS, PROCESS.behaviour, 150, np.random.default_rng(seed)) for seed in (5, 6))
    taken = np.zeros(PROCESS.behaviour.shape, bool)
    taken[rows.observation[~rows.last, 0], rows.action[~rows.last]] = True
    taken |= ~taken.any(1, keepdims=True)
    policy = greedy(np.zeros(taken.shape), taken)
    for _ in range(20):
        fitted = tabular.fit(rows, policy[rows.observation[:, 0]], gamma, states)
        assert fitted is not None
        policy = greedy(np.where(taken, fitted.q, -np.inf), taken)
    q_self, truth = fitted.value, value(PROCESS, policy, gamma)
    assert q_self > truth + 0.1
    target = policy[others.observation[:, 0]]
    found = evaluate(from_rows(others, target), gamma, OpeConfig(estimators=("WIS",), draws=50))["WIS"]
    assert found.refused


def test_sampled_rows_are_whole_episodes() -> None:
    rows = sample(PROCESS, PROCESS.behaviour, 50, np.random.default_rng(2), limit=4)
    assert rows.first.sum() == rows.last.sum() == 50
    assert (rows.terminated[rows.stops - 1] == PROCESS.terminal[rows.observation[rows.stops - 1, 0]]).all()
    assert not rows.terminated[rows.stops - 1].all()  # some were cut at the limit
    assert (rows.elapsed == np.where(rows.first, 0.0, 1.0)).all()
    taken = PROCESS.behaviour[rows.observation[:, 0], rows.action]
    np.testing.assert_array_equal(rows.propensity[~rows.last], taken[~rows.last])


def test_the_direct_estimates_error_is_that_of_refitting() -> None:
    """Its influence function gives the spread that whole new sets of records give."""
    policy = 0.8 * PROCESS.behaviour + 0.2 * best_policy(PROCESS, 1.0)
    found, claimed = [], []
    for seed in range(60):
        rows = sample(PROCESS, PROCESS.behaviour, 400, np.random.default_rng(seed))
        fitted = tabular.fit(rows, policy[rows.observation[:, 0]], 1.0, len(policy))
        assert fitted is not None
        assert fitted.direct.mean() == pytest.approx(fitted.value, abs=1e-10)
        found.append(fitted.value)
        claimed.append(fitted.direct.std(ddof=1) / 20.0)
    assert np.mean(claimed) == pytest.approx(np.std(found), rel=0.25)
    assert np.mean(found) == pytest.approx(value(PROCESS, policy, 1.0), abs=3 * np.std(found) / np.sqrt(60))


def test_the_ward_of_the_networks_is_a_process_and_treatment_helps_there() -> None:
    ward = line_of_health()
    np.testing.assert_allclose(ward.transition.sum(2), 1.0)
    treated, left = (np.tile(choice, (len(ward.start), 1)) for choice in ([0.0, 1.0], [1.0, 0.0]))
    assert value(ward, left, 1.0) < value(ward, ward.behaviour, 1.0) < value(ward, treated, 1.0)


def test_what_did_not_converge_or_is_far_off_fails() -> None:
    assert Check("near", 0.5, 0.52, 0.03).passed
    far, none = Check("far", 0.5, 0.56, 0.03), Check("none", 0.5, None, 0.03)
    assert not far.passed
    assert not none.passed
    assert "FAILED" in far.words()
    assert "no value" in none.words()
    assert SelfTest((), 20, 600, (), (far,)).table()[-2] == far.words()


@pytest.mark.gate
def test_networks_are_held_to_the_truth_too() -> None:
    assert all(check.passed for check in checks(seed=1))
