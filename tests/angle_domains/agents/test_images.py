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


class Gallery(worlds.Picture):
    """Three actions long, the same picture all along: what is remembered counts from the second on."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        self.ticks = 0
        return super().reset(seed=seed, options=options)

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict]:
        self.ticks += 1
        seen, reward, _, _, info = super().step(action)
        return seen, reward, self.ticks == 3, False, info


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


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize(
    ("network", "shared", "size"),
    [
        ({"kind": "nature", "shared": True}, True, 36),
        ({"kind": "nature", "shared": False}, False, 36),
        ({"kind": "nature", "shared": True, "recurrent": 8}, True, 36),
        ({"kind": "minatar", "shared": False}, False, 10),
        ({"kind": "minatar", "shared": True, "recurrent": 8}, True, 10),
    ],
)
def test_every_network_of_images_learns_a_window_and_resumes_to_the_bit(
    name: str, network: dict[str, Any], shared: bool, size: int
) -> None:
    module, config = AGENTS[name]
    network = {**network, "hidden": (16,), "precision": "float32"}
    config = type(config)(**config.model_dump() | {"network": network, "horizon": 4, "entropy_weight": 0.01})

    def parts(seed: int) -> tuple[Any, ReplayBuffer]:
        agent = module.build(config, worlds.spec_of(envs), streams=3, seed=seed, device="cpu")
        return agent, ReplayBuffer.for_agent(agent, 3, seed)

    envs = worlds.vector(lambda: Gallery(size), 3)
    (agent, replay), state = parts(0), begin(envs, 0)
    assert (agent.core.model.value_torso is None) == shared
    assert (agent.core.model.recurrence is not None) == ("recurrent" in network)
    before = [parameter.detach().clone() for parameter in agent.core.parameters]
    list(on_policy(agent, envs, replay, state, steps=4 * 3))
    assert agent.updates == 1
    for old, new in zip(before, agent.core.parameters, strict=True):
        assert new.isfinite().all()
        assert not torch.equal(old, new)
    saved = copy.deepcopy((agent.state_dict(), replay.state_dict(), state.state_dict(), envs))
    straight = list(on_policy(agent, envs, replay, state, steps=3 * 4 * 3))
    again, other = parts(9)
    again.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    resumed = list(on_policy(again, saved[3], other, LoopState.from_state_dict(saved[2]), steps=3 * 4 * 3))
    assert straight
    assert resumed == straight
    assert_same(agent.state_dict(), again.state_dict())


def test_moments_of_images_are_refused() -> None:
    with pytest.raises(ConfigError, match="normalise_observation"):
        make("ppo", normalise_observation=True)
