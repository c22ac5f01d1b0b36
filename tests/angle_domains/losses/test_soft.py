import math

import torch

from angle_domains.losses.soft import soft_expectation, soft_value, temperature_loss


def test_soft_value_pays_for_surprise() -> None:
    value = soft_value(torch.tensor([1.0, 2.0]), torch.tensor([-0.5, 1.0]), torch.tensor(0.2))
    torch.testing.assert_close(value, torch.tensor([1.1, 1.8]))


def test_soft_expectation_by_hand() -> None:
    log_probs = torch.tensor([[0.25, 0.75]]).log()
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    value = soft_expectation(torch.tensor([[4.0, 8.0]]), log_probs, torch.tensor(0.5))
    torch.testing.assert_close(value, torch.tensor([7.0 + 0.5 * entropy]))


def test_what_is_impossible_counts_for_nothing_and_has_no_gradient() -> None:
    logits = torch.tensor([[0.0, 0.0, -1e9]], requires_grad=True)
    value = soft_expectation(torch.tensor([[1.0, 3.0, 1e6]]), torch.log_softmax(logits, -1), torch.tensor(1.0))
    torch.testing.assert_close(value, torch.tensor([2.0 + math.log(2.0)]))
    value.sum().backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[-0.5, 0.5, 0.0]]))


def test_the_temperature_falls_where_there_is_entropy_enough() -> None:
    log_temperature = torch.tensor(math.log(0.5), requires_grad=True)
    loss = temperature_loss(log_temperature, torch.tensor([1.0, -3.0]), torch.tensor(-1.0))
    torch.testing.assert_close(loss.detach(), torch.tensor([1.0, -1.0]))
    loss[0].backward()
    assert log_temperature.grad is not None
    assert log_temperature.grad.item() == 1.0  # a step down the loss lowers it
