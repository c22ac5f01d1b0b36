"""Couplings by hand, and that Q is only read. What they are good for is measured by `benchmarks/steering.py`."""

import pytest
import torch
from torch import nn

from metalearn.steering import Steering, gate, gradient_weights, matched_values

CAME = torch.tensor([[1.0, 0.0, 5.0], [-1.0, 2.0, 5.0], [3.0, 4.0, -7.0]])
WEIGHTS = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]])  # of Q: the third entry does not matter


def q(states: torch.Tensor) -> torch.Tensor:
    return states @ WEIGHTS


def steering(coupling: str) -> Steering:
    return Steering(coupling, 3, torch.Generator().manual_seed(0))  # type: ignore[arg-type]


def test_values_are_matched_against_how_they_vary() -> None:
    # values of the first action 2, -2, 6: variance 32 / 3; of the second 0, 2, 4: 8 / 3; their mean is 20 / 3
    forecast = CAME + torch.tensor([1.0, 0.0, 100.0])  # off by 2 for one of two actions
    assert matched_values(forecast, CAME, q).item() == pytest.approx(2.0 / (20.0 / 3.0))
    assert matched_values(CAME, CAME, q).item() == 0.0


def test_errors_are_weighted_by_the_slope_of_the_best_value() -> None:
    # the best actions are 0, 1 and 0: slopes (2, 0, 0), (0, 1, 0), (2, 0, 0); their 0.95 quantile is 2
    assert gradient_weights(CAME, q).tolist() == torch.tensor([[4.0, 0, 0], [0, 1.0, 0], [4.0, 0, 0]]).tolist()


def test_steep_slopes_are_cut() -> None:
    states = torch.arange(40.0).reshape(40, 1)
    weights = gradient_weights(states, lambda s: torch.where(s > 38.5, 1_000.0 * s, s))
    assert weights[-1] / weights[0] == pytest.approx(1.0, abs=1e-3)


def test_the_gate_by_hand() -> None:
    came = torch.tensor([0.0, 2.0, 4.0])
    assert gate(torch.tensor([0.0, 4.0, 2.0]), came) == pytest.approx(0.25)  # a correlation of a half
    assert gate(9.0 + 20.0 * came, came) == pytest.approx(1.0)  # agents hold returns in units of their own
    assert gate(-came, came) == 0.0
    assert gate(came, torch.ones(3)) == 0.0
    assert gate(torch.full((3,), torch.nan), came) == 0.0


def test_each_coupling_joins_its_own() -> None:
    forecast, plain = CAME + torch.tensor([1.0, 0.0, 2.0]), torch.tensor(3.0)
    matched = matched_values(forecast, CAME, q)
    assert steering("none").loss(plain, forecast, CAME, q) == 3.0
    torch.testing.assert_close(steering("values").loss(plain, forecast, CAME, q), matched + 0.03)
    weighted = (gradient_weights(CAME, q) * torch.tensor([1.0, 0.0, 4.0])).mean()
    torch.testing.assert_close(steering("gradient").loss(plain, forecast, CAME, q), weighted + 0.03)
    gated = steering("gated")
    assert gated.loss(plain, forecast, CAME, lambda s: s / 0.0) == 3.0  # unheard, Q is not even asked
    gated.listen(torch.tensor([0.0, 4.0, 2.0]), torch.tensor([0.0, 2.0, 4.0]))
    torch.testing.assert_close(gated.loss(plain, forecast, CAME, q), 0.25 * matched + 0.76 * 3.0)


def test_values_of_states_alone_are_not_matched_but_weigh_errors() -> None:
    forecast, plain = CAME + torch.tensor([1.0, 0.0, 2.0]), torch.tensor(3.0)
    told = steering("values").loss(plain, forecast, CAME, lambda states: q(states).amax(-1, keepdim=True))
    torch.testing.assert_close(told, steering("gradient").loss(plain, forecast, CAME, q))


def test_shuffled_hands_q_the_entries_in_another_order() -> None:
    control = steering("shuffled")
    assert sorted(control.order.tolist()) == [0, 1, 2]
    assert all(place != entry for place, entry in enumerate(control.order.tolist()))
    torch.testing.assert_close(control.seen_by(q)(CAME), q(CAME[:, control.order]))
    control.heard = 0.5
    wanted = 0.5 * matched_values(CAME + 1.0, CAME, control.seen_by(q)) + 0.51 * 3.0
    torch.testing.assert_close(control.loss(torch.tensor(3.0), CAME + 1.0, CAME, q), wanted)


@pytest.mark.parametrize("coupling", ["gradient", "values", "gated", "shuffled"])
def test_q_is_read_and_its_parameters_get_no_gradient(coupling: str) -> None:
    network = nn.Linear(3, 2)
    steers = steering(coupling)
    steers.heard = 1.0
    shift = torch.zeros(3, requires_grad=True)
    loss = steers.loss((shift + 1.0).square().mean(), CAME + 0.5 + shift, CAME, network)
    [slope] = torch.autograd.grad(loss, [shift])
    assert slope.abs().sum() > 0
    assert all(parameter.grad is None for parameter in network.parameters())
