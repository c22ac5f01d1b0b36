"""Fitted-Q evaluation by a network: the values of a chain, ends and cuts, and no number before it is done."""

import dataclasses
from collections import deque

import numpy as np
import pytest
import torch

from angle_domains.networks.config import NetworkConfig
from angle_domains.ope.fqe import FqeConfig, _Check, _data, converged, cross_fit, fit
from feeds.base import Rows
from tests.angle_domains.ope.test_tabular import SLOW, stays

QUICK = FqeConfig(
    network=NetworkConfig(hidden=(32,), activation="relu"),
    updates=1_500,
    batch=32,
    learning_rate=5e-3,
    copy_every=20,
    check_every=100,
)
POLICY = np.array([(0.8, 0.2), (0.5, 0.5), (1.0, 0.0)])


def one_hot(rows: Rows) -> Rows:
    return dataclasses.replace(rows, observation=np.eye(3)[rows.observation[:, 0]])


def test_it_finds_the_values_of_the_chain() -> None:
    rows = stays(*SLOW, hours=2.0)
    found = fit(one_hot(rows), POLICY[rows.observation[:, 0]], 0.5, QUICK)
    assert found.converged
    assert found.value == pytest.approx(1.4, abs=0.1)
    np.testing.assert_allclose(found.q[:2], [[1.75, 0.0], [2.0, 4.0]], atol=0.2)
    assert "converged after" in found.words()


def test_too_few_updates_give_no_value() -> None:
    rows = stays(*SLOW, hours=2.0)
    found = fit(one_hot(rows), POLICY[rows.observation[:, 0]], 0.5, QUICK.model_copy(update={"updates": 60}))
    assert not found.converged
    assert found.value is None
    assert "has not converged after 60 updates" in found.words()


def test_discounts_are_by_hours_and_none_where_the_task_ended() -> None:
    rows = stays(*SLOW[:2], ([0, 2], [1], [0.0], False), hours=2.0)
    data = _data(one_hot(rows), POLICY[rows.observation[:, 0]], 0.5, "cpu")
    assert data.discount.tolist() == [0.25, 0.0, 0.25, 0.0, 0.25]  # the record that was cut goes on
    assert data.length == pytest.approx(5 / 3)
    assert data.scale == pytest.approx(np.std([1.5, 2.0, 0.0]))
    torch.testing.assert_close(data.first, torch.eye(3)[[0, 0, 0]])


def test_what_stands_still_is_not_yet_right() -> None:
    """First states that do not move are no proof: the others must not either, and the Bellman error must be small."""
    config = FqeConfig(checks=2)

    def checks(*triples: tuple[float, float, float]) -> deque[_Check]:
        return deque(_Check(value, torch.full((3,), values), error) for value, values, error in triples)

    assert converged(checks((1.0, 1.0, 0.01), (1.01, 1.0, 0.01)), config)
    assert not converged(checks((1.0, 1.0, 0.01)), config)
    assert not converged(checks((1.0, 1.0, 0.01), (1.2, 1.0, 0.01)), config)
    assert not converged(checks((0.0, 1.0, 0.01), (0.0, 2.0, 0.01)), config)
    assert not converged(checks((0.0, 0.0, 0.4), (0.0, 0.0, 0.4)), config)


def test_nobodys_values_come_from_a_network_that_learned_from_them() -> None:
    """Other rewards of one patient leave that patient's own values as they are, to the bit."""
    rows = one_hot(stays(*SLOW * 3, hours=2.0))
    policy = POLICY[rows.observation.argmax(1)]
    mine = rows.entity == 3
    other = dataclasses.replace(rows, reward=np.where(mine, rows.reward + 5.0 * ~rows.first, rows.reward))
    config = QUICK.model_copy(update={"updates": 40, "check_every": 10, "checks": 2, "tolerance": 1e9})
    before, after = (cross_fit(each, policy, 0.5, config, count=2) for each in (rows, other))
    assert before.converged
    np.testing.assert_array_equal(before.q[mine], after.q[mine])
    assert (before.q[~mine] != after.q[~mine]).any()
    first = rows.first
    assert before.value == pytest.approx((before.q[first] * policy[first]).sum(1).mean())


def test_one_fold_that_has_not_converged_is_enough_for_no_value() -> None:
    rows = one_hot(stays(*SLOW * 3, hours=2.0))
    found = cross_fit(rows, POLICY[rows.observation.argmax(1)], 0.5, QUICK.model_copy(update={"updates": 60}), count=2)
    assert (found.converged, found.value) == (False, None)
