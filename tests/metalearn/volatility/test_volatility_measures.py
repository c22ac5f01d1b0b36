"""Measures of forecasts of variance, worked by hand, and their p values where nothing is wrong."""

import math

import pytest
import torch
from scipy.stats import chi2, norm

from metalearn.volatility.measures import (
    backtest,
    diebold_mariano,
    newey_west,
    pinball_at,
    qlike,
    qlike_of_proxy,
)


def test_losses_by_hand() -> None:
    variance = torch.tensor([4.0, 1.0])
    assert qlike(variance, torch.tensor([2.0, -3.0])).tolist() == pytest.approx([math.log(4.0) + 1.0, 9.0])
    assert qlike_of_proxy(variance, torch.tensor([4.0, 2.0])).tolist() == pytest.approx([0.0, 1.0 - math.log(2.0)])
    assert pinball_at(0.05, torch.tensor([-2.0, -2.0]), torch.tensor([-3.0, -1.0])).tolist() == pytest.approx(
        [0.95, 0.05]
    )


def test_qlike_is_least_at_the_variance() -> None:
    came = 1.5 * torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    right = came.square().mean()
    for wrong in (0.9, 1.1):
        assert qlike(wrong * right.expand_as(came), came).mean() > qlike(right.expand_as(came), came).mean()


def test_too_many_hits_by_hand() -> None:
    hit = torch.zeros(100, dtype=torch.bool)
    hit[::10] = True  # 10 where 5 were promised
    ratio = 2.0 * (10 * math.log(0.10 / 0.05) + 90 * math.log(0.90 / 0.95))
    assert ratio == pytest.approx(4.1308, abs=1e-4)
    found = backtest(hit, 0.05)
    assert found.share == 0.1
    assert found.kupiec == pytest.approx(chi2.sf(ratio, 1))
    assert found.kupiec == pytest.approx(0.0421, abs=1e-4)
    none = backtest(torch.zeros(100, dtype=torch.bool), 0.05)
    assert none.kupiec == pytest.approx(chi2.sf(-200 * math.log(0.95), 1))
    assert none.independence == 1.0


def test_hits_that_follow_one_another_by_hand() -> None:
    # from a calm day 4 calm and 2 hits follow, from a hit 2 calm and 1 hit: a third either way
    even = torch.tensor([0, 1, 1, 0, 0, 1, 0, 0, 0, 0]).bool()
    assert backtest(even, 0.3).independence == pytest.approx(1.0)
    assert backtest(even, 0.3).conditional == pytest.approx(1.0)
    # from a calm day 15 calm and 1 hit follow, from a hit 1 calm and 2 hits: of 19 in all 3 hits
    close = torch.zeros(20, dtype=torch.bool)
    close[9:12] = True
    apart = 15 * math.log(15 / 16) + math.log(1 / 16) + math.log(1 / 3) + 2 * math.log(2 / 3)
    ratio = 2.0 * (apart - (16 * math.log(16 / 19) + 3 * math.log(3 / 19)))
    found = backtest(close, 0.15)
    assert found.kupiec == pytest.approx(1.0)
    assert found.independence == pytest.approx(chi2.sf(ratio, 1))
    assert found.independence < 0.05
    assert found.conditional == pytest.approx(chi2.sf(ratio, 2))


def test_a_right_level_is_rejected_as_rarely_as_it_says() -> None:
    drawn = torch.Generator().manual_seed(1)
    found = [backtest(torch.rand(1_000, generator=drawn) < 0.05, 0.05) for _ in range(400)]
    assert sum(each.kupiec < 0.05 for each in found) / 400 == pytest.approx(0.05, abs=0.03)
    assert sum(each.conditional < 0.05 for each in found) / 400 == pytest.approx(0.05, abs=0.04)


def test_the_error_of_a_mean_by_hand() -> None:
    turning = torch.tensor([1.0, -1.0, 1.0, -1.0])
    assert newey_west(turning, 0) == pytest.approx(0.5)  # the root of 4, by 4 rows
    assert newey_west(turning, 1) == pytest.approx(0.25)  # 4 + 2 * 1/2 * -3 = 1
    assert newey_west(torch.ones(3), 10) == 0.0


def test_a_comparison_by_hand() -> None:
    found = diebold_mariano(torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3), lags=0)
    assert found.difference == 2.0
    assert found.statistic == pytest.approx(2.0 / (math.sqrt(2.0) / 3.0))
    assert found.p == pytest.approx(2.0 * norm.sf(3.0 * math.sqrt(2.0)))
    assert diebold_mariano(torch.ones(5), torch.ones(5)).p == 1.0


def test_equally_good_forecasts_are_told_apart_as_rarely_as_it_says() -> None:
    drawn = torch.Generator().manual_seed(2)
    found = [
        diebold_mariano(torch.randn(500, generator=drawn), torch.randn(500, generator=drawn)).p for _ in range(400)
    ]
    assert sum(p < 0.05 for p in found) / 400 == pytest.approx(0.05, abs=0.04)
