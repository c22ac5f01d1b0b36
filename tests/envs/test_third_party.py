"""Agents that know nothing of us."""

import gymnasium
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from envs.registration import register_envs

ID = "angle_domains/Market-v0"


@pytest.mark.slow
def test_the_ppo_of_stable_baselines_trains_unchanged() -> None:
    register_envs()
    env = gymnasium.make(ID, path="synthetic-brownian", episode_bars=50)
    model = PPO("MlpPolicy", env, n_steps=128, batch_size=64, n_epochs=2, seed=0, device="cpu")
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(512)
    moved = [bool((old != new).any()) for old, new in zip(before, model.policy.parameters(), strict=True)]
    assert all(moved)
    assert model.num_timesteps == 512
    action, _ = model.predict(env.reset(seed=1)[0], deterministic=True)
    assert env.action_space.contains(action)
    assert np.isfinite(env.step(action)[1])


def test_its_vector_form_carries_episodes_over() -> None:
    register_envs()
    envs = DummyVecEnv([lambda: gymnasium.make(ID, path="synthetic-brownian", episode_bars=5) for _ in range(3)])
    envs.seed(1)
    envs.reset()
    for step in range(12):
        observation, _, done, infos = envs.step(np.full((3, 5), 0.2, np.float32))
        assert done.all() == (step % 5 == 4)
        assert all(("TimeLimit.truncated" in info and info["TimeLimit.truncated"]) for info in infos) == done.all()
    assert observation.shape == (3, envs.observation_space.shape[0])
