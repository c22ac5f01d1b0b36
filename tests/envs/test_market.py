"""The environments by their gymnasium name."""

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from envs.registration import register_envs
from envs.vector import FeedVectorEnv
from feeds.errors import FeedError
from tests.universe import bars_of, random_closes

ID = "angle_domains/Market-v0"
SMALL: dict[str, Any] = {"path": "synthetic-brownian", "episode_bars": 20}


@pytest.fixture(autouse=True)
def registered() -> None:
    register_envs()


def test_registering_twice_is_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        register_envs()
    assert ID in gymnasium.registry


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"split": "validation"},
        {"actions": {"mode": "discrete"}},
        {"actions": {"long_only": False, "net_cap": 0.5}},
        {"rebalance_every": 5, "holding": 2},
        {"window": 10, "calendar": True},
        {"path": "sp500"},
    ],
)
def test_gymnasium_checks_it_without_a_warning(settings: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(ID, **{**SMALL, **settings}).unwrapped)


def test_settings_reach_the_feed() -> None:
    env = gymnasium.make(ID, **SMALL, costs={"commission": 0.01}, window=4)
    config = env.unwrapped.feed.config
    assert config.costs.commission == 0.01
    assert config.window == 4
    assert env.unwrapped.split == "train"


def test_prices_at_hand_can_be_given() -> None:
    bars = bars_of(random_closes(400, 3))
    env = gymnasium.make(ID, bars=bars, features=("log_return_1",))
    assert env.action_space.shape == (3,)
    envs = gymnasium.make_vec(ID, num_envs=2, bars=bars, features=("log_return_1",))
    assert envs.action_space.shape == (2, 3)


def test_make_vec_makes_the_array_form() -> None:
    envs = gymnasium.make_vec(ID, num_envs=3, **SMALL, autoreset_mode="SameStep")
    assert isinstance(envs.unwrapped, FeedVectorEnv)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    synchronous = gymnasium.make_vec(ID, num_envs=3, vectorization_mode="sync", **SMALL)
    np.testing.assert_array_equal(envs.reset(seed=3)[0], synchronous.reset(seed=3)[0])


def test_what_is_built_in_is_loaded_once() -> None:
    one, other = (gymnasium.make(ID, **SMALL).unwrapped for _ in range(2))
    assert one.feed.bars is other.feed.bars
    one.reset(seed=0)
    assert other.state_dict()["state"] is None


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"epsiode_bars": 3}, "did you mean 'episode_bars'"),
        ({"rebalance_every": 0}, "rebalance_every=0"),
        ({"costs": {"comission": 1}}, "costs.comission"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(FeedError, match=rule):
        gymnasium.make(ID, path="synthetic-brownian", **settings)
