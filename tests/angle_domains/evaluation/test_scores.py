import numpy as np
import pytest

from angle_domains.evaluation import scores


def test_the_interquartile_mean_is_that_of_the_middle_half() -> None:
    assert (
        scores.interquartile_mean(np.array([100.0, 1.0, 2.0, 3.0, -50.0, 4.0, 5.0, 0.0])) == 2.5
    )  # 1, 2, 3, 4 are left
    assert scores.interquartile_mean(np.array([1.0, 5.0, 9.0])) == 5.0  # a quarter of three is none


def test_resamples_stay_within_their_strata() -> None:
    drawn = scores.resample([np.zeros(3), np.full(2, 10.0)], np.random.default_rng(0), 50)
    assert drawn.shape == (50, 5)
    assert (drawn.sum(-1) == 20.0).all()  # unstratified, sums would differ


def test_strata_that_differ_alone_leave_no_doubt() -> None:
    found = scores.intervals([np.full(5, 1.0), np.full(5, 3.0)])
    for name, centre in (("mean", 2.0), ("median", 2.0), ("iqm", 2.0)):
        interval = found[name]
        assert (interval.low, interval.estimate, interval.high) == (centre, centre, centre)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    generator, hits = np.random.default_rng(1), 0
    for trial in range(200):
        sample = generator.normal(5.0, 2.0, 30)
        interval = scores.intervals([sample], seed=trial, count=400)["mean"]
        hits += interval.low <= 5.0 <= interval.high
    assert 178 <= hits <= 199  # 95 % of 200, less what thirty episodes cost, plus or minus chance


def test_the_difference_is_of_two_independent_samples() -> None:
    over = scores.difference([np.array([4.0, 6.0])], [np.array([1.0, 1.0, 1.0])])
    assert (over.estimate, over.low, over.high) == (4.0, 3.0, 5.0)
    assert not over.includes_zero


@pytest.mark.parametrize("name", list(scores.MEASURES))
def test_one_seed_gives_one_interval(name: str) -> None:
    sample = [np.random.default_rng(0).normal(size=30)]
    assert scores.intervals(sample, seed=3)[name] == scores.intervals(sample, seed=3)[name]
    assert scores.intervals(sample, seed=3)[name] != scores.intervals(sample, seed=4)[name]
