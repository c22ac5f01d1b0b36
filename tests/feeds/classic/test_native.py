"""CartPole as arrays: the same dynamics, ends and rewards as the single environment, and saved to the bit."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from feeds.classic.config import ClassicConfig
from feeds.classic.feed import ClassicFeed
from feeds.classic.native import NativeEnvs
from feeds.errors import FeedError


def make(streams: int = 3, split: str = "train", **settings: Any) -> Any:
    return ClassicFeed(ClassicConfig(env="CartPole-v1", **settings)).envs(streams, split=split)


def test_it_is_for_training_alone() -> None:
    assert isinstance(make(), NativeEnvs)
    assert not isinstance(make(split="validation"), NativeEnvs)
    assert not isinstance(ClassicFeed(ClassicConfig(env="Pendulum-v1")).envs(1, split="train"), NativeEnvs)


@pytest.mark.parametrize("kwargs", [{}, {"sutton_barto_reward": True}])
def test_every_row_is_what_the_single_environment_makes_of_the_row_before(kwargs: dict[str, Any]) -> None:
    envs = make(max_steps=30, kwargs=kwargs)
    single: Any = gymnasium.make("CartPole-v1", **kwargs).unwrapped
    single.reset(seed=0)
    envs.reset(seed=1)
    ended, age, ends = np.zeros(3, bool), np.zeros(3, int), np.zeros(2, int)
    envs.action_space.seed(0)
    for _ in range(400):
        before, action = envs._inner.state.copy(), envs.action_space.sample()
        obs, reward, terminated, truncated, _ = envs.step(action)
        age = np.where(ended, 0, age + 1)
        for i in range(3):
            if ended[i]:
                assert np.abs(obs[i]).max() <= 0.05
                assert (reward[i], terminated[i], truncated[i]) == (0.0, False, False)
                continue
            single.state, single.steps_beyond_terminated = before[:, i], None
            seen, earned, over, _, _ = single.step(int(action[i]))
            np.testing.assert_allclose(obs[i], seen, rtol=1e-6)
            assert (reward[i], terminated[i]) == (earned, over)
            assert truncated[i] == (age[i] == 30)
        ended = terminated | truncated
        ends += int(terminated.sum()), int(truncated.sum())
    assert ends.min() > 1


def test_saved_streams_go_on_to_the_bit() -> None:
    envs, other = make(), make()
    envs.reset(seed=2)
    actions = np.random.default_rng(0).integers(0, 2, (200, 3))
    for action in actions[:100]:
        envs.step(action)
    other.load_state_dict(envs.state_dict())
    for action in actions[100:]:
        ours, theirs = envs.step(action), other.step(action)
        assert all(np.array_equal(a, b) for a, b in zip(ours[:4], theirs[:4], strict=True))
    with pytest.raises(FeedError, match="3 streams, this environment 2"):
        make(2).load_state_dict(envs.state_dict())


def test_one_seed_gives_one_tape() -> None:
    tapes = []
    for seed in (5, 5, 6):
        envs = make()
        tapes.append([envs.reset(seed=seed)[0], *(envs.step(np.ones(3, int))[0] for _ in range(30))])
    assert np.array_equal(tapes[0], tapes[1])
    assert not np.array_equal(tapes[0], tapes[2])
