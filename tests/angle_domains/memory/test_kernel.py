import torch

from angle_domains.memory.kernel import kernel_mean, squared_distance


def test_squared_distances_by_hand() -> None:
    query = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    key = torch.tensor([[[3.0, 4.0], [0.0, 0.0]], [[1.0, 1.0], [2.0, 3.0]]])
    assert squared_distance(query, key).tolist() == [[25.0, 0.0], [0.0, 5.0]]


def test_the_mean_by_hand() -> None:
    """Weights 1 / (1 + 1), 1 / (3 + 1) and one that does not count."""
    square, value = torch.tensor([[1.0, 3.0, 0.0]]), torch.tensor([[6.0, 12.0, 1e6]])
    counted = torch.tensor([[True, True, False]])
    torch.testing.assert_close(kernel_mean(square, value, counted, 1.0), torch.tensor([(0.5 * 6 + 0.25 * 12) / 0.75]))


def test_nothing_is_worth_nothing_and_has_no_gradient() -> None:
    square, value = torch.ones(2, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)
    mean = kernel_mean(square, value, torch.zeros(2, 3, dtype=torch.bool), 1e-3)
    mean.sum().backward()
    assert mean.tolist() == [0.0, 0.0]
    assert not square.grad.any()
    assert not value.grad.any()


def test_gradients_of_query_keys_and_values_are_those_of_finite_differences() -> None:
    chance = torch.Generator().manual_seed(0)
    parts = [torch.randn(shape, generator=chance).double().requires_grad_() for shape in ((3, 4), (3, 5, 4), (3, 5))]
    counted = torch.rand(3, 5, generator=chance) < 0.7

    def mean(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return kernel_mean(squared_distance(query, key), value, counted, 0.1)

    assert torch.autograd.gradcheck(mean, parts)
