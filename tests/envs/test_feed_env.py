import copy
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_match import check_environments_match

from envs.feed_env import FeedEnv
from feeds.errors import FeedError
from feeds.synthetic.probes import probe
from tests.universe import market


def env_of(**settings: Any) -> FeedEnv:
    return FeedEnv(market(episode_bars=20, **settings))


def play(env: FeedEnv, steps: int, seed: int = 0) -> list[tuple[Any, ...]]:
    generator, tape = np.random.default_rng(seed), []
    for _ in range(steps):
        outcome = env.step(generator.dirichlet(np.ones(5))[:4].astype(np.float32))
        tape.append(outcome)
        if outcome[2] or outcome[3]:
            tape.append(env.reset())
    return tape


def equal(one: Any, other: Any) -> bool:
    return gymnasium.utils.env_checker.data_equivalence(one, other, exact=True)


def test_a_step_has_the_types_of_gymnasium() -> None:
    env = env_of()
    observation, info = env.reset(seed=1)
    assert observation in env.observation_space
    observation, reward, terminated, truncated, later = env.step(env.action_space.sample())
    assert observation in env.observation_space
    assert [type(value) for value in (reward, terminated, truncated)] == [float, bool, bool]
    assert set(info) == set(later)
    assert later["weights"].shape == (4,)
    assert later["log_return"].shape == (1,)


def test_two_environments_of_one_seed_match() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_environments_match(env_of(), env_of(), num_steps=100, seed=5)


def test_a_seed_replays_to_the_bit_and_episodes_go_on() -> None:
    one, other = env_of(), env_of()
    starts = []
    for env in (one, other):
        first, _ = env.reset(seed=7)
        starts.append((first, play(env, 70)))
    assert equal(starts[0][0], starts[1][0])
    assert all(equal(a, b) for a, b in zip(starts[0][1], starts[1][1], strict=True))
    bars = [one.reset(seed=7)[1]["bar"], *(one.reset()[1]["bar"] for _ in range(20))]
    assert len(set(bars)) > 5
    assert [other.reset(seed=7)[1]["bar"], *(other.reset()[1]["bar"] for _ in range(20))] == bars


def test_without_a_seed_two_environments_differ() -> None:
    starts = {tuple(env_of().reset()[1]["bar"] for _ in range(3)) for _ in range(8)}
    assert len(starts) > 1


def test_the_state_saves_and_forks() -> None:
    env = env_of()
    env.reset(seed=3)
    play(env, 30)
    saved = copy.deepcopy(env.state_dict())
    expected = play(env, 50, seed=1)
    fork = env_of()
    fork.load_state_dict(saved)
    assert all(equal(a, b) for a, b in zip(expected, play(fork, 50, seed=1), strict=True))
    env.load_state_dict(saved)
    assert all(equal(a, b) for a, b in zip(expected, play(env, 50, seed=1), strict=True))
    assert all(isinstance(array, np.ndarray) for array in saved["state"].values())


def test_a_state_of_another_feed_is_refused() -> None:
    env = FeedEnv(probe("catch"))
    env.reset(seed=0)
    with pytest.raises(FeedError, match="'bar' is missing or of other shape"):
        env_of().load_state_dict(env.state_dict())


def test_stepping_before_resetting_is_an_error() -> None:
    with pytest.raises(gymnasium.error.ResetNeeded):
        env_of().step(np.zeros(4))


def test_infos_of_a_step_stay_as_they_were() -> None:
    """Whoever keeps or changes what a step returned changes nothing of what follows."""
    one, other = env_of(), env_of()
    for env in (one, other):
        env.reset(seed=3)
    for seed in range(5):
        action = np.random.default_rng(seed).dirichlet(np.ones(5))[:4]
        observation, reward, *_, info = one.step(action)
        expected = other.step(action)
        assert equal((observation, reward), expected[:2])
        observation[:] = -1.0
        for value in info.values():
            if isinstance(value, np.ndarray):
                value[...] = 0


def test_huge_seeds_are_seeds() -> None:
    bars = {env_of().reset(seed=seed)[1]["bar"] for seed in (2**70, 2**63 - 1, 2**40, 0, 1)}
    assert len(bars) > 1
