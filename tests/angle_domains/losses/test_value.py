import pytest
import torch

from angle_domains.losses.value import clipped_value_loss, explained_variance, greedy, huber, of_action, squared


def one(number: float) -> torch.Tensor:
    return torch.tensor([number])


def test_squared() -> None:
    assert squared(one(3.0), one(1.0)).item() == 2.0


@pytest.mark.parametrize(
    ("value", "old", "target", "loss"),
    [
        (1.0, 1.0, 3.0, 2.0),  # nothing moved
        (2.0, 1.0, 3.0, 0.5 * 1.8**2),  # moved further than .2 towards the target: counted as at 1.2
        (1.1, 1.0, 3.0, 0.5 * 1.9**2),  # moved less
        (0.0, 1.0, 3.0, 0.5 * 3.0**2),  # moved away: the full error
    ],
)
def test_clipped_value_loss(value: float, old: float, target: float, loss: float) -> None:
    got = clipped_value_loss(one(value), one(old), one(target), 0.2)
    torch.testing.assert_close(got, one(loss))


def test_explained_variance() -> None:
    target = torch.tensor([1.0, 2.0, 3.0])
    assert explained_variance(target, target).item() == 1.0
    assert explained_variance(torch.full((3,), 2.0), target).item() == 0.0
    torch.testing.assert_close(explained_variance(torch.tensor([1.0, 2.0, 2.0]), target).item(), 1 - (2 / 9) / (2 / 3))
    assert explained_variance(-target, target).item() < 0
    assert explained_variance(target, torch.ones(3)).item() == 0.0


def test_huber_is_quadratic_near_and_linear_far() -> None:
    got = huber(torch.tensor([0.0, 0.0, 0.0]), torch.tensor([0.5, 1.0, -3.0]))
    torch.testing.assert_close(got, torch.tensor([0.125, 0.5, 2.5]))
    torch.testing.assert_close(huber(one(0.0), one(3.0), 2.0), one(2.0 * (3.0 - 1.0)))


def test_the_greedy_action_is_allowed() -> None:
    q = torch.tensor([[1.0, 3.0, 2.0], [5.0, 5.0, 4.0]])
    assert greedy(q).tolist() == [1, 0]
    mask = torch.tensor([[True, False, True], [False, True, True]])
    assert greedy(q, mask).tolist() == [2, 1]


def test_of_action() -> None:
    q = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert of_action(q, torch.tensor([1, 0])).tolist() == [2.0, 3.0]
    atoms = torch.arange(8.0).reshape(2, 2, 2)
    assert of_action(atoms, torch.tensor([1, 0])).tolist() == [[2.0, 3.0], [4.0, 5.0]]
