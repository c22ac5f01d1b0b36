"""The scaler: hand-worked numbers, unknown values, arrays and digest."""

import numpy as np
import pytest

from feeds.errors import FeedError
from feeds.scale import Standardiser, moments, rescaled


def test_hand_worked_numbers() -> None:
    values = np.array([[1.0, 10.0], [3.0, 10.0], [100.0, np.nan]])
    known = np.array([[True, True], [True, True], [False, False]])
    scaler = Standardiser.fit(("a", "b"), values, known)
    assert scaler.mean.tolist() == [2.0, 10.0]
    assert scaler.scale.tolist() == [1.0, 1.0]  # 10, 10 does not move
    scaled = scaler.transform(values, known)
    assert scaled.dtype == np.float32
    assert scaled.tolist() == [[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]


def test_statistics_of_panels_pool_all_assets() -> None:
    values = np.arange(12.0).reshape(3, 2, 2)
    scaler = Standardiser.fit(("a", "b"), values, np.ones(values.shape, bool))
    assert scaler.mean.tolist() == [5.0, 6.0]
    assert scaler.scale == pytest.approx([np.std([0, 2, 4, 6, 8, 10])] * 2)


def test_nothing_known_leaves_values_alone() -> None:
    assert moments(np.array([np.nan, 3.0]), np.array([False, False])) == (0.0, 1.0)
    assert rescaled(np.array([np.nan]), np.array([False]), 0.0, 1.0).tolist() == [0.0]


def test_arrays_and_back() -> None:
    scaler = Standardiser(("a", "b"), np.array([0.5, 1.5]), np.array([2.0, 3.0]))
    arrays = scaler.to_dict()
    assert all(array.dtype != object for array in arrays.values())
    assert Standardiser.from_dict(arrays).digest() == scaler.digest()
    assert Standardiser(("a", "c"), scaler.mean, scaler.scale).digest() != scaler.digest()
    assert Standardiser(("a", "b"), scaler.mean + 1e-15, scaler.scale).digest() != scaler.digest()


def test_identity_changes_nothing() -> None:
    values = np.array([[1.5, -2.0]])
    assert Standardiser.identity(("a", "b")).transform(values, np.isfinite(values)).tolist() == values.tolist()


def test_damaged_arrays_are_refused() -> None:
    arrays = Standardiser.identity(("a",)).to_dict()
    with pytest.raises(FeedError, match="missing: scale"):
        Standardiser.from_dict({name: arrays[name] for name in ("names", "mean")})
    with pytest.raises(FeedError, match="1 names has 2 means"):
        Standardiser.from_dict({**arrays, "mean": np.zeros(2)})
