import math

import pytest
import torch

from angle_domains.errors import TrainingError
from angle_domains.optim import RMSpropTF, descend, gradients, set_learning_rate


def test_two_steps_of_rmsprop_by_hand() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = RMSpropTF([weight], lr=0.1, alpha=0.9, eps=0.01)
    expected, average = [1.0, -2.0], [1.0, 1.0]
    for gradient in ([2.0, 0.0], [-1.0, 0.5]):
        weight.grad = torch.tensor(gradient)
        optimizer.step()
        average = [0.9 * s + 0.1 * g * g for s, g in zip(average, gradient, strict=True)]
        expected = [w - 0.1 * g / math.sqrt(s + 0.01) for w, g, s in zip(expected, gradient, average, strict=True)]
    torch.testing.assert_close(weight.data, torch.tensor(expected))


def test_gradients_are_told_by_part() -> None:
    network = torch.nn.ModuleDict({"torso": torch.nn.Linear(2, 1), "value": torch.nn.Linear(1, 1)})
    network.register_parameter("spread", torch.nn.Parameter(torch.ones(1)))
    torso = network["torso"]
    torso.weight.grad, torso.bias.grad = torch.tensor([[1.0, 2.0]]), torch.tensor([3.0])
    assert gradients(network).keys() == {"gradient/torso"}
    network.spread.grad = torch.tensor([4.0])
    told = {name: numbers.tolist() for name, numbers in gradients(network, "g").items()}
    assert told == {"g/torso": [1.0, 2.0, 3.0], "g/spread": [4.0]}


def test_rmsprop_equals_that_of_stable_baselines3() -> None:
    peer = pytest.importorskip("stable_baselines3.common.sb2_compat.rmsprop_tf_like").RMSpropTFLike
    chance = torch.Generator().manual_seed(0)
    start = torch.randn(5, 3, generator=chance)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    steps = RMSpropTF([ours], lr=0.01), peer([theirs], lr=0.01, alpha=0.99, eps=1e-5)
    for _ in range(5):
        ours.grad = torch.randn(5, 3, generator=chance)
        theirs.grad = ours.grad.clone()
        for optimizer in steps:
            optimizer.step()
    torch.testing.assert_close(ours.data, theirs.data)


def test_rmsprop_passes_over_parameters_without_a_gradient() -> None:
    still, moved = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    optimizer = RMSpropTF([still, moved], lr=0.1)
    moved.grad = torch.ones(2)
    optimizer.step()
    assert still.tolist() == [1.0, 1.0]
    assert (moved < 1.0).all()
    with pytest.raises(ValueError, match="closure"):
        optimizer.step(lambda: 0.0)


def test_descend_holds_the_global_norm() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))]
    optimizer = torch.optim.SGD(weights, lr=1.0)
    norm = descend(3.0 * weights[0].sum() + 4.0 * weights[1].sum(), optimizer, weights, 0.5)
    assert norm.item() == 5.0
    torch.testing.assert_close([w.item() for w in weights], [-0.3, -0.4], atol=1e-6, rtol=1e-5)


def test_descend_without_a_limit_leaves_the_gradient_as_it_is() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    norm = descend((weight * torch.tensor([3.0, 4.0])).sum(), torch.optim.SGD([weight], lr=1.0), [weight], math.inf)
    assert norm.item() == 5.0
    assert weight.tolist() == [-3.0, -4.0]


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_descend_refuses_what_is_not_finite(factor: float) -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(TrainingError, match="not finite"):
        descend((weight * factor).sum(), torch.optim.SGD([weight], lr=1.0), [weight], 0.5)
    assert weight.tolist() == [1.0, 1.0]


def test_set_learning_rate() -> None:
    optimizer = RMSpropTF([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    set_learning_rate(optimizer, 0.025)
    assert optimizer.param_groups[0]["lr"] == 0.025
