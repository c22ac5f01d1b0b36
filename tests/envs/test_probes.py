import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from envs.registration import PROBES, register_envs
from feeds.classic.config import ClassicConfig
from feeds.classic.feed import ClassicFeed
from feeds.errors import FeedError


@pytest.mark.parametrize("name", PROBES)
def test_gymnasium_makes_them_by_name(name: str) -> None:
    register_envs()
    env = gymnasium.make(f"angle_domains/{name}")
    check_env(env.unwrapped, skip_render_check=True)
    envs = gymnasium.make_vec(f"angle_domains/{name}", num_envs=3)
    seen, _ = envs.reset(seed=0)
    assert seen.shape == (3, *env.observation_space.shape)
    assert envs.step(np.zeros(3, np.int64))[1].shape == (3,)


def test_their_size_is_an_argument() -> None:
    register_envs()
    assert gymnasium.make("angle_domains/DeepSea-v0", size=7, mapping=None).observation_space.shape == (49,)
    assert gymnasium.make("angle_domains/Chain-v0", length=9).observation_space.shape == (9,)
    assert gymnasium.make("angle_domains/Recall-v0", delay=3, choices=5).action_space.n == 5
    with pytest.raises(FeedError, match="deep-sea does not take sise=7: did you mean 'size'"):
        gymnasium.make("angle_domains/DeepSea-v0", sise=7)


def test_the_feed_of_registered_environments_plays_them() -> None:
    register_envs()
    feed = ClassicFeed(ClassicConfig(env="angle_domains/Recall-v0", kwargs={"delay": 1, "choices": 3}))
    envs = feed.envs(4, split="train")
    seen, _ = envs.reset(seed=0)
    assert (seen.sum(1) == 1.0).all()
    sign = seen.argmax(1)
    for _ in range(2):
        envs.step(np.zeros(4, np.int64))
    _, reward, terminated, _, _ = envs.step(sign)
    assert reward.tolist() == [1.0] * 4
    assert terminated.all()
    with pytest.raises(FeedError, match="draws no pictures"):
        feed.camera("test", 0)
    assert feed.describe()["profile"]["protocol"]["kwargs"] == {"law": "recall", "delay": 1, "choices": 3}
