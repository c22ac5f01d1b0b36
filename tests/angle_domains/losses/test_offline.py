import math

import pytest
import torch

from angle_domains.losses.offline import advantage_weight, conservative_gap, expectile_loss, sampled_gap, with_taken


def test_the_gap_by_hand() -> None:
    """Values log 1, log 2, log 5: their soft maximum is log 8."""
    q = torch.tensor([[1.0, 2.0, 5.0]] * 3).log()
    gap = conservative_gap(q, torch.tensor([0, 1, 2]))
    torch.testing.assert_close(gap, torch.tensor([8.0, 4.0, 1.6]).log())


def test_forbidden_actions_are_not_held_down_and_a_logged_one_always_counts() -> None:
    q = torch.tensor([[1.0, 2.0, 5.0]] * 2).log().requires_grad_()
    mask = torch.tensor([[True, True, False], [True, False, False]])
    gap = conservative_gap(q, torch.tensor([0, 2]), mask)
    torch.testing.assert_close(gap, torch.tensor([3.0, 6.0 / 5.0]).log())
    gap.sum().backward()
    assert q.grad is not None
    torch.testing.assert_close(q.grad, torch.tensor([[1 / 3 - 1, 2 / 3, 0.0], [1 / 6, 0.0, 5 / 6 - 1]]))


def test_a_mask_is_left_as_it_was() -> None:
    mask = torch.tensor([[True, False]])
    wider = with_taken(mask, torch.tensor([1]))
    assert wider is not None
    assert wider.tolist() == [[True, True]]
    assert mask.tolist() == [[True, False]]
    assert with_taken(None, torch.tensor([1])) is None


def test_the_sampled_gap_by_hand() -> None:
    """Two critics, two actions of densities 1/2 and 2: log(e/.5 + e^2/2) - 1 and log(1/.5 + 1/2) - 0."""
    q = torch.tensor([[[1.0], [2.0]], [[0.0], [0.0]]])
    density = torch.tensor([[0.5], [2.0]]).log()
    gap = sampled_gap(q, density, torch.tensor([[1.0], [0.0]]))
    wanted = math.log(2 * math.e + math.e**2 / 2) - 1 + math.log(2.5)
    assert gap.item() == pytest.approx(wanted)


def test_expectiles_by_hand() -> None:
    """A seventh tenth: errors above count .7, those below .3."""
    loss = expectile_loss(torch.tensor([2.0, -2.0, 0.0]), 0.7)
    torch.testing.assert_close(loss, torch.tensor([2.8, 1.2, 0.0]))


def test_the_expectile_of_a_coin() -> None:
    """Of 0 and 1 alike the .7-expectile is .7: there both sides pull alike."""
    value = torch.tensor(0.7, requires_grad=True)
    expectile_loss(torch.tensor([0.0, 1.0]) - value, 0.7).sum().backward()
    assert value.grad is not None
    assert value.grad.item() == pytest.approx(0.0, abs=1e-6)


def test_weights_of_advantages_by_hand() -> None:
    weight = advantage_weight(torch.tensor([0.0, 1.0, -1.0, 9.0]), 3.0, 100.0)
    torch.testing.assert_close(weight, torch.tensor([1.0, math.exp(3.0), math.exp(-3.0), 100.0]))
