import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from angle_domains.losses.rescale import joined, rescale, restore

NUMBERS = st.floats(-1e6, 1e6, width=32)


def test_rescale_by_hand() -> None:
    got = rescale(torch.tensor([0.0, 3.0, -3.0, 99.0]), 0.1)
    torch.testing.assert_close(got, torch.tensor([0.0, 1.3, -1.3, 18.9]))
    torch.testing.assert_close(restore(got, 0.1), torch.tensor([0.0, 3.0, -3.0, 99.0]))


def test_as_rlax_has_it() -> None:
    """Literals of rlax 0.1.9's SIGNED_HYPERBOLIC_PAIR."""
    x = torch.tensor([-1000.0, -1.0, 0.5, 3.0, 1e6])
    torch.testing.assert_close(rescale(x), torch.tensor([-31.638584, -0.41521353, 0.22524491, 1.003, 1999.0005]))


@given(NUMBERS, st.sampled_from([0.0, 1e-3, 0.1]))
def test_there_and_back_again(x: float, epsilon: float) -> None:
    there = rescale(torch.tensor(x), epsilon)
    torch.testing.assert_close(restore(there, epsilon), torch.tensor(x), rtol=5e-6, atol=1e-37)
    torch.testing.assert_close(rescale(restore(there, epsilon), epsilon), there, rtol=5e-6, atol=1e-37)


@given(NUMBERS, NUMBERS)
def test_both_are_odd_and_grow(x: float, y: float) -> None:
    pair = torch.tensor([min(x, y), max(x, y)])
    for function in (rescale, restore):
        assert torch.equal(function(-pair), -function(pair))
        low, high = function(pair).tolist()
        if x == y:
            assert low == high
        elif abs(x - y) > 1e-5 * max(abs(x), abs(y)):
            assert low < high


@pytest.mark.parametrize("x", [0.0, -0.0, 1e-3, -50.0])
def test_the_slope_is_that_of_the_formula(x: float) -> None:
    place = torch.tensor(x, requires_grad=True)
    rescale(place).backward()
    assert place.grad is not None
    assert place.grad.item() == pytest.approx(0.5 / math.sqrt(abs(x) + 1.0) + 1e-3, rel=1e-5)


def test_values_are_joined_as_plain_ones() -> None:
    extrinsic, intrinsic = torch.tensor([[3.0, -1.0]]), torch.tensor([[4.0, 8.0]])
    got = joined(rescale(extrinsic), rescale(intrinsic), torch.tensor([[0.5]]))
    torch.testing.assert_close(restore(got), torch.tensor([[5.0, 3.0]]))
