import pytest
import torch

from angle_domains.losses.value import clipped_value_loss, explained_variance, squared


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
