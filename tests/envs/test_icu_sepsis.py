import gymnasium
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

from envs.feed_env import FeedEnv
from envs.registration import register_envs
from envs.vector import FeedVectorEnv
from feeds.clinical.process import IcuSepsisFeed
from feeds.errors import FeedError

STREAMS = 6


def test_stream_i_is_a_single_environment() -> None:
    """Through many patients: observations, rewards, ends and the masks of actions."""
    feed, chance = IcuSepsisFeed(), np.random.default_rng(0)
    ours, theirs = FeedVectorEnv(feed, STREAMS), SyncVectorEnv([lambda: FeedEnv(feed)] * STREAMS)
    (observation, info), (expected, told) = ours.reset(seed=3), theirs.reset(seed=3)
    ended = 0
    for _ in range(60):
        np.testing.assert_array_equal(observation, expected)
        np.testing.assert_array_equal(info["state"], told["state"])
        np.testing.assert_array_equal(info["action_mask"], np.stack(list(told["action_mask"])))
        action = chance.integers(0, 25, STREAMS)
        observation, reward, terminated, truncated, info = ours.step(action)
        expected, *outcome, told = theirs.step(action)
        for mine, reference in zip((reward, terminated, truncated), outcome, strict=True):
            np.testing.assert_array_equal(mine, reference)
        ended += int(terminated.sum())
    assert ended > 2 * STREAMS


def test_gymnasium_makes_it_by_name() -> None:
    register_envs()
    env = gymnasium.make("angle_domains/IcuSepsis-v0", observation="state")
    envs = gymnasium.make_vec("angle_domains/IcuSepsis-v0", num_envs=3, mask=False, split="test")
    assert env.reset(seed=0)[0].shape == (716,)
    seen, info = envs.reset(seed=0)
    assert seen.shape == (3, 47)
    assert "action_mask" not in info
    with pytest.raises(FeedError, match="does not take observatio=.*did you mean 'observation'"):
        gymnasium.make("angle_domains/IcuSepsis-v0", observatio="state")
