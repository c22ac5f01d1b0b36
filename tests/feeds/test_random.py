import numpy as np
import pytest
import torch

from feeds import random

# The published outputs of SplitMix64 seeded 1234567 (Vigna's splitmix64.c; also the test vectors of Rosetta Code).
REFERENCE = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]


def test_mix_gives_the_published_numbers() -> None:
    golden = np.uint64(0x9E3779B97F4A7C15)
    states = (np.uint64(1234567) + golden * np.arange(1, 6, dtype=np.uint64)).view(np.int64)
    assert random.mix(states).view(np.uint64).tolist() == REFERENCE


def test_mix_is_the_same_in_torch() -> None:
    keys = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 1000)
    assert random.mix(torch.from_numpy(keys)).tolist() == random.mix(keys).tolist()
    assert random.fold(torch.from_numpy(keys), 7).tolist() == random.fold(keys, 7).tolist()


def test_uniform_numbers_are_uniform() -> None:
    draws = random.uniform(np.arange(100_000))
    assert draws.min() >= 0.0
    assert draws.max() < 1.0
    counts = np.histogram(draws, 50, (0.0, 1.0))[0]
    chi_square = ((counts - 2000.0) ** 2 / 2000.0).sum()
    assert chi_square < 94.0  # the 0.9999 quantile with 49 degrees of freedom
    # neighbouring keys and neighbouring counters are not related
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.015
    assert abs(np.corrcoef(draws, random.uniform(np.arange(100_000), 1))[0, 1]) < 0.015


def test_integers_reach_every_value_and_no_other() -> None:
    drawn = random.integers(np.arange(10_000), 7)
    assert sorted(set(drawn.tolist())) == list(range(7))


def test_integers_take_a_bound_for_each_key() -> None:
    high = np.array([1, 5, 1000])
    assert (random.integers(np.arange(3), high) < high).all()


@pytest.mark.parametrize("counter", [0, 3])
def test_normal_numbers_have_their_moments(counter: int) -> None:
    draws = random.normal(np.arange(100_000), counter)
    assert draws.mean() == pytest.approx(0.0, abs=0.02)
    assert draws.std() == pytest.approx(1.0, abs=0.02)
    assert (draws**4).mean() == pytest.approx(3.0, abs=0.15)
