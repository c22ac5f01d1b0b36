"""Every distribution against torch.distributions, and its samples against its own density."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from angle_domains.distributions import (
    Categorical,
    Dirichlet,
    Distribution,
    Gaussian,
    LogisticNormal,
    MultiCategorical,
    SquashedGaussian,
)

SEEDS = st.integers(0, 2**31)


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(SEEDS, st.integers(1, 6))
def test_categorical_equals_torch(seed: int, choices: int) -> None:
    logits = 3.0 * draw(seed, 4, 2, choices)
    ours, theirs = Categorical(logits), torch.distributions.Categorical(logits=logits)
    raw = theirs.sample()
    torch.testing.assert_close(ours.log_prob(raw), theirs.log_prob(raw))
    torch.testing.assert_close(ours.entropy(), theirs.entropy(), atol=1e-6, rtol=1e-5)
    assert torch.equal(ours.mode(), logits.argmax(-1))


@given(SEEDS)
def test_a_mask_is_a_categorical_of_the_rest(seed: int) -> None:
    logits = 3.0 * draw(seed, 5, 4)
    mask = torch.tensor([[True, False, True, True]]).expand(5, 4)
    ours = Categorical(logits, mask)
    theirs = torch.distributions.Categorical(logits=logits[:, [0, 2, 3]])
    torch.testing.assert_close(ours.entropy(), theirs.entropy())
    torch.testing.assert_close(ours.log_prob(torch.full((5,), 2)), theirs.log_prob(torch.ones(5)))
    generator = torch.Generator().manual_seed(seed)
    assert not any((ours.sample(generator) == 1).any() for _ in range(50))
    assert (Categorical(logits + torch.tensor([0, 99, 0, 0]), mask).mode() != 1).all()


def test_a_masked_gradient_is_finite_and_zero_at_forbidden_choices() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    masked = Categorical(logits, torch.tensor([[True, False, True]]))
    (masked.entropy() + masked.log_prob(torch.tensor([0]))).sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 1] == 0.0


def test_a_mask_that_allows_nothing_allows_all() -> None:
    nothing = Categorical(torch.tensor([[1.0, 2.0]]), torch.tensor([[False, False]]))
    torch.testing.assert_close(nothing.log_probs.exp(), torch.tensor([[0.5, 0.5]]))


@given(SEEDS)
def test_multi_categorical_is_a_sum_of_parts(seed: int) -> None:
    logits = draw(seed, 3, 4, 2, 5)
    mask = draw(seed + 1, 3, 4, 2, 5) > -0.5
    mask[..., 0] = True
    ours = MultiCategorical(logits, mask)
    parts = [Categorical(logits[..., k, :], mask[..., k, :]) for k in range(2)]
    raw = ours.sample(torch.Generator().manual_seed(seed))
    torch.testing.assert_close(ours.log_prob(raw), sum(part.log_prob(raw[..., k]) for k, part in enumerate(parts)))
    torch.testing.assert_close(ours.entropy(), sum(part.entropy() for part in parts))
    assert torch.equal(ours.mode(), torch.stack([part.mode() for part in parts], -1))


@given(SEEDS, st.sampled_from([1, 3]))
def test_gaussian_equals_torch(seed: int, spreads: int) -> None:
    mean, log_std = draw(seed, 4, 2, 3), draw(seed + 1, spreads)
    ours = Gaussian(mean, log_std)
    theirs = torch.distributions.Independent(torch.distributions.Normal(mean, log_std.exp().expand(3)), 1)
    raw = draw(seed + 2, 4, 2, 3)
    torch.testing.assert_close(ours.log_prob(raw), theirs.log_prob(raw), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.entropy(), theirs.entropy(), atol=1e-5, rtol=1e-5)
    assert torch.equal(ours.mode(), mean)


@given(SEEDS)
def test_dirichlet_equals_torch(seed: int) -> None:
    concentration = 1.0 + 5.0 * draw(seed, 4, 2, 3).exp()
    ours, theirs = Dirichlet(concentration), torch.distributions.Dirichlet(concentration)
    raw = ours.sample(torch.Generator().manual_seed(seed))
    torch.testing.assert_close(raw.sum(-1), torch.ones(4, 2))
    torch.testing.assert_close(ours.log_prob(raw), theirs.log_prob(raw), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(ours.entropy(), theirs.entropy(), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(ours.mode(), theirs.mode)
    assert (ours.log_prob(ours.mode()) >= ours.log_prob(raw) - 1e-3).all()


def test_a_dirichlet_without_a_peak_is_represented_by_its_mean() -> None:
    torch.testing.assert_close(Dirichlet(torch.tensor([[1.0, 3.0, 2.0]])).mode(), torch.tensor([[1 / 6, 1 / 2, 1 / 3]]))


@given(SEEDS)
def test_logistic_normal_is_torchs_up_to_the_change_of_variables(seed: int) -> None:
    """p(w) = p(z) / |dw/dz|, and the determinant is the product of all weights, cash among them."""
    scores, log_std = draw(seed, 5, 4), 0.5 * draw(seed + 1, 3)
    ours = LogisticNormal(scores, log_std)
    z = ours.sample(torch.Generator().manual_seed(seed))
    weights = LogisticNormal.weights(z)
    cash = 1.0 - weights.sum(-1, keepdim=True)
    normal = torch.distributions.Normal(scores[:, :3] - scores[:, 3:], log_std.exp())
    torch.testing.assert_close(ours.log_prob(z), normal.log_prob(z).sum(-1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close((weights / cash).log(), z, atol=1e-2, rtol=1e-2)
    jacobian = torch.autograd.functional.jacobian(LogisticNormal.weights, z[0])
    product = torch.cat([weights[0], cash[0]]).prod()
    torch.testing.assert_close(torch.linalg.det(jacobian), product, atol=1e-6, rtol=1e-3)
    assert ((weights >= 0) & (weights <= 1)).all()


def test_equal_scores_hold_equal_weights_with_cash() -> None:
    torch.testing.assert_close(
        LogisticNormal.weights(LogisticNormal(torch.zeros(1, 5), torch.zeros(4)).mode()), torch.full((1, 4), 0.2)
    )


def test_extreme_scores_stay_finite() -> None:
    extreme = LogisticNormal(torch.tensor([[500.0, -500.0, 0.0]]), torch.zeros(2))
    raw = extreme.sample(torch.Generator().manual_seed(0))
    assert torch.isfinite(extreme.log_prob(raw)).all()
    assert torch.isfinite(LogisticNormal.weights(raw)).all()
    edge = Dirichlet(torch.tensor([[1e-3, 1e-3, 400.0]]))
    assert torch.isfinite(edge.log_prob(edge.sample(torch.Generator().manual_seed(0)))).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Categorical(torch.tensor([0.0, 1.0, -2.0]).expand(20_000, 3)),
        lambda: Gaussian(torch.tensor([0.0, 1.0]).expand(20_000, 2), torch.tensor([0.3, -0.4])),
        lambda: Dirichlet(torch.tensor([1.5, 3.0, 2.0]).expand(20_000, 3)),
        lambda: LogisticNormal(torch.tensor([0.0, 1.0, 0.5]).expand(20_000, 3), torch.tensor([0.1])),
        lambda: MultiCategorical(torch.tensor([[0.0, 1.0], [2.0, -1.0]]).expand(20_000, 2, 2)),
    ],
)
def test_the_mean_of_minus_log_prob_is_the_entropy(make: Callable[[], Distribution]) -> None:
    distribution = make()
    surprise = -distribution.log_prob(distribution.sample(torch.Generator().manual_seed(0)))
    spread = surprise.std().item() / 20_000**0.5
    assert surprise.mean().item() == pytest.approx(distribution.entropy()[0].item(), abs=4 * spread + 1e-5)


def test_samples_of_the_categorical_have_its_frequencies() -> None:
    distribution = Categorical(torch.tensor([0.0, 1.0, -2.0]).expand(20_000, 3))
    counts = np.bincount(distribution.sample(torch.Generator().manual_seed(0)).numpy(), minlength=3)
    expected = distribution.log_probs[0].exp().double().numpy()
    assert stats.chisquare(counts, 20_000 * expected / expected.sum()).pvalue > 0.01


@settings(max_examples=20)
@given(SEEDS)
def test_samples_follow_the_generator_alone(seed: int) -> None:
    for distribution in (
        Categorical(draw(0, 6, 3)),
        Gaussian(draw(0, 6, 3), torch.zeros(3)),
        Dirichlet(draw(0, 6, 3).exp()),
        LogisticNormal(draw(0, 6, 3), torch.zeros(2)),
    ):
        torch.rand(1)
        one, other = (distribution.sample(torch.Generator().manual_seed(seed)) for _ in range(2))
        assert torch.equal(one, other)


@given(SEEDS, st.integers(1, 4))
def test_squashed_gaussian_equals_torch(seed: int, size: int) -> None:
    mean, log_std = draw(seed, 3, size), 0.5 * draw(seed + 1, 3, size)
    ours = SquashedGaussian(mean, log_std)
    base = torch.distributions.Normal(mean, log_std.exp())
    theirs = torch.distributions.TransformedDistribution(base, torch.distributions.TanhTransform(cache_size=1))
    raw = draw(seed + 2, 3, size)
    torch.testing.assert_close(ours.log_prob(raw), theirs.log_prob(raw.tanh()).sum(-1), atol=1e-3, rtol=1e-3)


def test_the_density_of_a_squashed_gaussian_by_hand_and_far_out() -> None:
    one = SquashedGaussian(torch.zeros(1, 1), torch.zeros(1, 1))
    density = -0.9189385 - 0.5 * 0.25 - np.log(1.0 - np.tanh(0.5) ** 2)
    assert one.log_prob(torch.tensor([[0.5]])).item() == pytest.approx(density, abs=1e-5)
    far = one.log_prob(torch.tensor([[30.0]])).item()  # 1 - tanh² is 0 in float32: its logarithm would be -inf
    assert far == pytest.approx(-0.9189385 - 450.0 + 60.0 - 2.0 * np.log(2.0), rel=1e-5)


def test_the_entropy_of_a_squashed_gaussian_is_the_mean_of_its_surprise() -> None:
    ours = SquashedGaussian(*(torch.tensor([x]).expand(200_000, 2) for x in ([0.3, -1.0], [-1.0, 0.5])))
    raw = ours.sample(torch.Generator().manual_seed(0))
    assert ours.entropy()[0].item() == pytest.approx(-ours.log_prob(raw).mean().item(), abs=0.01)
    assert raw.mean(0).tolist() == pytest.approx([0.3, -1.0], abs=0.02)
    assert raw.std(0).tolist() == pytest.approx([np.exp(-1.0), np.exp(0.5)], rel=0.02)


def test_gradients_flow_through_a_sample_of_a_squashed_gaussian() -> None:
    mean, log_std = torch.zeros(4, 2, requires_grad=True), torch.zeros(4, 2, requires_grad=True)
    SquashedGaussian(mean, log_std).sample(torch.Generator().manual_seed(0)).sum().backward()
    assert (mean.grad == 1.0).all()
    assert (log_std.grad != 0.0).all()
