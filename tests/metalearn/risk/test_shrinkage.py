"""Regression that shrinks along axes: by its equations, against scikit-learn's, and where labels are few."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from metalearn.risk.measures import auroc
from metalearn.risk.shrinkage import Axes, cross_fitted, fit, learned


def world(rows: int, seed: int, *, signal: float = 1.0, features: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    """Features that share a severity, which half of the events follow."""
    drawn = torch.Generator().manual_seed(seed)
    severity = torch.randn(rows, 1, generator=drawn, dtype=torch.float64)
    shown = severity + 2.0 * torch.randn(rows, features, generator=drawn, dtype=torch.float64)
    chance = torch.sigmoid(signal * severity.squeeze(1) - 1.0)
    return shown, (torch.rand(rows, generator=drawn, dtype=torch.float64) < chance).double()


def folds(rows: int, count: int = 5) -> list[tuple[torch.Tensor, torch.Tensor]]:
    turn = torch.arange(rows) % count
    return [(turn != fold, turn == fold) for fold in range(count)]


def test_it_is_ridge_regression_in_its_own_coordinates() -> None:
    rows, label = world(200, 0)
    weight = torch.rand(200, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.5
    made = fit(rows, label, weight, 10.0)
    other = LogisticRegression(C=0.1, tol=1e-8, max_iter=1_000).fit(rows.numpy(), label.numpy(), weight.numpy())
    assert made.weight.tolist() == pytest.approx(other.coef_[0].tolist(), abs=1e-4)
    assert made.shift.item() == pytest.approx(other.intercept_[0], abs=1e-3)


def test_a_start_changes_nothing_and_one_kind_of_label_stays_finite() -> None:
    rows, label = world(100, 0)
    even = torch.ones(100, dtype=torch.float64)
    straight, led = fit(rows, label, even, 3.0), fit(rows, label, even, 3.0, fit(rows, label, even, 1e3))
    torch.testing.assert_close(straight.weight, led.weight, atol=1e-4, rtol=1e-3)
    alone = fit(rows, torch.zeros_like(label), even, 3.0)
    assert torch.isfinite(alone.weight).all()
    assert torch.sigmoid(alone(rows)).max() < 0.05


def test_axes_turn_into_features_and_back() -> None:
    rows, label = world(150, 0)
    features = torch.cat([3.0 + 5.0 * rows, torch.full((150, 1), 7.0, dtype=torch.float64)], 1)
    axes = Axes.fitted(features, torch.ones(21, dtype=torch.float64))
    line = fit(axes.apply(features), label, torch.ones(150, dtype=torch.float64), 30.0)
    weight, shift = line.of_features(axes)
    torch.testing.assert_close(features @ weight + shift, line(axes.apply(features)))
    assert weight[-1] == 0.0  # what does not vary


def test_axes_are_in_units_of_a_prior_that_goes_with_the_square_of_their_variance() -> None:
    drawn = torch.Generator().manual_seed(0)
    one = torch.randn(4_000, 1, generator=drawn, dtype=torch.float64)
    twins = torch.cat([one, one + 1.5 * torch.randn(4_000, 1, generator=drawn, dtype=torch.float64)], 1)
    axes = Axes.fitted(twins, torch.ones(2, dtype=torch.float64))
    correlation = torch.corrcoef(twins.T)[0, 1]
    small, large = axes.apply(twins).var(0, correction=0)
    # variances 1 - r and 1 + r, each times its prior, its square over the mean of both squares
    wanted = torch.stack([1.0 - correlation, 1.0 + correlation])
    torch.testing.assert_close(torch.stack([small, large]), wanted**3 / wanted.square().mean())


def test_few_labels_decide_along_the_axis_on_which_rows_differ() -> None:
    ours, plain = [], []
    test, came = world(4_000, 99)
    for seed in range(8):
        features, label = world(60, seed)
        even = torch.ones(60, dtype=torch.float64)
        axes = Axes.fitted(features, torch.ones(20, dtype=torch.float64))
        along = axes.apply(features)
        penalty, _, _ = cross_fitted(along, label, even, folds(60))
        ours.append(auroc(fit(along, label, even, penalty)(axes.apply(test)), came))
        penalty, _, _ = cross_fitted(features, label, even, folds(60))
        plain.append(auroc(fit(features, label, even, penalty)(test), came))
    assert sum(ours) > sum(plain) + 8 * 0.02


def test_noise_is_shrunk_to_nothing_and_a_row_has_no_part_in_what_it_is_given() -> None:
    rows, label = world(200, 0, signal=0.0)
    even = torch.ones(200, dtype=torch.float64)
    assert cross_fitted(rows, label, even, folds(200))[0] >= 1e3
    signal, told = world(4_000, 0, signal=3.0)
    assert cross_fitted(signal, told, torch.ones(4_000, dtype=torch.float64), folds(4_000))[0] <= 300.0
    [fold, *_] = folds(200)
    fitted, held = fold
    penalty, score, _ = cross_fitted(rows, label, even, [fold])
    line = fit(rows[fitted], label[fitted], even[fitted], penalty)
    torch.testing.assert_close(score[held], rows[held] @ line.weight, atol=1e-5, rtol=1e-3)
    assert not score[fitted].any()


def test_a_small_sign_is_found_where_it_tells_and_what_differs_most_elsewhere() -> None:
    drawn = torch.Generator().manual_seed(3)
    features, label = world(400, 5, features=6)
    sign = 0.2 * torch.randn(400, 1, generator=drawn, dtype=torch.float64)
    follows = (torch.rand(400, generator=drawn, dtype=torch.float64) < torch.sigmoid(15.0 * sign.squeeze(1))).double()
    shown, even = torch.cat([features, sign], 1), torch.ones(400, dtype=torch.float64)
    trust = torch.cat([torch.ones(6), torch.tensor([0.2])]).double()  # it hardly differs, in units of trust
    for wanted, told in ((0.0, follows), (2.0, label)):
        axes, line, score = learned(shown, told, even, folds(400), trust)
        alike = Axes.fitted(shown, trust, wanted)
        torch.testing.assert_close(axes.turn, alike.turn)
        penalty, expected, _ = cross_fitted(alike.apply(shown), told, even, folds(400))
        torch.testing.assert_close(score, expected)
        torch.testing.assert_close(line.weight, fit(alike.apply(shown), told, even, penalty).weight)
