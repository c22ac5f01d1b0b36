"""Rows become padded arrays; probabilities that cannot be are found."""

from dataclasses import replace

import numpy as np
import pytest

from angle_domains.errors import FeedError
from angle_domains.ope.episodes import from_rows, places
from angle_domains.ope.folds import folds, part
from feeds.base import Rows

BEHAVIOUR = np.array([[0.5, 0.5], [0.75, 0.25], [0.5, 0.5], [0.995, 0.005], [0.5, 0.5], [0.5, 0.5]])
TARGET = np.array([[0.8, 0.2], [0.5, 0.5], [0.1, 0.9], [0.5, 0.5], [0.2, 0.8], [1.0, 0.0]])


def records() -> Rows:
    """A stay of two decisions that ends in death, one of a single row, one of a decision whose record was cut."""
    return Rows(
        observation=np.arange(6)[:, None],
        action=np.array([0, 1, 0, 0, 0, 0]),
        reward=np.array([0.0, 1.0, 4.0, 0.0, 0.0, 3.0]),
        terminated=np.array([False, False, True, True, False, False]),
        first=np.array([True, False, False, True, True, False]),
        last=np.array([False, False, True, True, False, True]),
        elapsed=np.array([0.0, 2.0, 1.0, 0.0, 0.0, 6.0]),
        entity=np.array([7, 7, 7, 3, 4, 4]),
        propensity=np.array([0.5, 0.25, 1.0, 1.0, 0.5, 1.0]),
    )


def test_rows_become_padded_episodes() -> None:
    q = np.arange(12.0).reshape(6, 2)
    found = from_rows(records(), TARGET, q=q)
    np.testing.assert_array_equal(found.reward, [[1.0, 4.0], [3.0, 0.0]])
    np.testing.assert_array_equal(found.elapsed, [[2.0, 1.0], [6.0, 0.0]])
    np.testing.assert_array_equal(found.behaviour, [[0.5, 0.25], [0.5, 1.0]])
    np.testing.assert_array_equal(found.target, [[0.8, 0.5], [0.2, 1.0]])
    np.testing.assert_array_equal(found.real, [[True, True], [True, False]])
    np.testing.assert_array_equal(found.patient, [7, 4])
    np.testing.assert_array_equal(found.terminated, [True, False])
    np.testing.assert_array_equal(found.q, [[0.0, 3.0], [8.0, 0.0]])
    np.testing.assert_allclose(found.v, [[0.2, 2.5], [8.8, 0.0]])
    np.testing.assert_allclose(found.final, [0.0, 10.0])  # death has no value beyond; the cut record goes on
    assert found.outside is None


def test_tables_of_behaviour_tell_what_lies_outside() -> None:
    rows = replace(records(), first=np.array([1, 0, 0, 1, 0, 0]) > 0, last=np.array([0, 0, 1, 0, 0, 1]) > 0)
    found = from_rows(rows, TARGET, behaviour=BEHAVIOUR)
    np.testing.assert_allclose(found.outside, [[0.0, 0.0], [0.5, 0.0]])
    np.testing.assert_allclose(found.behaviour, [[0.5, 0.25], [0.995, 0.5]])


@pytest.mark.parametrize(
    ("behaviour", "target", "told"),
    [
        (np.array([0.5, 0.0, 1, 1, 0.5, 1]), TARGET, "row 1: the behaviour policy"),
        (np.array([0.5, np.nan, 1, 1, 0.5, 1]), TARGET, "row 1: the behaviour policy"),
        (None, np.array([0.5, 0.5, 1, 1, 1.5, 1]), "row 4: the target policy"),
        (None, TARGET[:3], "6 rows were recorded"),
    ],
)
def test_probabilities_that_cannot_be(behaviour: np.ndarray | None, target: np.ndarray, told: str) -> None:
    with pytest.raises(FeedError, match=told):
        from_rows(records(), target, behaviour=behaviour)


def test_what_is_missing_is_said() -> None:
    with pytest.raises(FeedError, match="estimate the behaviour policy"):
        from_rows(replace(records(), propensity=None), TARGET)
    with pytest.raises(FeedError, match="all actions"):
        from_rows(records(), np.ones(6), q=np.zeros((6, 2)))
    with pytest.raises(FeedError, match="not all finite"):
        from_rows(records(), TARGET, q=np.full((6, 2), np.nan))
    with pytest.raises(FeedError, match="no episode with a decision"):
        places(part(records(), np.arange(6) == 3))


def test_folds_share_no_patient() -> None:
    patient = np.random.default_rng(0).integers(40, size=500)
    fold = folds(patient, 4, seed=1)
    for one in np.unique(patient):
        assert len(np.unique(fold[patient == one])) == 1
    sizes = [len(np.unique(patient[fold == number])) for number in range(4)]
    assert max(sizes) - min(sizes) <= 1
    with pytest.raises(FeedError, match="too few"):
        folds(np.arange(7), 4, seed=0)
