from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from feeds.backend import backend, to_numpy
from feeds.errors import FeedError
from feeds.market.actions import action_space, is_simplex, make_decoder
from feeds.market.config import Actions


def decode(action: Any, num_assets: int = 3, device: str = "cpu", **settings: Any) -> tuple[np.ndarray, np.ndarray]:
    where = backend(device)
    targets, projected = make_decoder(Actions(**settings), num_assets, where)(where.put(np.asarray(action)))
    return to_numpy(targets), to_numpy(projected)


def test_feasible_weights_pass_unchanged() -> None:
    action = np.array([[0.25, 0.25, 0.5], [0.0, 0.0, 0.0]], np.float32)
    targets, projected = decode(action)
    np.testing.assert_array_equal(targets, action.astype(float))
    assert projected.tolist() == [False, False]


def test_long_only_cuts_then_scales_and_counts() -> None:
    targets, projected = decode([[-0.5, 0.5, 0.5], [1.0, 2.0, 1.0], [0.1, 0.1, 0.1]])
    np.testing.assert_allclose(targets, [[0.0, 0.5, 0.5], [0.25, 0.5, 0.25], [0.1, 0.1, 0.1]])
    assert projected.tolist() == [True, True, False]


def test_rounding_of_float32_is_not_counted_as_a_projection() -> None:
    action = np.full((1, 3), 1 / 3, np.float32) * np.float32(1.0000002)
    targets, projected = decode(action)
    assert targets.sum() <= 1.0
    assert projected.tolist() == [False]


def test_long_short_scales_under_both_caps() -> None:
    settings = {"long_only": False, "gross_cap": 2.0, "net_cap": 0.5}
    targets, projected = decode([[1.0, -1.0, 0.0], [2.0, -2.0, 0.0], [0.5, 0.5, 0.0], [0.2, 0.2, -0.1]], **settings)
    np.testing.assert_allclose(targets, [[1.0, -1.0, 0.0], [1.0, -1.0, 0.0], [0.25, 0.25, 0.0], [0.2, 0.2, -0.1]])
    assert projected.tolist() == [False, True, True, False]


@given(
    arrays(float, (4, 3), elements=st.floats(-10, 10)),
    st.booleans(),
    st.floats(0.1, 3.0),
    st.floats(0.1, 3.0),
)
def test_no_action_breaks_a_cap(action: np.ndarray, long_only: bool, gross: float, net: float) -> None:
    targets, _ = decode(action, long_only=long_only, gross_cap=gross, net_cap=net)
    assert (np.abs(targets).sum(1) <= gross * (1 + 1e-12)).all()
    assert (np.abs(targets.sum(1)) <= net * (1 + 1e-12)).all()
    assert not long_only or (targets >= 0.0).all()


@given(arrays(float, (4, 3), elements=st.floats(-3, 3)), st.booleans())
def test_torch_decodes_alike(action: np.ndarray, long_only: bool) -> None:
    for ours, other in zip(
        decode(action, long_only=long_only), decode(action, long_only=long_only, device="torch"), strict=True
    ):
        np.testing.assert_allclose(ours, other, atol=1e-12)


def test_discrete_shares_the_cap_between_the_assets_that_are_not_flat() -> None:
    targets, _ = decode([[1, 0, 1], [0, 0, 0]], mode="discrete")
    np.testing.assert_allclose(targets, [[0.5, 0.0, 0.5], [0.0, 0.0, 0.0]])
    targets, projected = decode([[2, 0, 1], [2, 2, 2]], mode="discrete", long_only=False, gross_cap=2.0, net_cap=1.0)
    np.testing.assert_allclose(targets, [[1.0, -1.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    assert projected.tolist() == [False, True]


def test_given_portfolios_are_looked_up() -> None:
    rows = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.2, 0.3, 0.5))
    targets, _ = decode([2, 0, 1], mode="portfolios", portfolios=rows)
    np.testing.assert_allclose(targets, [rows[2], rows[0], rows[1]])


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        ((), "lists none"),
        (((0.1, 0.2),), r"portfolios\[0\] has 2 weights for 3 assets"),
        (((0.1, 0.2, 0.3), (0.5, -0.1, 0.0)), r"portfolios\[1\] .* negative"),
        (((0.5, 0.5, 0.5),), r"portfolios\[0\] exceeds"),
    ],
)
def test_given_portfolios_are_checked(rows: Any, rule: str) -> None:
    with pytest.raises(FeedError, match=rule):
        decode([0], mode="portfolios", portfolios=rows)


@pytest.mark.parametrize("long_only", [True, False])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_action_that_is_not_a_number_names_its_stream(bad: float, long_only: bool) -> None:
    action = np.full((4, 3), 0.1)
    action[2, 1] = bad
    with pytest.raises(FeedError, match="stream 2: .* not a finite number"):
        decode(action, long_only=long_only)


def test_choices_outside_the_space_name_their_stream() -> None:
    with pytest.raises(FeedError, match=r"stream 1: the action \[0, 2, 0\] lies outside 0 to 1"):
        decode([[0, 1, 0], [0, 2, 0]], mode="discrete")
    with pytest.raises(FeedError, match="stream 1: the action -1"):
        decode([0, -1], mode="portfolios", portfolios=((0.0, 0.0, 0.0),))


@pytest.mark.parametrize("action", [np.zeros((2, 4)), np.zeros((2, 1)), np.zeros(3)])
def test_actions_of_another_shape_are_not_broadcast(action: np.ndarray) -> None:
    with pytest.raises(FeedError, match="actions have shape"):
        decode(action)


def test_spaces() -> None:
    assert action_space(Actions(), 3) == spaces.Box(0.0, 1.0, (3,), np.float32)
    assert action_space(Actions(long_only=False, gross_cap=2.0), 3) == spaces.Box(-2.0, 2.0, (3,), np.float32)
    assert action_space(Actions(mode="discrete"), 3) == spaces.MultiDiscrete([2, 2, 2])
    assert action_space(Actions(mode="discrete", long_only=False), 3) == spaces.MultiDiscrete([3, 3, 3])
    assert action_space(Actions(mode="portfolios", portfolios=((0.0,), (1.0,))), 1) == spaces.Discrete(2)


def test_the_simplex_is_recognised() -> None:
    assert is_simplex(Actions())
    assert not is_simplex(Actions(long_only=False))
    assert not is_simplex(Actions(gross_cap=2.0, net_cap=2.0))
    assert not is_simplex(Actions(mode="discrete"))
