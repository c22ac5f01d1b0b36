"""Estimated propensities: right where the model is, cross-fitted by patient, calibrated, within masks."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from angle_domains.errors import FeedError
from angle_domains.ope.behaviour import BehaviourConfig, _temperature, estimate
from feeds.base import Rows


def visits(patients: int = 120, length: int = 8, seed: int = 0) -> tuple[Rows, np.ndarray]:
    """Decisions among three by a logistic policy of two numbers, and its probabilities in every row."""
    rng = np.random.default_rng(seed)
    count = patients * (length + 1)
    seen = rng.normal(size=(count, 2))
    logits = seen @ np.array([[1.0, -1.0, 0.0], [0.5, 0.5, -1.0]])
    truth = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    action = (rng.random((count, 1)) > np.cumsum(truth, 1)).sum(1)
    step = np.arange(count) % (length + 1)
    last = step == length
    nothing = np.zeros(count)
    rows = Rows(
        seen, action, nothing, last, step == 0, last, np.where(step == 0, 0.0, 1.0), np.arange(count) // (length + 1)
    )
    return rows, truth


@pytest.mark.parametrize("kind", ["multinomial", "boosting"])
def test_it_finds_the_policy(kind: Literal["multinomial", "boosting"]) -> None:
    rows, truth = visits()
    found = estimate(rows, 3, BehaviourConfig(kind=kind, folds=2, trees=15, depth=2))
    np.testing.assert_allclose(found.probability.sum(1), 1.0)
    assert np.abs(found.probability - truth).mean() < 0.5 * np.abs(truth - 1 / 3).mean()
    assert found.calibration.error < 0.1
    assert len(found.temperature) == 2


def test_nobody_is_estimated_by_their_own_decisions() -> None:
    """Other decisions of one patient leave that patient's own probabilities as they are, to the bit."""
    rows, _ = visits(patients=30)
    mine = rows.entity == 3
    other = replace(rows, action=np.where(mine, 2 - rows.action, rows.action))
    config = BehaviourConfig(folds=3)
    before, after = (estimate(each, 3, config).probability for each in (rows, other))
    np.testing.assert_array_equal(before[mine], after[mine])
    assert (before[~mine] != after[~mine]).any()


def test_a_temperature_mends_what_is_too_sure() -> None:
    rng = np.random.default_rng(1)
    log_prob = np.log(rng.dirichlet(np.ones(4), 20_000))
    action = (rng.random((20_000, 1)) > np.cumsum(np.exp(log_prob), 1)).sum(1)
    assert _temperature(log_prob, action) == pytest.approx(1.0, abs=0.05)
    assert _temperature(3.0 * log_prob, action) == pytest.approx(3.0, abs=0.15)


def test_masks_are_kept() -> None:
    rows, _ = visits(patients=20)
    mask = np.ones((len(rows), 3), bool)
    mask[np.arange(len(rows)), (rows.action + 1) % 3] = False
    found = estimate(replace(rows, mask=mask), 3, BehaviourConfig(folds=2))
    assert (found.probability[~mask] == 0.0).all()
    np.testing.assert_allclose(found.probability.sum(1), 1.0)
    with pytest.raises(FeedError, match="not allowed by their own mask"):
        estimate(replace(rows, mask=~mask), 3)


def test_what_was_never_seen_in_fitting_is_rare_and_not_impossible() -> None:
    rows, _ = visits(patients=20)
    found = estimate(rows, 4, BehaviourConfig(folds=2))
    assert (found.probability[:, 3] > 0.0).all()
    assert (found.probability[:, 3] < 0.05).all()
    alike = estimate(replace(rows, action=np.zeros_like(rows.action)), 2, BehaviourConfig(folds=2))
    assert (alike.probability[:, 0] > 0.9).all()


def test_a_temperature_is_fitted_under_the_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would make up for mass on what is forbidden, which nobody has to explain."""
    rows, _ = visits(patients=20)
    mask = np.ones((len(rows), 3), bool)
    mask[np.arange(len(rows)), (rows.action + 1) % 3] = False
    told: list[np.ndarray] = []

    def fitted(log_prob: np.ndarray, action: np.ndarray) -> float:
        told.append(log_prob)
        return _temperature(log_prob, action)

    monkeypatch.setattr("angle_domains.ope.behaviour._temperature", fitted)
    found = estimate(replace(rows, mask=mask), 3, BehaviourConfig(folds=2))
    assert len(told) == 2
    for log_prob in told:
        assert (np.isneginf(log_prob).sum(1) == 1).all()
    assert all(0.05 < each < 20.0 for each in found.temperature)


def remembered(patients: int = 90, length: int = 10, seed: int = 1) -> tuple[Rows, np.ndarray]:
    """Decisions that repeat the last one four times in five: nothing that is seen tells them."""
    rng = np.random.default_rng(seed)
    stay = np.arange(patients * (length + 1)) % (length + 1)
    action, truth = np.zeros(len(stay), np.int64), np.full((len(stay), 2), 0.5)
    for row in range(len(stay)):
        if stay[row]:
            truth[row] = np.where(np.arange(2) == action[row - 1], 0.8, 0.2)
        action[row] = rng.random() < truth[row, 1]
    last = stay == length
    elapsed = np.where(stay == 0, 0.0, 1.0)
    entity = np.arange(len(stay)) // (length + 1)
    seen = rng.normal(size=(len(stay), 2))
    return Rows(seen, np.where(last, 0, action), np.zeros(len(stay)), last, stay == 0, last, elapsed, entity), truth


def test_a_recurrent_policy_knows_what_was_done_before() -> None:
    rows, truth = remembered()
    decided = ~rows.last
    config = BehaviourConfig(kind="recurrent", folds=2, hidden=16, epochs=6, learning_rate=2e-2)
    off = np.abs(estimate(rows, 2, config).probability - truth)[decided].mean()
    blind = np.abs(estimate(rows, 2, BehaviourConfig(folds=2)).probability - truth)[decided].mean()
    assert off < 0.1
    assert blind > 0.25


def test_a_recurrent_policy_is_cross_fitted_and_heeds_masks() -> None:
    rows, _ = visits(patients=24)
    mine = rows.entity == 3
    other = replace(rows, action=np.where(mine, 2 - rows.action, rows.action))
    config = BehaviourConfig(kind="recurrent", folds=2, hidden=8, epochs=2)
    before, after = (estimate(each, 3, config).probability for each in (rows, other))
    first = mine & rows.first  # later rows read this patient's own decisions before, as they should
    np.testing.assert_array_equal(before[first], after[first])
    assert (before[mine & ~rows.first] != after[mine & ~rows.first]).any()
    mask = np.ones((len(rows), 3), bool)
    mask[np.arange(len(rows)), (rows.action + 1) % 3] = False
    found = estimate(replace(rows, mask=mask), 3, config)
    assert (found.probability[~mask] == 0.0).all()
    np.testing.assert_allclose(found.probability.sum(1), 1.0)
