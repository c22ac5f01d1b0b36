"""Practice on a model of patients by gymnasium's own names."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from angle_domains.loops import advance, begin
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


STEPWISE: dict[str, Any] = SMALL | {
    "actions": {"codec": "stepwise", "persist": ("action_vaso",), "max_step": 0.1},
    "model": SMALL["model"] | {"support": 0.0},
}


def test_doses_in_force_rule_what_is_allowed_and_are_seen_as_they_are() -> None:
    """With no support asked for, what remains of the mask is the codec's: it is walked along beside the model."""
    envs = gymnasium.make_vec(ID, num_envs=8, **STEPWISE)
    dosing = envs.feed.dosing  # type: ignore[attr-defined]
    codec, chance = dosing.codec, np.random.default_rng(0)
    obs, info = envs.reset(seed=0)
    doses, over = np.zeros((8, 2)), np.zeros(8, bool)
    barred = False
    for _ in range(12):
        np.testing.assert_array_equal(info["action_mask"][~over], codec.mask(doses)[~over])
        np.testing.assert_array_equal(obs[~over][:, dosing.place], codec.show(doses)[~over])
        barred |= bool((~info["action_mask"]).any())
        action = np.array([chance.choice(np.flatnonzero(row)) for row in info["action_mask"]])
        doses = np.where(over[:, None], 0.0, codec.decode(action, doses))
        obs, _, terminated, truncated, info = envs.step(action)
        over = terminated | truncated
    assert barred


def test_support_and_codec_both_forbid() -> None:
    """A drug that stays on once it is on: from then on off is no choice, however often it was taken."""
    on = SMALL | {"actions": {"codec": "binary", "columns": ("action_vaso",), "persist": ("action_vaso",)}}
    env = gymnasium.make(ID, **on)
    _, info = env.reset(seed=3)
    assert info["action_mask"][1] or info["action_mask"][0]
    for _ in range(3):
        seen, _, terminated, _, info = env.step(1)
        if terminated:
            break
        assert info["action_mask"].tolist() == [False, True]
        assert seen[env.unwrapped.feed.dosing.place].tolist() == [1.0]  # type: ignore[attr-defined]


def test_time_that_passes_reaches_the_agent() -> None:
    """As hours, the exponent of gamma: 0 where an episode begins."""
    envs = gymnasium.make_vec(ID, num_envs=4, **SMALL)
    state = begin(envs, 0)
    assert state.percept.elapsed is not None
    assert state.percept.elapsed.tolist() == [0.0] * 4
    for _ in range(60):
        before = state.percept.last
        advance(envs, state, torch.ones(4, dtype=torch.int64), None)
        assert state.percept.elapsed is not None
        assert state.percept.elapsed.tolist() == torch.where(before, 0.0, 1.0).tolist()


def test_a_setting_that_is_unknown_is_named_with_the_nearest() -> None:
    with pytest.raises(FeedError, match="does not take pathh=.*did you mean 'path'"):
        gymnasium.make(ID, pathh="synth-vaso")
    with pytest.raises(FeedError, match="does not take memberss=.*did you mean 'members'"):
        gymnasium.make(ID, path="synth-vaso", model={"memberss": 2})
