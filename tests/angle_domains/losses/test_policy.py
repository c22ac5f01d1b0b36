import math

import pytest
import torch

from angle_domains.losses.policy import approximate_kl, clipped, clipped_surrogate, normalised, policy_gradient


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss"),
    [
        (1.0, 2.0, -2.0),
        (1.5, 2.0, -2.4),  # held at 1.2
        (0.5, 2.0, -1.0),  # below the clip a good action is not held
        (1.5, -2.0, 3.0),  # above the clip a bad action is not held
        (0.5, -2.0, 1.6),  # held at .8
        (1.1, -2.0, 2.2),
    ],
)
def test_clipped_surrogate(ratio: float, advantage: float, loss: float) -> None:
    old = torch.tensor([-1.0])
    got = clipped_surrogate(old + math.log(ratio), old, torch.tensor([advantage]), 0.2)
    torch.testing.assert_close(got, torch.tensor([loss]))


def test_a_held_ratio_has_no_gradient() -> None:
    log_prob = torch.tensor([math.log(1.5), 0.0], requires_grad=True)
    clipped_surrogate(log_prob, torch.zeros(2), torch.tensor([1.0, 3.0]), 0.2).sum().backward()
    torch.testing.assert_close(log_prob.grad, torch.tensor([0.0, -3.0]))


def test_approximate_kl() -> None:
    got = approximate_kl(torch.tensor([math.log(2.0), 0.0, -math.log(2.0)]), torch.zeros(3))
    torch.testing.assert_close(got, torch.tensor([1.0 - math.log(2.0), 0.0, math.log(2.0) - 0.5]))


def test_clipped_share() -> None:
    log_ratio = torch.tensor([1.3, 1.1, 0.9, 0.7]).log()
    assert clipped(log_ratio, torch.zeros(4), 0.2).tolist() == [1.0, 0.0, 0.0, 1.0]


def test_policy_gradient() -> None:
    log_prob = torch.tensor([-0.5, -2.0], requires_grad=True)
    advantage = torch.tensor([3.0, -1.0], requires_grad=True)
    loss = policy_gradient(log_prob, advantage)
    assert loss.tolist() == [1.5, -2.0]
    loss.sum().backward()
    assert log_prob.grad.tolist() == [-3.0, 1.0]
    assert advantage.grad is None


def test_normalised_advantages() -> None:
    torch.testing.assert_close(normalised(torch.tensor([1.0, 2.0, 3.0])), torch.tensor([-1.0, 0.0, 1.0]))
    assert normalised(torch.tensor([7.0])).tolist() == [7.0]
    assert normalised(torch.tensor([2.0, 2.0])).tolist() == [0.0, 0.0]
