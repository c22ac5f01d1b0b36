"""Updates a second of TD3 and SAC on Pendulum-v1: ours against stable-baselines3's, in one process, at equal settings.

Both train by their own loops, one environment step and one update in turn, so the rates hold acting, stepping and
sampling too. Everything runs in one thread, and seconds are those of the processor: what else the machine does counts
little. Rounds of the contestants alternate, and the median round counts. Prints one JSON line.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import stable_baselines3
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from angle_domains.agents import sac, td3
from angle_domains.loops import begin, off_policy
from angle_domains.replay import experience
from feeds.base import FeedSpec

ENVIRONMENT = "Pendulum-v1"


@dataclass(frozen=True)
class Task:
    hidden: int = 256  # of both layers of every network
    batch: int = 256
    warm_up: int = 512
    updates: int = 256  # of a round
    rounds: int = 5


def ours(module: Any, config: Any, task: Task) -> Callable[[], float]:
    """Each call trains one round and gives its seconds."""
    envs = SyncVectorEnv([lambda: gym.make(ENVIRONMENT)], autoreset_mode=AutoresetMode.NEXT_STEP)
    settings = config(
        network={"hidden": (task.hidden, task.hidden), "activation": "relu"},
        start_random=task.warm_up,
        replay={"capacity": 100_000, "warm_up": task.warm_up, "learn_every": 1, "batch": task.batch},
    )
    spec = FeedSpec("classic", envs.single_observation_space, envs.single_action_space)
    agent = module.build(settings, spec, streams=1, seed=0, device="cpu")
    replay = experience(agent, streams=1, steps=10_000_000, stack=0, seed=0, device="cpu")
    state = begin(envs, 0)

    def train(steps: int) -> None:
        for _ in off_policy(agent, envs, replay, state, steps=state.step + steps):
            pass

    train(task.warm_up)
    return lambda: timed(lambda: train(task.updates))


def peer(kind: Any, task: Task) -> Callable[[], float]:
    """Each call trains one round of stable-baselines3's and gives its seconds."""
    model = kind(
        "MlpPolicy",
        gym.make(ENVIRONMENT),
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
    model.learn(task.warm_up)
    return lambda: timed(lambda: model.learn(task.updates, reset_num_timesteps=False))


def timed(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def contestants(task: Task) -> Iterator[tuple[str, Callable[[], float]]]:
    yield "td3", ours(td3, td3.TD3Config, task)
    yield "sb3_td3", peer(stable_baselines3.TD3, task)
    yield "sac", ours(sac, sac.SACConfig, task)
    yield "sb3_sac", peer(stable_baselines3.SAC, task)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in asdict(Task()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    torch.set_num_threads(1)
    task = Task(**vars(parser.parse_args()))
    racing = dict(contestants(task))
    for train in racing.values():  # not timed: what is compiled and allocated at first
        train()
    seconds: dict[str, list[float]] = {name: [] for name in racing}
    for _ in range(task.rounds):
        for name, train in racing.items():
            seconds[name].append(train())
    rates = {name: round(task.updates / float(np.median(times))) for name, times in seconds.items()}
    line = {
        "benchmark": "control",
        "task": asdict(task),
        "updates_per_processor_second": rates,
        "ratio_to_sb3": {name: round(rates[name] / rates[f"sb3_{name}"], 2) for name in ("td3", "sac")},
        "versions": {"torch": torch.__version__, "stable_baselines3": stable_baselines3.__version__},
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
