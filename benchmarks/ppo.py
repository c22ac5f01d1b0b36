"""Environment steps a second of PPO on the market: ours against stable-baselines3's, in one call, at equal settings.

Three runs: ours; stable-baselines3 as its users run it, over `DummyVecEnv` of `angle_domains/Market-v0`; and
stable-baselines3 over a thin adapter of our vector environment, so that the difference left is that of the learners.
Prints one JSON line. The first window of each run is not timed.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3
import torch
from stable_baselines3 import PPO as PeerPPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from angle_domains.agents import ppo
from angle_domains.loops import begin, on_policy
from angle_domains.replay import ReplayBuffer
from envs.vector import FeedVectorEnv
from feeds.market.config import MarketConfig
from feeds.market.feed import MarketFeed


@dataclass(frozen=True)
class Task:
    streams: int = 1024
    horizon: int = 32
    epochs: int = 4
    minibatches: int = 8
    windows: int = 6  # timed
    peer_windows: int = 2  # timed, of the slow form over DummyVecEnv

    @property
    def rows(self) -> int:
        return self.streams * self.horizon


class Adapter(VecEnv):
    """Our vector environment as stable-baselines3 wants one: streams reset in the step that ended them."""

    def __init__(self, envs: FeedVectorEnv) -> None:
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)
        self.envs, self.render_mode = envs, None
        self.actions: np.ndarray = np.zeros(0)

    def reset(self) -> np.ndarray:
        return self.envs.reset(seed=0)[0]

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        obs, reward, terminated, truncated, info = self.envs.step(self.actions)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for stream in np.flatnonzero(terminated | truncated):
            infos[stream] = {
                "terminal_observation": info["final_obs"][stream],
                "TimeLimit.truncated": bool(truncated[stream]),
            }
        return obs, reward.astype(np.float32), terminated | truncated, infos

    def close(self) -> None:
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.envs, attr_name)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self.envs, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **settings: Any) -> list[Any]:
        return [getattr(self.envs, method_name)(*args, **settings)] * self.num_envs

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: Any = None
    ) -> list[bool]:
        return [False] * self.num_envs


class Clock(BaseCallback):
    """Notes the time at which each rollout begins."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def _on_rollout_start(self) -> None:
        self.times.append(time.perf_counter())

    def _on_step(self) -> bool:
        return True


def ours(task: Task, feed: MarketFeed) -> list[float]:
    """Seconds of each window after the first."""
    envs = FeedVectorEnv(feed, task.streams)
    config = ppo.PPOConfig(
        horizon=task.horizon,
        epochs=task.epochs,
        minibatches=task.minibatches,
        head="gaussian",
        learning_rate=3e-4,
        value_weight=1.0,  # of half the square
    )
    agent = ppo.build(config, feed.spec, streams=task.streams, seed=0, device="cpu")
    replay, state = ReplayBuffer.for_agent(agent, task.streams, seed=0), begin(envs, 0)
    times = [time.perf_counter() for _ in on_policy(agent, envs, replay, state, steps=task.rows * (task.windows + 1))]
    return np.diff(times).tolist()


def peer(task: Task, envs: VecEnv, windows: int) -> list[float]:
    """Seconds of each window after the first, by stable-baselines3."""
    model = PeerPPO(
        "MlpPolicy",
        envs,
        learning_rate=3e-4,
        n_steps=task.horizon,
        batch_size=task.rows // task.minibatches,
        n_epochs=task.epochs,
        clip_range_vf=0.2,
        ent_coef=0.01,
        policy_kwargs={"net_arch": {"pi": [64, 64], "vf": [64, 64]}},
        seed=0,
        device="cpu",
    )
    clock = Clock()
    model.learn(task.rows * (windows + 1), callback=clock)
    return np.diff([*clock.times, time.perf_counter()]).tolist()[1:]


def peer_over_dummy(task: Task) -> list[float]:
    def make() -> Any:
        return gymnasium.make("angle_domains/Market-v0", disable_env_checker=True)

    return peer(task, DummyVecEnv([make] * task.streams), task.peer_windows)


def peer_over_ours(task: Task, feed: MarketFeed) -> list[float]:
    return peer(task, Adapter(FeedVectorEnv(feed, task.streams, autoreset_mode="SameStep")), task.windows)


def rate(task: Task, seconds: Sequence[float]) -> int:
    """Steps a second of the median window."""
    return round(task.rows / float(np.median(seconds)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in asdict(Task()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    parser.add_argument("--threads", type=int, default=2)
    arguments = vars(parser.parse_args())
    torch.set_num_threads(arguments.pop("threads"))
    task, feed = Task(**arguments), MarketFeed(MarketConfig())
    rates = {
        "ours": rate(task, ours(task, feed)),
        "sb3_over_our_vector_env": rate(task, peer_over_ours(task, feed)),
        "sb3_over_dummy_vec_env": rate(task, peer_over_dummy(task)),
    }
    line = {
        "benchmark": "ppo",
        "task": asdict(task),
        "observation": feed.spec.observation_space.shape,
        "steps_per_second": rates,
        "ratio_to_sb3": round(rates["ours"] / rates["sb3_over_dummy_vec_env"], 2),
        "ratio_to_sb3_over_our_vector_env": round(rates["ours"] / rates["sb3_over_our_vector_env"], 2),
        "versions": {"torch": torch.__version__, "stable_baselines3": stable_baselines3.__version__},
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
