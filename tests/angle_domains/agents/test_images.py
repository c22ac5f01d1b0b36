"""PPO and A2C on images: bytes up to the torso, resumed to the bit, and better than chance."""

import copy
from typing import Any

import pytest
import torch

from angle_domains.agents import a2c, ppo
from angle_domains.errors import ConfigError
from angle_domains.loops import LoopState, begin, on_policy
from angle_domains.replay import ReplayBuffer
from tests.contracts import worlds
from tests.contracts.trees import assert_same

STREAMS = 8
NETWORK = {"kind": "minatar", "hidden": (32,), "precision": "float32"}
AGENTS = {
    "ppo": (ppo, ppo.PPOConfig(horizon=16, minibatches=2, learning_rate=1e-3, network=NETWORK, entropy_weight=0.0)),
    "a2c": (a2c, a2c.A2CConfig(horizon=8, learning_rate=1e-2, network=NETWORK)),
}


@pytest.fixture(params=AGENTS)
def built(request: pytest.FixtureRequest) -> tuple[Any, Any, ReplayBuffer]:
    return make(request.param)


def make(name: str, seed: int = 0, **changes: Any) -> tuple[Any, Any, ReplayBuffer]:
    module, config = AGENTS[name]
    envs = worlds.vector(worlds.Picture, STREAMS)
    config = type(config)(**config.model_dump() | changes)
    agent = module.build(config, worlds.spec_of(envs), streams=STREAMS, seed=seed, device="cpu")
    return agent, envs, ReplayBuffer.for_agent(agent, STREAMS, seed)


def test_the_side_of_the_picture_is_learned(built: Any) -> None:
    agent, envs, replay = built
    reports = list(on_policy(agent, envs, replay, begin(envs, 0), steps=6_000))
    returns = [report.metrics["episode/return"] for report in reports]
    assert sum(returns[-5:]) / 5 > 0.5  # chance earns 0


def test_images_stay_bytes_in_windows_and_minibatches(built: Any) -> None:
    agent, envs, replay = built
    list(on_policy(agent, envs, replay, begin(envs, 0), steps=agent.horizon * STREAMS))
    seen = agent.core.see(torch.zeros(2, 3, 2, 12, 12, dtype=torch.uint8), axes=2)
    assert (seen.dtype, seen.shape) == (torch.uint8, (2, 3, 2, 12, 12))
    assert replay.size == 0  # learned
    assert replay._columns["percept/obs"].dtype == torch.uint8


def test_stored_values_are_those_the_network_gives(built: Any) -> None:
    agent, envs, replay = built
    state = begin(envs, 0)
    for _ in range(3):
        decision = agent.act(state.percept, None, explore=True)
        replay.insert(state.percept, decision)
    window = replay.newest(3, state.percept)
    with torch.no_grad():
        anew = agent.core.model.value(window.obs)
    torch.testing.assert_close(agent.core._values(window, window.obs), anew, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", AGENTS)
def test_resume_is_exact(name: str) -> None:
    agent, envs, replay = make(name)
    half, state = 4 * agent.horizon * STREAMS, begin(envs, 0)
    list(on_policy(agent, envs, replay, state, steps=half))
    saved = copy.deepcopy((agent.state_dict(), replay.state_dict(), state.state_dict(), envs))
    straight = list(on_policy(agent, envs, replay, state, steps=2 * half))
    again, _, other = make(name, seed=9)
    again.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    resumed = list(on_policy(again, saved[3], other, LoopState.from_state_dict(saved[2]), steps=2 * half))
    assert resumed == straight
    assert_same(agent.state_dict(), again.state_dict())


def test_moments_of_images_are_refused() -> None:
    with pytest.raises(ConfigError, match="normalise_observation"):
        make("ppo", normalise_observation=True)
