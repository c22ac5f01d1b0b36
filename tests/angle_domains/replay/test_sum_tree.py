import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from angle_domains.replay.sum_tree import SumTree

WRITES = st.lists(
    st.tuples(
        st.lists(st.integers(0, 10**6), min_size=1, max_size=8), st.just(0.0) | st.floats(1e-9, 1e9), st.booleans()
    ),
    max_size=20,
)


@given(st.integers(1, 50_000), WRITES, st.integers(0, 2**32 - 1))
def test_sums_are_those_of_the_leaves_and_what_is_found_weighs_something(
    size: int, writes: list[tuple[list[int], float, bool]], seed: int
) -> None:
    tree, plain = SumTree(size), np.zeros(size)
    for places, weight, side_by_side in writes:
        at = np.array(places) % size
        if side_by_side:
            tree.write_range(int(at.min()), int(at.max()) + 1, weight)
            plain[at.min() : at.max() + 1] = weight
        else:
            tree.write(at, weight)
            plain[at] = weight
        tree.check_valid()
    assert np.array_equal(tree.leaves, plain)
    np.testing.assert_allclose(tree.total, plain.sum(), rtol=1e-12)
    if tree.total == 0.0:
        return
    share = 1.0 - np.random.default_rng(seed).random(64)
    share[:2] = 1.0, 1e-200
    found, sought = tree.find(share), share * tree.total
    assert (plain[found] > 0).all()
    upto = np.cumsum(plain, dtype=np.longdouble)  # in float64 thousands of additions lose more than the tree does
    slack = 1e-12 * tree.total
    assert (upto[found] >= sought - slack).all()
    assert (upto[found] - plain[found] <= sought + slack).all()


def test_leaves_are_found_by_the_sum_from_the_left() -> None:
    tree = SumTree(40)
    tree.write(np.array([0, 31, 32, 39]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert tree.total == 10.0
    found = tree.find(np.array([0.05, 0.1, 0.15, 0.3, 0.35, 0.6, 0.65, 1.0]))
    assert found.tolist() == [0, 0, 31, 31, 32, 32, 39, 39]


def test_a_weight_that_rounding_loses_behind_a_larger_one_is_found() -> None:
    tree = SumTree(100_000)
    tree.write(np.array([5, 40_000]), np.array([1e-9, 1e9]))
    assert tree.find(np.array([0.5, 1e-19])).tolist() == [40_000, 5]


def test_a_wrong_sum_is_found() -> None:
    tree = SumTree(4_000)
    tree.write(np.array([3]), 1.0)
    tree._levels[0][0, 3] = 2.0
    with pytest.raises(AssertionError):
        tree.check_valid()
