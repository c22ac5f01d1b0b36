"""Environment steps a second on Pong: PPO, A2C and DQN, ours against stable-baselines3's, in one call.

Hyperparameters are equal, those of rl-baselines3-zoo: the same network, batches, epochs and updates for each step. Each
side plays by its own environments: ours by the emulator's vector form, stable-baselines3 by `make_atari_env` and
`VecFrameStack` over `DummyVecEnv`, as its users do. Its DQN runs twice: on one environment, as the zoo has it, and on
eight as ours does. Rounds of the contestants of one agent alternate and the median round counts. Prints one JSON line.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from angle_domains.cli.machine import settle

settle()

import ale_py
import gymnasium as gym
import stable_baselines3
import torch
from racing import Round, ours, result, theirs
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.vec_env import VecFrameStack

from angle_domains.agents import a2c, dqn, ppo
from angle_domains.loops import off_policy, on_policy
from angle_domains.networks import NetworkConfig
from angle_domains.replay import ReplayBuffer, experience
from feeds.atari.config import AtariConfig
from feeds.atari.feed import AtariFeed

GAME = "PongNoFrameskip-v4"
NETWORK = NetworkConfig(kind="nature")


@dataclass(frozen=True)
class Task:
    streams: int = 8  # of PPO and DQN
    a2c_streams: int = 16
    warm_up: int = 2_048  # steps of DQN before its updates
    capacity: int = 50_000  # rows of DQN's replay
    windows: int = 2  # of PPO in a round
    updates: int = 50  # of A2C in a round
    steps: int = 2_048  # of DQN in a round
    rounds: int = 4


def ours_on_policy(module: Any, config: Any, streams: int, steps: int) -> Round:
    feed = AtariFeed(AtariConfig(env=GAME))
    envs = feed.envs(streams, split="train")
    agent = module.build(config, feed.spec, streams=streams, seed=0, device="cpu")
    return ours(on_policy, agent, envs, ReplayBuffer.for_agent(agent, streams, seed=0), steps)


def ours_dqn(task: Task) -> Round:
    feed = AtariFeed(AtariConfig(env=GAME))
    envs = feed.envs(task.streams, split="train")
    settings = dqn.DQNConfig(
        network=NETWORK,
        learning_rate=1e-4,
        loss="huber",
        target_every=1_000,
        epsilon_end=0.01,
        epsilon_steps=100_000,
        replay={"capacity": task.capacity, "warm_up": task.warm_up, "learn_every": 4, "batch": 32},  # type: ignore[arg-type]
    )
    agent = dqn.build(settings, feed.spec, streams=task.streams, seed=0, device="cpu")
    replay = experience(agent, streams=task.streams, steps=1_000_000, stack=feed.spec.stack, seed=0, device="cpu")
    return ours(off_policy, agent, envs, replay, task.steps, first=task.warm_up)


def peer(kind: Any, streams: int, steps: int, *, first: int = 0, **settings: Any) -> Round:
    """stable-baselines3's; `first` are steps before the first round."""
    envs = VecFrameStack(make_atari_env(GAME, n_envs=streams, seed=0), n_stack=4)
    model = kind("CnnPolicy", envs, seed=0, device="cpu", **settings)
    return theirs(model, steps, first=first)


def races(task: Task) -> Iterator[tuple[str, dict[str, Round]]]:
    """Contestants by agent."""
    rows = task.streams * 128
    shape = {"horizon": 128, "minibatches": rows // 256}
    # errors of values weigh as theirs do: our weight is of half the square
    proximal = ppo.PPOConfig(network=NETWORK, clip=0.1, clip_value=False, value_weight=1.0, **shape)
    given = {"n_steps": 128, "batch_size": 256, "n_epochs": 4, "clip_range": 0.1, "ent_coef": 0.01}
    steps = task.windows * rows
    yield (
        "ppo",
        {
            "ours": ours_on_policy(ppo, proximal, task.streams, steps),
            "sb3": peer(stable_baselines3.PPO, task.streams, steps, learning_rate=2.5e-4, **given),
        },
    )
    steps = task.updates * 5 * task.a2c_streams
    advantage = a2c.A2CConfig(network=NETWORK, value_weight=0.5)
    yield (
        "a2c",
        {
            "ours": ours_on_policy(a2c, advantage, task.a2c_streams, steps),
            "sb3": peer(stable_baselines3.A2C, task.a2c_streams, steps, vf_coef=0.25, ent_coef=0.01),
        },
    )
    replay = {"buffer_size": task.capacity, "learning_starts": task.warm_up, "batch_size": 32}
    settings = replay | {"target_update_interval": 1_000, "exploration_final_eps": 0.01, "first": task.warm_up}
    yield (
        "dqn",
        {
            "ours": ours_dqn(task),
            "sb3": peer(stable_baselines3.DQN, 1, task.steps, train_freq=4, gradient_steps=1, **settings),
            f"sb3_{task.streams}_envs": peer(
                stable_baselines3.DQN,
                task.streams,
                task.steps,
                train_freq=1,
                gradient_steps=task.streams // 4,
                **settings,
            ),
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in asdict(Task()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    parser.add_argument("--threads", type=int, default=0, help="0: as torch chooses")
    arguments = vars(parser.parse_args())
    torch.set_num_threads(arguments.pop("threads") or torch.get_num_threads())
    task = Task(**arguments)
    gym.register_envs(ale_py)
    line = {"benchmark": "atari", "task": asdict(task), **result(races(task), task.rounds)}
    print(json.dumps(line))


if __name__ == "__main__":
    main()
