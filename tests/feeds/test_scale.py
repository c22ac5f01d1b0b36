"""The scaler: hand-worked numbers, unknown values and digest."""

import numpy as np

from feeds.scale import Standardiser, moments, rescaled


def test_hand_worked_numbers() -> None:
    values, known = np.array([1.0, 3.0, 100.0]), np.array([True, True, False])
    assert moments(values, known) == (2.0, 1.0)
    assert rescaled(values, known, 2.0, 1.0).tolist() == [-1.0, 1.0, 0.0]
    assert moments(np.array([10.0, 10.0]), np.array([True, True])) == (10.0, 1.0)  # it does not move


def test_statistics_of_panels_pool_all_assets() -> None:
    values = np.arange(0.0, 12.0, 2.0).reshape(3, 2)
    assert moments(values, np.ones(values.shape, bool)) == (5.0, float(values.std()))


def test_nothing_known_leaves_values_alone() -> None:
    assert moments(np.array([np.nan, 3.0]), np.array([False, False])) == (0.0, 1.0)
    assert rescaled(np.array([np.nan]), np.array([False]), 0.0, 1.0).tolist() == [0.0]


def test_the_digest_tells_scalers_apart() -> None:
    mean, scale = np.array([0.5, 1.5]), np.array([2.0, 3.0])
    digest = Standardiser(("a", "b"), mean, scale).digest()
    assert Standardiser(("a", "b"), mean.copy(), scale.copy()).digest() == digest
    assert Standardiser(("a", "c"), mean, scale).digest() != digest
    assert Standardiser(("a", "b"), mean + 1e-15, scale).digest() != digest
