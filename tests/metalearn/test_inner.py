"""Adapting by hand-worked numbers: one linear layer, so that every step and every solution can be written down."""

import pytest
import torch

from metalearn.inner import Network, descend, ridge
from metalearn.tasks import Examples


def line(weight: float = 0.0, bias: float = 0.0) -> Network:
    """y = weight x + bias."""
    network = Network(1, (), 1, torch.Generator().manual_seed(0))
    with torch.no_grad():
        network.weights[0].fill_(weight)
        network.weights[1].fill_(bias)
    return network


def examples(*pairs: tuple[float, float]) -> Examples:
    x, y = torch.tensor(pairs).T.reshape(2, 1, -1, 1)
    return Examples.whole(x, y)


def test_an_error_counts_what_was_observed() -> None:
    seen = Examples(torch.zeros(1, 2, 1), torch.tensor([[[1.0], [9.0]]]), torch.tensor([[[1.0], [0.0]]]))
    assert seen.error(torch.zeros(1, 2, 1)).tolist() == [1.0]
    assert seen._replace(weight=torch.zeros(1, 2, 1)).error(torch.zeros(1, 2, 1)).tolist() == [0.0]


def test_one_step_down_the_mean_squared_error() -> None:
    # of (w 1 - 2)^2 at w = b = 0 both slopes are -4
    network = line()
    weight, bias = descend(network, network.for_tasks(1), examples((1.0, 2.0)), steps=1, rate=0.1)
    assert [weight.item(), bias.item()] == pytest.approx([0.4, 0.4])


def test_gradients_of_second_order_know_of_the_step() -> None:
    # query error (w' + b' - 2)^2 with w' + b' = s + 4 r (2 - s), s = w + b: its slope is 2 (s' - 2)(1 - 4 r)
    for second_order, factor in ((True, 0.6), (False, 1.0)):
        network, support = line(), examples((1.0, 2.0))
        adapted = descend(network, network.for_tasks(1), support, steps=1, rate=0.1, second_order=second_order)
        support.error(network(support.x, adapted)).sum().backward()
        assert network.weights[0].grad is not None
        assert network.weights[0].grad.item() == pytest.approx(2.0 * (0.8 - 2.0) * factor)


def test_a_step_that_makes_it_worse_is_not_taken_and_the_rate_is_halved() -> None:
    # from s = 0 towards 2 a rate of 0.6 leads to 4.8, further away than 0; at 0.3 the step leads to 2.4
    network, support = line(), examples((1.0, 2.0))
    stays = descend(network, network.for_tasks(1), support, steps=1, rate=0.6)
    assert sum(weight.item() for weight in stays) == 0.0
    moved = descend(network, network.for_tasks(1), support, steps=2, rate=0.6)
    assert sum(weight.item() for weight in moved) == pytest.approx(2.4)


def test_each_task_has_a_rate_of_its_own() -> None:
    network = line()
    both = Examples(*(torch.cat(pair) for pair in zip(examples((1.0, 2.0)), examples((0.1, 2.0)), strict=True)))
    together = descend(network, network.for_tasks(2), both, steps=5, rate=0.6)
    for task, pair in enumerate(((1.0, 2.0), (0.1, 2.0))):
        alone = descend(network, network.for_tasks(1), examples(pair), steps=5, rate=0.6)
        for one, many in zip(alone, together, strict=True):
            torch.testing.assert_close(many[task : task + 1], one)


def test_the_head_alone_moves() -> None:
    network = Network(2, (4,), 1, torch.Generator().manual_seed(1))
    x = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(2))
    adapted = descend(network, network.for_tasks(3), Examples.whole(x, x[..., :1]), steps=3, rate=0.05, head_only=True)
    for mine, theirs in zip(network.weights[:2], adapted[:2], strict=True):
        torch.testing.assert_close(theirs, mine.expand_as(theirs))
    assert not torch.equal(adapted[2][0], adapted[2][1])


def prior(features: int, outputs: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(1, features, outputs), torch.zeros(1, 1, outputs)


def test_ridge_by_hand() -> None:
    # one feature of 1 and the bias, one example y = 3: both become 3 / (2 + penalty), here 3 / 3
    head = ridge(torch.ones(1, 1, 1), examples((1.0, 3.0)), prior(1), torch.zeros(()))
    assert [part.item() for part in head] == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("count", [2, 9])  # fewer and more examples than features
def test_ridge_agrees_with_the_normal_equations_and_with_its_prior(count: int) -> None:
    drawn = torch.Generator().manual_seed(3)
    phi = torch.randn(4, count, 3, generator=drawn, dtype=torch.float64)
    y = torch.randn(4, count, 2, generator=drawn, dtype=torch.float64)
    start = torch.randn(1, 3, 2, generator=drawn, dtype=torch.float64), torch.randn(1, 1, 2, generator=drawn).double()
    weight, bias = ridge(
        phi.float(), Examples.whole(phi.float(), y.float()), tuple(p.float() for p in start), torch.tensor(0.7)
    )
    rows = torch.cat([phi, torch.ones(4, count, 1, dtype=torch.float64)], -1)
    anchor = torch.cat(start, -2)
    gram = rows.mT @ rows + torch.tensor(0.7, dtype=torch.float64).exp() * torch.eye(4, dtype=torch.float64)
    wanted = anchor + torch.linalg.solve(gram, rows.mT @ (y - rows @ anchor))
    torch.testing.assert_close(torch.cat([weight, bias], -2).double(), wanted, atol=1e-4, rtol=1e-4)


def test_without_examples_ridge_stays_at_the_prior_and_missing_targets_do_not_count() -> None:
    drawn = torch.Generator().manual_seed(4)
    phi, y = torch.randn(1, 6, 3, generator=drawn), torch.randn(1, 6, 2, generator=drawn)
    start = torch.randn(1, 3, 2, generator=drawn), torch.randn(1, 1, 2, generator=drawn)
    none = ridge(phi, Examples(phi, y, torch.zeros_like(y)), start, torch.zeros(()))
    torch.testing.assert_close(none, list(start))
    # the second output was seen in four of the six only: as if fitted on these alone
    some = torch.ones_like(y)
    some[:, 4:, 1] = 0.0
    head = ridge(phi, Examples(phi, y, some), start, torch.zeros(()))
    for output, kept in ((0, 6), (1, 4)):
        own = start[0][..., output : output + 1], start[1][..., output : output + 1]
        alone = ridge(
            phi[:, :kept], Examples.whole(phi[:, :kept], y[:, :kept, output : output + 1]), own, torch.zeros(())
        )
        for part, whole in zip(alone, head, strict=True):
            torch.testing.assert_close(whole[..., output : output + 1], part, atol=1e-5, rtol=1e-4)


def test_gradients_flow_into_features_prior_and_penalty() -> None:
    drawn = torch.Generator().manual_seed(5)
    phi = torch.randn(2, 4, 3, generator=drawn, requires_grad=True)
    start = torch.randn(1, 3, 1, generator=drawn, requires_grad=True), torch.randn(1, 1, 1, requires_grad=True)
    penalty = torch.zeros((), requires_grad=True)
    seen = Examples.whole(phi, torch.randn(2, 4, 1, generator=drawn))
    sum(part.square().sum() for part in ridge(phi, seen, start, penalty)).backward()
    for part in (phi, *start, penalty):
        assert part.grad is not None
        assert part.grad.abs().sum() > 0
