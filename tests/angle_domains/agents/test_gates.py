"""Learning gates on known environments: three seeds each, every one must pass; run by `make gates`."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
import yaml
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from angle_domains.agents import a2c, dqn, ppo, qrdqn, rainbow
from angle_domains.config import config_root
from angle_domains.loops import begin, off_policy, on_policy
from angle_domains.replay import ReplayBuffer, experience
from angle_domains.tables import agent_spec, resolve
from angle_domains.types import Agent, Percept
from tests.contracts import worlds

EPISODES = 20  # of an evaluation

CARTPOLE = ppo.PPOConfig(
    horizon=32,
    epochs=20,
    minibatches=1,
    gamma=0.98,
    lambda_=0.8,
    learning_rate=1e-3,
    clip_end=1e-6,
    anneal_steps=100_000,
    clip_value=False,
    entropy_weight=0.0,
)
PENDULUM = ppo.PPOConfig(
    horizon=1024,
    epochs=10,
    minibatches=64,
    gamma=0.9,
    learning_rate=1e-3,
    clip_value=False,
    entropy_weight=0.0,
)


def environments(name: str, streams: int) -> SyncVectorEnv:
    return SyncVectorEnv([lambda: gym.make(name)] * streams, autoreset_mode=AutoresetMode.NEXT_STEP)


def trained(module: Any, config: Any, name: str, *, streams: int, steps: int, seed: int) -> Agent:
    envs = environments(name, streams)
    agent = module.build(config, worlds.spec_of(envs), streams=streams, seed=seed, device="cpu")
    replay = ReplayBuffer.for_agent(agent, streams, seed)
    for _ in on_policy(agent, envs, replay, begin(envs, seed), steps=steps):
        pass
    return agent


def trained_from_experience(module: Any, config: Any, name: str, *, streams: int, steps: int, seed: int) -> Agent:
    envs = environments(name, streams)
    agent = module.build(config, worlds.spec_of(envs), streams=streams, seed=seed, device="cpu")
    replay = experience(agent, streams=streams, steps=steps, stack=0, seed=seed, device="cpu")
    for _ in off_policy(agent, envs, replay, begin(envs, seed), steps=steps):
        pass
    return agent


def settings(file: str) -> Any:
    """The agent's settings in a file of `configs/`."""
    given = yaml.safe_load((config_root() / file).read_text())["agent"]
    return resolve(agent_spec(given.pop("name")).config)(**given)


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
def test_ppo_balances_the_pole(seed: int) -> None:
    agent = trained(ppo, CARTPOLE, "CartPole-v1", streams=8, steps=100_000, seed=seed)
    assert mean_return(agent, "CartPole-v1") == 500.0


@pytest.mark.gate
@pytest.mark.parametrize("seed", range(3))
def test_ppo_swings_the_pendulum_up(seed: int) -> None:
    agent = trained(ppo, PENDULUM, "Pendulum-v1", streams=4, steps=100_000, seed=seed)
    assert mean_return(agent, "Pendulum-v1") >= -250.0


@pytest.mark.gate
@pytest.mark.parametrize("seed", range(3))
def test_a2c_balances_the_pole(seed: int) -> None:
    config = a2c.A2CConfig(entropy_weight=0.0, anneal_steps=500_000)
    agent = trained(a2c, config, "CartPole-v1", streams=8, steps=500_000, seed=seed)
    assert mean_return(agent, "CartPole-v1") >= 475.0


@pytest.mark.gate
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("module", "file", "name", "steps", "threshold"),
    [
        (dqn, "classic/dqn.yaml", "CartPole-v1", 50_000, 475.0),
        (dqn, "classic/MountainCar-v0/dqn.yaml", "MountainCar-v0", 120_000, -110.0),
        (rainbow, "classic/rainbow.yaml", "CartPole-v1", 50_000, 450.0),
        (qrdqn, "classic/Acrobot-v1/qrdqn.yaml", "Acrobot-v1", 100_000, -100.0),
    ],
)
def test_agents_with_action_values(module: Any, file: str, name: str, steps: int, threshold: float, seed: int) -> None:
    """With the settings that come along, so that what `train` gives is what is tested."""
    agent = trained_from_experience(module, settings(file), name, streams=4, steps=steps, seed=seed)
    assert mean_return(agent, name) >= threshold
