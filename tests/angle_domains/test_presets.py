"""Every file that came along fits the feed and the agent it names: the agent is made, and decides.

Every agent that can play a game has one for each feed of games.
"""

from typing import Any

import numpy as np
import pytest
import torch

from angle_domains.advised import make_agent
from angle_domains.config import find_config, known_configs, load_config
from angle_domains.policy import first_percept
from angle_domains.tables import AGENTS, make_feed

SMALL: dict[str, dict[str, Any]] = {  # what would be long in coming, or another environment than an agent's can be
    "atari": {"env": "Pong"},
    "classic": {"env": "CartPole-v1"},
    "classic/td3": {"env": "Pendulum-v1"},
    "clinical": {"options": {"feed.path": "synth-vaso", "feed.patients": 60}},
    "clinical/vaso_rl": {"options": {"feed.patients": 60}},
    "dqn_default": {"env": "BreakoutNoFrameskip-v4"},
    "glucose": {"env": "adult#001"},
    "retro": {"env": "Airstriker-Genesis-v0"},
}

GAMES = {"atari": "Pong", "minatar": "MinAtar/Breakout-v1", "retro": "Airstriker-Genesis-v0"}
PLAYERS = [name for name, spec in AGENTS.items() if "Discrete" in spec.actions and not spec.offline]


@pytest.mark.parametrize("name", known_configs())
def test_a_file_that_came_along_makes_an_agent_that_decides(name: str) -> None:
    more = dict(SMALL.get(name, SMALL.get(name.split("/")[0], {})))
    if name.count("/") == 2:
        more["env"] = name.split("/")[1]
    if name.startswith("glucose"):
        pytest.importorskip("simglucose")
    config = load_config(file=find_config(name), **more)
    feed = make_feed(config.feed_name, config.feed)
    agent = make_agent(config, feed.spec, "cpu")
    space = feed.spec.observation_space
    obs = torch.from_numpy(np.stack([np.clip(np.zeros(space.shape, space.dtype), space.low, space.high)] * 2))
    decision = agent.act(first_percept(obs, feed.spec), None, explore=False)
    assert all(feed.spec.action_space.contains(action) for action in decision.action.numpy())


@pytest.mark.parametrize("agent", [name for name, spec in AGENTS.items() if spec.offline])
def test_an_agent_that_learns_from_a_log_has_one_for_patients(agent: str) -> None:
    """Else it would learn from as many steps as a game takes, and discount survival."""
    config = load_config(feed="clinical", agent=agent)
    assert config.training.steps <= 20_000
    assert config.training.evaluate_every == config.training.steps
    assert getattr(config.agent, "gamma", 1.0) == 1.0


@pytest.mark.parametrize("agent", PLAYERS)
@pytest.mark.parametrize("feed", GAMES)
def test_an_agent_of_choices_is_made_for_every_feed_of_games(feed: str, agent: str) -> None:
    config = load_config(feed=feed, agent=agent, env=GAMES[feed])
    make_agent(config, make_feed(feed, config.feed).spec, "cpu")
    assert config.agent.network.images
