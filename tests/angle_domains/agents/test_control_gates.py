"""Learning gates of the agents with twin critics: three seeds each, every one must pass; run by `make gates`."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
import yaml
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from angle_domains.agents import sac, td3
from angle_domains.config import config_root
from angle_domains.loops import begin, off_policy
from angle_domains.replay import experience
from angle_domains.types import Agent, Percept
from tests.contracts import worlds

EPISODES = 20  # of an evaluation
KINDS: dict[str, tuple[Any, Any]] = {"sac": (sac, sac.SACConfig), "td3": (td3, td3.TD3Config)}


def environments(name: str, streams: int) -> SyncVectorEnv:
    return SyncVectorEnv([lambda: gym.make(name)] * streams, autoreset_mode=AutoresetMode.NEXT_STEP)


def trained(agent_name: str, name: str, seed: int) -> Agent:
    """By the settings and the budget of the file that comes along for the environment."""
    file = yaml.safe_load((Path(config_root()) / "classic" / name / f"{agent_name}.yaml").read_text())
    module, config = KINDS[agent_name]
    settings = config(**{key: value for key, value in file["agent"].items() if key != "name"})
    streams, steps = file["training"]["streams"], file["training"]["steps"]
    envs = environments(name, streams)
    agent = module.build(settings, worlds.spec_of(envs), streams=streams, seed=seed, device="cpu")
    replay = experience(agent, streams=streams, steps=steps, stack=0, seed=seed, device="cpu")
    for _ in off_policy(agent, envs, replay, begin(envs, seed), steps=steps):
        pass
    return agent


def mean_return(agent: Agent, name: str) -> float:
    """Of the first episode of each of `EPISODES` streams, without exploration."""
    envs = environments(name, EPISODES)
    percept = begin(envs, 10_000).percept
    total, alive = np.zeros(EPISODES), np.ones(EPISODES, dtype=bool)
    while alive.any():
        action = agent.act(percept, None, explore=False).action.numpy()
        obs, reward, terminated, truncated, _ = envs.step(action)
        total += reward * alive
        alive &= ~(terminated | truncated)
        percept = Percept(torch.as_tensor(obs), *percept[1:])
    return float(total.mean())


@pytest.mark.gate
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("agent_name", ["td3", "sac"])
def test_the_pendulum_swings_up_within_20_000_steps(agent_name: str, seed: int) -> None:
    assert mean_return(trained(agent_name, "Pendulum-v1", seed), "Pendulum-v1") >= -200.0
