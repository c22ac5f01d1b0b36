"""On a real feed: N steps, saved and loaded into parts built anew, and N more equal 2N to the bit."""

from pathlib import Path
from typing import Any

import pytest

from angle_domains import checkpoint
from angle_domains.agents import a2c, ppo
from angle_domains.loops import LoopState, begin, on_policy
from angle_domains.replay import ReplayBuffer
from envs.vector import FeedVectorEnv
from feeds.market.config import MarketConfig
from feeds.market.feed import MarketFeed
from tests.contracts.trees import assert_same

STREAMS = 6
NETWORK = {"kind": "set", "hidden": (8, 8)}
SCHEDULES = {"anneal_steps": 4_000, "normalise_observation": True, "normalise_reward": True}


@pytest.fixture(scope="module")
def feed() -> MarketFeed:
    return MarketFeed(MarketConfig(path="synthetic-mean-reverting", episode_bars=17))


@pytest.mark.parametrize(
    ("module", "config"),
    [
        (ppo, ppo.PPOConfig(horizon=20, network=NETWORK, minibatches=2, **SCHEDULES)),
        (a2c, a2c.A2CConfig(horizon=20, network=NETWORK, **SCHEDULES)),
    ],
)
def test_resume_is_exact(module: Any, config: Any, feed: MarketFeed, tmp_path: Path) -> None:
    def parts(seed: int) -> tuple[Any, FeedVectorEnv, ReplayBuffer]:
        agent = module.build(config, feed.spec, streams=STREAMS, seed=seed, device="cpu")
        return agent, FeedVectorEnv(feed, STREAMS), ReplayBuffer.for_agent(agent, STREAMS, seed)

    half = 3 * 20 * STREAMS
    agent, envs, replay = parts(seed=0)
    state = begin(envs, 0)
    list(on_policy(agent, envs, replay, state, steps=half))
    names = ("agent", "envs", "replay", "loop")
    saved = {name: part.state_dict() for name, part in zip(names, (agent, envs, replay, state), strict=True)}
    checkpoint.save(tmp_path / "half", saved, {})
    straight = list(on_policy(agent, envs, replay, state, steps=2 * half))

    loaded, _ = checkpoint.load(tmp_path / "half")
    again = parts(seed=7)
    for name, part in zip(names, again, strict=False):
        part.load_state_dict(loaded[name])
    other = LoopState.from_state_dict(loaded["loop"])
    resumed = list(on_policy(*again, other, steps=2 * half))

    assert len(straight) == 3
    assert resumed == straight
    for one, same in zip((agent, envs, replay, state), (*again, other), strict=True):
        assert_same(one.state_dict(), same.state_dict())
