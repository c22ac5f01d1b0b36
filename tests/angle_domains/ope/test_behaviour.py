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
