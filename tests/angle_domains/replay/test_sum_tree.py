import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from angle_domains.replay.sum_tree import SumTree

WRITES = st.lists(
    st.tuples(st.lists(st.integers(0, 10**6), min_size=1, max_size=8), st.floats(0.0, 1e9), st.booleans()), max_size=20
)


@given(st.integers(1, 5_000), WRITES, st.integers(0, 2**32 - 1))
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
    sought = (1.0 - np.random.default_rng(seed).random(64)) * tree.total
    sought[:2] = tree.total, np.nextafter(0.0, 1.0)
    found = tree.find(sought)
    assert (plain[found] > 0).all()
    upto = np.cumsum(plain)
    slack = 1e-12 * tree.total
    assert (upto[found] >= sought - slack).all()
    assert (upto[found] - plain[found] <= sought + slack).all()


def test_leaves_are_found_by_the_sum_from_the_left() -> None:
    tree = SumTree(40)
    tree.write(np.array([0, 31, 32, 39]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert tree.total == 10.0
    assert tree.find(np.array([0.5, 1.0, 1.5, 3.0, 3.5, 6.0, 6.5, 10.0])).tolist() == [0, 0, 31, 31, 32, 32, 39, 39]


def test_a_wrong_sum_is_found() -> None:
    tree = SumTree(40)
    tree.write(np.array([3]), 1.0)
    tree._levels[0][0, 3] = 2.0
    with pytest.raises(AssertionError):
        tree.check_valid()
