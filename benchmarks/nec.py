"""Environment steps a second of neural episodic control beside DQN on images of Atari's size, in one process.

Both play eight streams of random images with the Nature network and learn 32 windows every four steps, by the loop that
trains them, so the rates hold acting, sampling and learning. The dictionaries are full to a number of entries an action
before the clock runs: 50,000 that are looked at one by one, and 500,000 behind the index, whose recall, the share of
the true neighbours that it finds, is measured where the agent asks: at embeddings of further images. Entries are
embeddings of random images, moved by a little noise, so that no two are alike. Rounds alternate, and the median round
counts. Times are of the clock: let the machine do nothing else. Prints one JSON line.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from racing import Round, ours, race

from angle_domains.agents import dqn, nec
from angle_domains.loops import off_policy
from angle_domains.memory.nearest import nearest
from angle_domains.replay import experience
from feeds.base import FeedSpec

ACTIONS, SHAPE = 6, (4, 84, 84)


@dataclass(frozen=True)
class Task:
    streams: int = 8
    exact: int = 50_000  # entries of an action
    indexed: int = 500_000
    embedding: int = 64
    episode: int = 200  # actions
    warm_up: int = 1_600
    steps: int = 160  # of a round
    rounds: int = 5


class Noise(gym.Env[np.ndarray, int]):
    """Images drawn at random; every tenth action earns 1."""

    observation_space, action_space = spaces.Box(0, 255, SHAPE, np.uint8), spaces.Discrete(ACTIONS)

    def __init__(self, episode: int) -> None:
        self.episode, self.ticks = episode, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.ticks = 0
        return self._look(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.ticks += 1
        return self._look(), float(self.ticks % 10 == 0), False, self.ticks == self.episode, {}

    def _look(self) -> np.ndarray:
        """Blocks of twelve by twelve, as bright as chance has it."""
        blocks = self.np_random.integers(256, size=(SHAPE[0], 7, 7), dtype=np.uint8)
        return blocks.repeat(12, 1).repeat(12, 2)


SPEC = FeedSpec("noise", Noise.observation_space, Noise.action_space)


def envs_of(task: Task) -> SyncVectorEnv:
    return SyncVectorEnv([lambda: Noise(task.episode)] * task.streams, autoreset_mode=AutoresetMode.NEXT_STEP)


def agent_of(module: Any, config: Any, task: Task, **settings: Any) -> Any:
    replay = {"capacity": 20_000, "warm_up": task.warm_up, "learn_every": 4, "batch": 32}
    made = config(network={"kind": "nature"}, replay=replay, epsilon=0.1, epsilon_end=0.1, **settings)
    return module.build(made, SPEC, streams=task.streams, seed=0, device="cpu")


def round_of(agent: Any, task: Task) -> Round:
    replay = experience(agent, streams=task.streams, steps=1_000_000, stack=0, seed=0, device="cpu")
    return ours(off_policy, agent, envs_of(task), replay, task.steps, first=task.warm_up)


@torch.no_grad()
def embeddings(agent: Any, count: int, chance: torch.Generator) -> torch.Tensor:
    """Of random images; beyond a thousand they are repeated with noise of a tenth of their spread."""
    blocks = torch.randint(256, (min(count, 1_000), SHAPE[0], 7, 7), generator=chance, dtype=torch.uint8)
    key = torch.cat([agent.network(few) for few in blocks.repeat_interleave(12, 2).repeat_interleave(12, 3).split(100)])
    if count <= len(key):
        return key
    chosen = key[torch.randint(len(key), (count,), generator=chance)]
    return chosen + 0.1 * key.std(0) * torch.randn(chosen.shape, generator=chance)


def fill(agent: Any, entries: int) -> None:
    chance = torch.Generator().manual_seed(0)
    for dictionary in agent.dictionaries.each:
        dictionary.write(embeddings(agent, entries, chance), torch.randn(entries, generator=chance))


def recall(agent: Any) -> float:
    """The share of the nearest entries that the dictionaries find, at embeddings of 100 images they do not hold."""
    query, shares = embeddings(agent, 100, torch.Generator().manual_seed(1)), []
    for dictionary in agent.dictionaries.each:
        found, entries = dictionary.find(query), dictionary.entries
        truth = nearest(entries.key[: entries.size], entries.norm[: entries.size], query, found.row.shape[1])
        shares.append((found.row.unsqueeze(-1) == truth.unsqueeze(1)).any(-1).float().mean())
    return float(torch.stack(shares).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in asdict(Task()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    task = Task(**vars(parser.parse_args()))
    agents = {
        "dqn": agent_of(dqn, dqn.DQNConfig, task),
        "nec": agent_of(nec, nec.NECConfig, task, embedding=task.embedding),
        "nec_indexed": agent_of(nec, nec.NECConfig, task, embedding=task.embedding, dictionary={"index": "faiss"}),
    }
    fill(agents["nec"], task.exact)
    fill(agents["nec_indexed"], task.indexed)
    rates = race({name: round_of(agent, task) for name, agent in agents.items()}, task.rounds)
    line = {
        "benchmark": "nec",
        "task": asdict(task),
        "steps_per_second": {name: round(rate, 1) for name, rate in rates.items()},
        "ratio_to_dqn": {name: round(rate / rates["dqn"], 2) for name, rate in rates.items() if name != "dqn"},
        "recall": round(recall(agents["nec_indexed"]), 3),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
