"""Verdicts on forecasts: by hand, where there is nothing to foresee, where there is, and where the future leaked."""

import math

import pytest
import torch
from torch import Tensor

from metalearn.forecasting.histories import cut
from metalearn.forecasting.ridge_anchor import RidgeAnchor
from metalearn.forecasting.skill import Skill, skill

ONE = torch.zeros(400, dtype=torch.long)


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_shares_by_hand() -> None:
    loss, naive = torch.tensor([1.0, 1.0, 2.0, 4.0]), torch.tensor([2.0, 2.0, 2.0, 2.0])
    found = skill(loss, naive, torch.tensor([7, 7, 9, 9]), drawn())
    assert (found.rows, found.entities) == (4, 2)
    assert found.mase == pytest.approx((0.5 + 1.5) / 2)
    assert found.better == pytest.approx(0.0)
    assert found.verdict == "no skill: 0.0 % better than the last value, of too few rows to tell"


def test_an_interval_without_spread_is_a_point() -> None:
    found = skill(torch.full((400,), 3.0), torch.full((400,), 4.0), ONE, drawn())
    assert (found.better, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))
    assert found.verdict == "skill: 25.0 % (95 % interval 25.0 to 25.0 %) better than the last value"
    nothing = skill(torch.zeros(400), torch.zeros(400), ONE, drawn())
    assert (nothing.mase, nothing.better, nothing.found) == (1.0, 0.0, False)


def test_the_interval_is_as_wide_as_the_mean_is_unsure() -> None:
    loss = 1.0 + 0.5 * torch.rand(4_000, generator=drawn())
    for entity in (torch.zeros(4_000, dtype=torch.long), torch.arange(4_000)):
        found = skill(loss, torch.full((4_000,), 2.0), entity, drawn(1))
        error = 1.96 * 0.5 / math.sqrt(12.0 * 4_000) / 2.0
        assert found.high - found.better == pytest.approx(error, rel=0.2)
        assert found.better - found.low == pytest.approx(error, rel=0.2)


def test_rows_that_tell_of_the_same_days_widen_it() -> None:
    walk = torch.randn(4_039, generator=drawn()).unfold(0, 40, 1).sum(-1).abs()
    one, naive = torch.zeros(4_000, dtype=torch.long), torch.full((4_000,), 4.0)
    alone, blocks, wide = (
        skill(walk, naive, entity, drawn(), overlap=overlap)
        for entity, overlap in ((torch.arange(4_000), 1), (one, 1), (one, 40))
    )
    assert blocks.high - blocks.low > 2.0 * (alone.high - alone.low)
    assert wide.high - wide.low > 1.2 * (blocks.high - blocks.low)


def test_rows_of_one_entity_count_as_one_where_there_are_many() -> None:
    loss = torch.rand(50, generator=drawn()).repeat_interleave(40)
    naive, entity = torch.ones(2_000), torch.arange(50).repeat_interleave(40)
    found, apart = skill(loss, naive, entity, drawn()), skill(loss, naive, torch.arange(2_000), drawn())
    assert found.high - found.low == pytest.approx(math.sqrt(40.0) * (apart.high - apart.low), rel=0.15)


def test_sentences() -> None:
    made = Skill(10, 1, 0.9, 0.1, 0.04, 0.16, "zero", hopeless=False)
    assert made.verdict == "skill: 10.0 % (95 % interval 4.0 to 16.0 %) better than zero"
    assert made._replace(hopeless=True).alarm
    assert made._replace(hopeless=True).verdict.startswith("leak alarm: 10.0 %")
    small = made._replace(hopeless=True, better=0.03, low=0.01)
    assert not small.alarm
    assert small.verdict.startswith("skill")
    unsure = made._replace(low=-0.01)
    assert (
        unsure.verdict
        == "no skill: 10.0 % (95 % interval -1.0 to 16.0 %) better than zero, which is no more than chance"
    )
    worse = made._replace(better=-0.1, low=-0.16, high=-0.04)
    assert worse.verdict == "no skill: 10.0 % (95 % interval -16.0 to -4.0 %) worse than zero"


def ridge_against_last(series: Tensor, *, shift: int = 0) -> Skill:
    """Ridge fitted to the first half of a series, judged by the second; a shift lets rows see so far ahead."""
    value = series.unsqueeze(-1)
    first = torch.zeros(len(series), dtype=torch.bool)
    first[0] = True
    gaps = torch.ones(len(series))
    history, future, ends = cut(value, torch.ones_like(value), gaps, first, length=8, horizons=(1,))
    if shift:  # the newest value that rows hold is the one they are to foresee, blurred
        seen = future.value[:, 0] + 0.5 * series.diff().std() * torch.randn(len(ends), 1, generator=drawn(9))
        history.value[:, 0] = seen
    half = len(ends) // 2
    ridge = RidgeAnchor(8, 1, 1)
    ridge.update(type(history)(*(each[:half] for each in history)), type(future)(*(each[:half] for each in future)))
    late = type(history)(*(each[half:] for each in history))
    came, made = future.value[half:, 0, 0], ridge(late)[:, 0, 0, 3]
    entity = torch.zeros(len(came), dtype=torch.long)
    loss, naive = (made - came).abs(), (late.last()[:, 0] - came).abs()
    return skill(loss, naive, entity, drawn(), hopeless=True)


def test_a_random_walk_shows_no_skill() -> None:
    found = ridge_against_last(0.1 * torch.randn(3_000, generator=drawn(3)).cumsum(0))
    assert not found.found
    assert found.verdict.startswith("no skill")
    assert found.mase == pytest.approx(1.0, abs=0.02)


def test_a_series_that_can_be_foreseen_shows_none_once_its_time_is_permuted() -> None:
    noise, series = torch.randn(3_000, generator=drawn(4)), torch.zeros(3_000)
    for row in range(1, 3_000):
        series[row] = 0.6 * series[row - 1] + noise[row]
    assert ridge_against_last(series.cumsum(0) / 30).found
    mixed = series[torch.randperm(3_000, generator=drawn(5))]
    assert not ridge_against_last(mixed.cumsum(0) / 30).found


def test_labels_from_the_future_raise_the_alarm() -> None:
    walk = 0.1 * torch.randn(3_000, generator=drawn(6)).cumsum(0)
    assert not ridge_against_last(walk).alarm
    leaked = ridge_against_last(walk, shift=1)
    assert leaked.alarm
    assert "look for what came from the future" in leaked.verdict


def test_equally_good_forecasts_are_called_skilful_as_rarely_as_it_says() -> None:
    source, found = drawn(7), 0
    for _ in range(80):
        one, other = torch.randn(2, 300, generator=source).abs()
        found += skill(one, other, ONE[:300], drawn(8)).found
    assert found <= 6  # 2 are to be expected
