"""The loss of quantiles by hand; that they do not cross, and cover what they say once corrected."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metalearn.forecasting.quantiles import LEVELS, MEDIAN, Conformal, masked_mean, ordered, pinball

FREE = st.lists(st.floats(-50, 50, width=32), min_size=len(LEVELS), max_size=len(LEVELS))


@given(FREE)
def test_quantiles_never_cross_and_the_median_is_free(raw: list[float]) -> None:
    numbers = torch.tensor(raw)
    made = ordered(numbers)
    assert (made.diff() >= 0).all()
    assert made[MEDIAN] == numbers[MEDIAN]


def test_the_loss_by_hand() -> None:
    # what came lies 1 above all: the mean of the levels; 1 below all: the mean of 1 - level
    one = torch.ones(())
    assert pinball(torch.zeros(len(LEVELS)), one).item() == pytest.approx(sum(LEVELS) / len(LEVELS))
    assert pinball(torch.zeros(len(LEVELS)), -one).item() == pytest.approx(1.0 - sum(LEVELS) / len(LEVELS))
    over = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0])
    wanted = [0.05 * 3, 0.1 * 2, 0.25 * 1, 0.0, 0.25 * 1, 0.1 * 2, 0.05 * 3]
    assert pinball(over, one).item() == pytest.approx(sum(wanted) / 7)


def test_the_loss_is_least_at_the_quantiles_of_a_sample() -> None:
    sample = torch.randn(20_001, generator=torch.Generator().manual_seed(0))
    right = torch.quantile(sample, torch.tensor(LEVELS))
    best = pinball(right.expand(len(sample), -1), sample).mean()
    for place in range(len(LEVELS)):
        for step in (-0.1, 0.1):
            wrong = right.clone()
            wrong[place] += step
            assert pinball(wrong.expand(len(sample), -1), sample).mean() > best


def test_means_over_what_was_seen() -> None:
    assert masked_mean(torch.tensor([1.0, 50.0, 3.0]), torch.tensor([1.0, 0.0, 1.0])).item() == 2.0
    assert masked_mean(torch.ones(2), torch.zeros(2)).item() == 0.0


def observed(conformal: Conformal, came: torch.Tensor, scale: float = 1.0) -> None:
    shape = (len(came), 1, 1)
    flat = torch.zeros(*shape, len(LEVELS))
    conformal.observe(flat, came.reshape(shape), torch.ones(shape), torch.full((len(came), 1), scale))


def test_shifts_by_hand() -> None:
    conformal = Conformal(1, 1, capacity=50)
    assert (conformal.shifts() == 0).all()
    observed(conformal, torch.arange(1.0, 20.0))  # 1 to 19: of n + 1 = 20 the level tau is the 20 tau-th
    assert conformal.shifts().squeeze().tolist() == [1.0, 2.0, 5.0, 10.0, 15.0, 18.0, 19.0]
    hidden = torch.zeros(5, 1, 1)
    conformal.observe(torch.zeros(5, 1, 1, len(LEVELS)), hidden, hidden, torch.ones(5, 1))
    assert conformal.shifts().squeeze()[MEDIAN] == 10.0  # what was not seen does not count
    observed(conformal, torch.tensor([20.0, 21.0]))  # of 22: 1.1, 2.2, 5.5, 11, 16.5, 19.8, 20.9, rounded outwards
    assert conformal.shifts().squeeze().tolist() == [1.0, 2.0, 5.0, 11.0, 17.0, 20.0, 21.0]
    conformal.forget()
    assert (conformal.shifts() == 0).all()


def test_the_oldest_make_room_also_in_one_large_batch() -> None:
    conformal = Conformal(1, 1, capacity=10)
    observed(conformal, torch.cat([torch.full((25,), 99.0), torch.arange(10.0)]))
    assert conformal.shifts().squeeze().max() == 9.0
    again = Conformal(1, 1, capacity=10)
    again.load_state_dict(conformal.state_dict())
    observed(conformal, torch.tensor([50.0]))
    observed(again, torch.tensor([50.0]))
    assert torch.equal(conformal.shifts(), again.shifts())


def test_forecasts_too_narrow_cover_once_corrected() -> None:
    drawn = torch.Generator().manual_seed(1)
    conformal, scale = Conformal(1, 1), 0.2 + torch.rand(4_000, 1, generator=drawn)
    came = scale.unsqueeze(-1) * torch.randn(4_000, 1, 1, generator=drawn)
    narrow = torch.zeros(4_000, 1, 1, len(LEVELS))
    conformal.observe(narrow[:1_500], came[:1_500], torch.ones(1_500, 1, 1), scale[:1_500])
    made = conformal.correct(narrow[1_500:], scale[1_500:])
    below = (came[1_500:].unsqueeze(-1) <= made).double().mean((0, 1, 2))
    assert below.tolist() == pytest.approx(LEVELS, abs=0.03)
