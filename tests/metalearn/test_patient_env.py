"""Practice on a model of patients by gymnasium's own names."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from envs.registration import register_envs
from feeds.errors import FeedError

ID = "angle_domains/Clinical-v0"
SMALL: dict[str, Any] = {
    "path": "synth-vaso",
    "patients": 60,
    "actions": {"codec": "binary", "columns": ("action_vaso",)},
    "model": {"members": 2, "updates": 20, "hidden": (16,)},
}


@pytest.fixture(autouse=True)
def registered() -> None:
    register_envs()


def test_gymnasium_finds_no_fault() -> None:
    check_env(gymnasium.make(ID, disable_env_checker=True, **SMALL).unwrapped)


def test_streams_equal_single_environments() -> None:
    envs, env = gymnasium.make_vec(ID, num_envs=3, **SMALL), gymnasium.make(ID, **SMALL)
    seen, _ = envs.reset(seed=5)
    alone, _ = env.reset(seed=6)
    np.testing.assert_array_equal(seen[1], alone)
    over, steps = False, 0
    while not over:
        seen, reward, *_ = envs.step(np.array([0, 1, 0]))
        alone, earned, terminated, truncated, _ = env.step(1)
        np.testing.assert_array_equal(seen[1], alone)
        assert reward[1] == pytest.approx(earned, abs=1e-12)
        over, steps = terminated or truncated, steps + 1
    assert steps >= 1


def test_a_setting_that_is_unknown_is_named_with_the_nearest() -> None:
    with pytest.raises(FeedError, match="does not take pathh=.*did you mean 'path'"):
        gymnasium.make(ID, pathh="synth-vaso")
    with pytest.raises(FeedError, match="does not take memberss=.*did you mean 'members'"):
        gymnasium.make(ID, path="synth-vaso", model={"memberss": 2})
