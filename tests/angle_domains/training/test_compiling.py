"""Compiled losses are those of the interpreter, to rounding."""

import os
import subprocess
import sys
from typing import Any

import gymnasium as gym
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from angle_domains.agents import dqn, ppo, sac, td3
from angle_domains.errors import ConfigError
from angle_domains.loops import begin, off_policy, on_policy
from angle_domains.networks import NetworkConfig
from angle_domains.replay import ReplayConfig, experience, rollout
from angle_domains.training import compiling
from tests.angle_domains.training.worlds import CHECKOUT
from tests.contracts import worlds

STEPS = 192
NETWORK = NetworkConfig(hidden=(16,))
KINDS = {
    "ppo": (ppo, ppo.PPOConfig(network=NETWORK, horizon=16, clip_end=0.01, anneal_steps=STEPS), rollout, on_policy),
    "dqn": (
        dqn,
        dqn.DQNConfig(network=NETWORK, double=True, learning_rate=1e-2, replay=ReplayConfig(warm_up=64, batch=8)),
        experience,
        off_policy,
    ),
}


def trained(kind: str, *, compiled: bool) -> list[torch.Tensor]:
    """The weights after training."""
    module, config, replay, loop = KINDS[kind]
    envs = SyncVectorEnv([lambda: gym.make("CartPole-v1")] * 2, autoreset_mode=AutoresetMode.NEXT_STEP)
    agent = module.build(config, worlds.spec_of(envs), streams=2, seed=0, device="cpu")
    before = agent.loss
    if compiled:
        compiling.compile_losses(agent)
        assert agent.loss != before
    rows = replay(agent, streams=2, steps=STEPS, stack=0, seed=0, device="cpu")
    for _ in loop(agent, envs, rows, begin(envs, 0), steps=STEPS):
        pass
    return agent.core.parameters


@pytest.mark.gate
def test_compiling_changes_nothing_but_the_last_digits() -> None:
    """In a process without the checks of shapes that tests have, which cannot be compiled."""
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, __file__], env=environment, check=True, timeout=300)


class Wrapped(torch.nn.Module):
    """Stands for what `torch.compile` makes of a network: its weights have other names."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *given: Any) -> Any:
        return self.inner(*given)


@pytest.mark.parametrize("module", [sac, td3])
def test_a_compiled_agent_saves_what_a_plain_one_loads(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", Wrapped)
    envs = SyncVectorEnv([lambda: gym.make("Pendulum-v1")], autoreset_mode=AutoresetMode.NEXT_STEP)
    config = (sac.SACConfig if module is sac else td3.TD3Config)(network=NETWORK)
    plain, compiled = (
        module.build(config, worlds.spec_of(envs), streams=1, seed=seed, device="cpu") for seed in (0, 1)
    )
    compiling.compile_losses(compiled)
    assert "target" in vars(compiled), "it was compiled"
    plain.load_state_dict(compiled.state_dict())


def test_where_nothing_compiles_the_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(function: object) -> object:
        raise RuntimeError("\nno working C++ compiler")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(ConfigError, match=r"training\.compile .* set it to false: no working C\+\+ compiler"):
        compiling.compile_losses(object())


if __name__ == "__main__":
    for each in KINDS:
        for mine, plain in zip(trained(each, compiled=True), trained(each, compiled=False), strict=True):
            torch.testing.assert_close(mine, plain, atol=1e-4, rtol=1e-3)
