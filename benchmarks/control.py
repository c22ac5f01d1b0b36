"""Environment steps a second on classic control: ours against stable-baselines3's, in one process, at equal settings.

TD3 and SAC on Pendulum-v1, one update for each step; PPO on CartPole-v1 as rl-baselines3-zoo tuned it. All train by
their own loops, so the rates hold acting, stepping and sampling too. Ours and stable-baselines3's run in one thread;
PPO of stable-baselines3 runs once more with as many as torch takes by itself, which is what its users get, and ours
once more with compiled losses. Rounds of the contestants alternate, and the median round counts: let the machine do
nothing else. Prints one JSON line.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from angle_domains.cli.machine import settle

settle()

import gymnasium as gym
import stable_baselines3
import torch
from racing import Round, ours, result, theirs
from stable_baselines3.common.env_util import make_vec_env

from angle_domains.agents import ppo, sac, td3
from angle_domains.loops import off_policy, on_policy
from angle_domains.replay import ReplayBuffer, experience
from angle_domains.training.compiling import compile_losses
from feeds.classic.config import ClassicConfig
from feeds.classic.feed import ClassicFeed

SWING, POLE = "Pendulum-v1", "CartPole-v1"


@dataclass(frozen=True)
class Task:
    hidden: int = 256  # of both layers of every network of TD3 and SAC
    batch: int = 256
    warm_up: int = 512
    steps: int = 256  # of TD3 and SAC in a round
    streams: int = 8  # of PPO
    horizon: int = 32
    epochs: int = 20
    windows: int = 8  # of PPO in a round
    rounds: int = 5


def our_critics(module: Any, config: Any, task: Task) -> Round:
    feed = ClassicFeed(ClassicConfig(env=SWING))
    settings = config(
        network={"hidden": (task.hidden, task.hidden), "activation": "relu"},
        start_random=task.warm_up,
        replay={"capacity": 100_000, "warm_up": task.warm_up, "learn_every": 1, "batch": task.batch},
    )
    agent = module.build(settings, feed.spec, streams=1, seed=0, device="cpu")
    replay = experience(agent, streams=1, steps=10_000_000, stack=0, seed=0, device="cpu")
    return ours(off_policy, agent, feed.envs(1, split="train"), replay, task.steps, first=task.warm_up)


def their_critics(kind: Any, task: Task) -> Round:
    model = kind(
        "MlpPolicy",
        gym.make(SWING),
        learning_rate=3e-4,
        buffer_size=100_000,
        learning_starts=task.warm_up,
        batch_size=task.batch,
        train_freq=1,
        gradient_steps=1,
        policy_kwargs={"net_arch": [task.hidden, task.hidden]},
        seed=0,
        device="cpu",
    )
    return theirs(model, task.steps, first=task.warm_up)


def our_ppo(task: Task, *, compiled: bool = False) -> Round:
    feed = ClassicFeed(ClassicConfig(env=POLE))
    settings = ppo.PPOConfig(
        horizon=task.horizon,
        epochs=task.epochs,
        minibatches=1,
        gamma=0.98,
        lambda_=0.8,
        learning_rate=1e-3,
        clip_value=False,
        entropy_weight=0.0,
        value_weight=1.0,  # of half the square
    )
    agent = ppo.build(settings, feed.spec, streams=task.streams, seed=0, device="cpu")
    if compiled:
        compile_losses(agent)
    replay = ReplayBuffer.for_agent(agent, task.streams, seed=0)
    envs = feed.envs(task.streams, split="train")
    return ours(on_policy, agent, envs, replay, task.windows * task.streams * task.horizon)


def their_ppo(task: Task) -> Round:
    rows = task.streams * task.horizon
    given = {"n_steps": task.horizon, "batch_size": rows, "n_epochs": task.epochs, "gae_lambda": 0.8, "gamma": 0.98}
    model = stable_baselines3.PPO(
        "MlpPolicy",
        make_vec_env(POLE, task.streams),
        learning_rate=1e-3,
        ent_coef=0.0,
        seed=0,
        device="cpu",
        **given,
    )
    return theirs(model, task.windows * rows)


def with_threads(threads: int, train: Round) -> Round:
    def trained() -> float:
        torch.set_num_threads(threads)
        rate = train()
        torch.set_num_threads(1)
        return rate

    return trained


def races(task: Task, threads: int) -> Iterator[tuple[str, dict[str, Round]]]:
    """Contestants by agent."""
    yield "td3", {"ours": our_critics(td3, td3.TD3Config, task), "sb3": their_critics(stable_baselines3.TD3, task)}
    yield "sac", {"ours": our_critics(sac, sac.SACConfig, task), "sb3": their_critics(stable_baselines3.SAC, task)}
    yield (
        "ppo",
        {
            "ours": our_ppo(task),
            "ours_compiled": our_ppo(task, compiled=True),
            "sb3": their_ppo(task),
            f"sb3_{threads}_threads": with_threads(threads, their_ppo(task)),
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in asdict(Task()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    task = Task(**vars(parser.parse_args()))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    line = {"benchmark": "control", "task": asdict(task), **result(races(task, threads), task.rounds)}
    print(json.dumps(line))


if __name__ == "__main__":
    main()
