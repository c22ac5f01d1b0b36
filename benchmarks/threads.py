"""Which networks learn faster on one thread than on all: PPO updates at the sizes of our configurations.

Prints one JSON line: for each size the updates a second on one thread and on all. The two take turns, so that a busy
machine is busy for both. What it says is written down as `training.threads` in the configurations: a number that
follows from the file, since another number of threads gives other last bits.
"""

import argparse
import json
import time

import numpy as np
import torch
from gymnasium import spaces

from angle_domains.actor_critic import Samples
from angle_domains.agents import ppo
from feeds.base import FeedSpec

VECTOR, IMAGE = (
    spaces.Box(-1.0, 1.0, (8,), np.float32),
    spaces.Box(0, 255, (4, 84, 84), np.uint8),
)
SMALL = spaces.Box(0, 1, (6, 10, 10), np.uint8)
SIZES = {  # observations, network, samples of a minibatch, minibatches that are timed together
    "mlp 64-64, 64": (VECTOR, {}, 64, 64),
    "mlp 64-64, 256": (VECTOR, {}, 256, 64),
    "mlp 64-64, 4096": (VECTOR, {}, 4096, 16),
    "mlp 256-256, 256": (VECTOR, {"hidden": (256, 256)}, 256, 32),
    "minatar, 256": (SMALL, {"kind": "minatar"}, 256, 16),
    "nature, 256": (IMAGE, {"kind": "nature"}, 256, 1),
}


def updates_per_second(
    space: spaces.Box, network: dict[str, object], batch: int, updates: int, turns: int
) -> list[int]:
    """On one thread and on all."""
    config = ppo.PPOConfig(network=network, epochs=1, minibatches=updates)  # type: ignore[arg-type]
    agent = ppo.build(config, FeedSpec("sizes", space, spaces.Discrete(4)), streams=8, seed=0, device="cpu")
    rows = batch * updates
    obs = torch.randint(0, 2, (rows, *space.shape)).to(torch.uint8 if network.get("kind") else torch.float32)
    samples = Samples(obs, torch.zeros(rows, dtype=torch.long), torch.randn(rows, 4) * 0.1, None)
    counts = (1, torch.get_num_threads())
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(turns + 1):
        for threads, taken in zip(counts, seconds, strict=True):
            torch.set_num_threads(threads)
            begun = time.perf_counter()
            agent._passes(samples, torch.arange(rows), 0.1)
            if turn:  # the first is not timed
                taken.append(time.perf_counter() - begun)
    return [round(updates / float(np.median(taken))) for taken in seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    asked = parser.parse_args()
    threads = torch.get_num_threads()
    found = {name: updates_per_second(*size, turns=asked.turns) for name, size in SIZES.items()}
    print(json.dumps({"benchmark": "threads", "torch": torch.__version__, "threads": threads, "one_and_all": found}))


if __name__ == "__main__":
    main()
