"""Hand-worked distributions; the literals of the last tests were computed with rlax 0.1.9, once."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from angle_domains.losses.distributional import cross_entropy, divergence, project, quantile_huber

SUPPORT = torch.tensor([-1.0, 0.0, 1.0])


def row(*numbers: float) -> torch.Tensor:
    return torch.tensor([numbers])


@pytest.mark.parametrize(
    ("place", "shared"),
    [
        (0.25, [0.0, 0.75, 0.25]),  # between two atoms: the nearer takes more
        (0.0, [0.0, 1.0, 0.0]),  # on an atom: floor and ceiling are one, and nothing may be lost
        (-1.0, [1.0, 0.0, 0.0]),
        (1.0, [0.0, 0.0, 1.0]),
        (7.0, [0.0, 0.0, 1.0]),  # beyond the support
        (-7.0, [1.0, 0.0, 0.0]),
    ],
)
def test_one_atom_is_shared_by_its_neighbours(place: float, shared: list[float]) -> None:
    got = project(row(0.0, 1.0, 0.0), row(-0.5, place, 0.5), SUPPORT)
    torch.testing.assert_close(got, row(*shared))


def test_a_terminated_and_a_truncated_target() -> None:
    probability = torch.tensor([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]])
    discount = torch.tensor([[0.0], [0.5]])
    got = project(probability, 0.5 + discount * SUPPORT, SUPPORT)
    # ended: all mass at .5; going on: atoms at 0, .5 and 1 with .2, .3 and .5
    torch.testing.assert_close(got, torch.tensor([[0.0, 0.5, 0.5], [0.0, 0.2 + 0.15, 0.15 + 0.5]]))


@given(
    st.lists(st.floats(-30, 30, width=32), min_size=5, max_size=5),
    st.lists(st.floats(0.0625, 1, width=32), min_size=5, max_size=5),
)
def test_no_mass_is_lost_and_means_within_the_support_are_kept(places: list[float], masses: list[float]) -> None:
    support = torch.linspace(-10.0, 10.0, 5)
    probability = row(*masses) / sum(masses)
    got = project(probability, row(*places), support)
    torch.testing.assert_close(got.sum().item(), 1.0, atol=1e-5, rtol=0)
    kept = row(*places).clamp(-10.0, 10.0)
    torch.testing.assert_close((got @ support).item(), (probability * kept).sum().item(), atol=1e-4, rtol=1e-4)


def test_whole_steps_of_51_atoms_move_the_mass_and_lose_none() -> None:
    """Support -10 to 10 in steps of .4: a reward of .4 moves every atom to the next, the last is held."""
    support = torch.linspace(-10.0, 10.0, 51)
    probability = torch.full((1, 51), 1.0 / 51)
    got = project(probability, support.unsqueeze(0) + 0.4, support)
    expected = torch.full((1, 51), 1.0 / 51)
    expected[0, 0], expected[0, -1] = 0.0, 2.0 / 51
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_cross_entropy_and_divergence() -> None:
    target = torch.tensor([[0.0, 0.75, 0.25], [0.0, 1.0, 0.0]])
    logits = torch.tensor([[0.0, 0.0, 0.0], [0.0, math.log(2.0), 0.0]])
    entropy = cross_entropy(logits, target)
    torch.testing.assert_close(entropy, torch.tensor([math.log(3.0), math.log(2.0)]))
    own = 0.75 * math.log(0.75) + 0.25 * math.log(0.25)
    torch.testing.assert_close(divergence(entropy, target), torch.tensor([math.log(3.0) + own, math.log(2.0)]))


def test_a_distribution_does_not_diverge_from_itself() -> None:
    target = row(0.2, 0.3, 0.5)
    torch.testing.assert_close(divergence(cross_entropy(target.log(), target), target), torch.zeros(1))


@pytest.mark.parametrize(
    ("kappa", "loss"),
    [
        (1.0, 0.25 * (0.5 + 2.5) / 2 + 0.75 * 0.125),
        (0.0, 0.25 * (1.0 + 3.0) / 2 + 0.75 * 0.5),
        (2.0, 0.25 * (0.25 + 2.0) / 2 + 0.75 * 0.0625),
    ],
)
def test_quantile_huber_by_hand(kappa: float, loss: float) -> None:
    """Quantiles 0 and 1.5 stand for levels 1/4 and 3/4; the targets 1 and 3 miss the first by 1 and 3."""
    got = quantile_huber(row(0.0, 1.5), row(1.0, 3.0), kappa)
    second = {1.0: 0.25 * 0.125 + 0.75 * 1.0, 0.0: 0.25 * 0.5 + 0.75 * 1.5, 2.0: 0.25 * 0.0625 + 0.75 * 0.5625}
    first = {1.0: 0.25 * (0.5 + 2.5), 0.0: 0.25 * (1.0 + 3.0), 2.0: 0.25 * (0.25 + 2.0)}
    torch.testing.assert_close(got.item(), (first[kappa] + second[kappa]) / 2)


def test_the_quantiles_of_a_sample_are_where_their_loss_is_least() -> None:
    sample = torch.linspace(0.0, 1.0, 1001).unsqueeze(0)
    quantile = torch.full((1, 4), 0.5, requires_grad=True)
    optimizer = torch.optim.SGD([quantile], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        quantile_huber(quantile, sample, 0.0).sum().backward()
        optimizer.step()
    torch.testing.assert_close(quantile.detach(), row(0.125, 0.375, 0.625, 0.875), atol=0.03, rtol=0)


LOGITS = [[2.0, -2.6, 0.4, -0.6, -0.5], [-0.2, -2.0, -0.2, -0.9, 3.3]]
NEXT_LOGITS = [[0.2, -0.4, -0.3, -0.7, -1.1], [-0.4, 0.5, -0.2, 1.0, -0.2]]


@pytest.mark.parametrize(
    ("reward", "discount", "loss"), [(0.7, 0.0, 4.0673146), (-0.4, 0.9, 3.9991889), (1.0, 1.0, 1.9892702)]
)
def test_as_rlax_has_categorical_double_q_learning(reward: float, discount: float, loss: float) -> None:
    """Action 1 was taken; the selector holds action 1 the best."""
    support = torch.linspace(-2.0, 2.0, 5)
    place = (reward + discount * support).unsqueeze(0)
    target = project(torch.softmax(row(*NEXT_LOGITS[1]), -1), place, support)
    assert cross_entropy(row(*LOGITS[1]), target).item() == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize(
    ("reward", "discount", "shared"),
    [
        (-0.4, 0.9, [0.41088960, 0.22112995, 0.20011094, 0.12940948, 0.03846000]),
        (1.0, 1.0, [0.0, 0.35280290, 0.19362233, 0.21398579, 0.23958895]),  # every atom on another's place
    ],
)
def test_as_rlax_projects(reward: float, discount: float, shared: list[float]) -> None:
    support = torch.linspace(-2.0, 2.0, 5)
    got = project(torch.softmax(row(*NEXT_LOGITS[0]), -1), (reward + discount * support).unsqueeze(0), support)
    torch.testing.assert_close(got, row(*shared))


@pytest.mark.parametrize(
    ("reward", "discount", "kappa", "loss"),
    [(0.7, 0.0, 1.0, 0.54333335), (0.7, 0.0, 0.0, 1.1333333), (-0.4, 0.9, 1.0, 1.6167722), (-0.4, 0.9, 0.0, 2.3483334)],
)
def test_as_rlax_has_quantile_q_learning(reward: float, discount: float, kappa: float, loss: float) -> None:
    """Three quantiles of action 1; the next action 1 has the higher mean."""
    target = reward + discount * row(3.0, -0.9, 1.8)
    assert quantile_huber(row(-0.5, 0.5, -0.3), target, kappa).item() == pytest.approx(loss, rel=1e-6)
