"""Sinusoids from ten points: how well each way to adapt does, and how many updates a second of the processor it makes.

The protocol of Finn, Abbeel and Levine (2017): y = a sin(x + p), a in [0.1, 5], p in [0, pi], x in [-5, 5]; batches
of 25 tasks, ten examples to adapt to and ten to learn from, a network of 40-40. Errors are means over 600 tasks that
training never saw, with 100 points each. Prints one JSON line.
"""

import argparse
import json
import math
import platform
import time
from typing import Any

import torch
from torch import Generator

from metalearn.meta_learner import MetaLearner
from metalearn.settings import InnerConfig
from metalearn.tasks import Examples, Tasks

WAYS = {
    "ridge": InnerConfig(inner="ridge"),
    "maml": InnerConfig(inner="maml"),
    "fomaml": InnerConfig(inner="fomaml"),
    "anil": InnerConfig(inner="anil"),
    "reptile": InnerConfig(inner="reptile", steps=10, rate=0.02, reptile_share=0.1),
    "none": InnerConfig(inner="none"),
}
STEPS = (0, 1, 5, 10)  # to adapt in
HELD_OUT = 600


def sinusoids(tasks: int, shots: int, queries: int, generator: Generator) -> Tasks:
    """Tasks of the protocol."""
    amplitude = 0.1 + 4.9 * torch.rand(tasks, 1, 1, generator=generator)
    phase = math.pi * torch.rand(tasks, 1, 1, generator=generator)
    x = 10.0 * torch.rand(tasks, shots + queries, 1, generator=generator) - 5.0
    y = amplitude * torch.sin(x + phase)
    return Tasks(Examples.whole(x[:, :shots], y[:, :shots]), Examples.whole(x[:, shots:], y[:, shots:]))


def train(config: InnerConfig, updates: int, seed: int) -> tuple[MetaLearner, float]:
    """A learner, and updates a second of the processor."""
    learner = MetaLearner(config, 1, 1, torch.Generator().manual_seed(seed))
    drawn = torch.Generator().manual_seed(seed + 1)
    start = time.process_time()
    for _ in range(updates):
        learner.learn(sinusoids(25, 10, 10, drawn))
    return learner, updates / (time.process_time() - start)


def judge(learner: MetaLearner, shots: int, steps: int) -> float:
    tasks = sinusoids(HELD_OUT, shots, 100, torch.Generator().manual_seed(10_000 + shots))
    with torch.no_grad():
        predicted = learner.predict(tasks.query.x, learner.adapt(tasks.support, steps=steps))
        return float(tasks.query.error(predicted).mean())


def measure(name: str, updates: int, seed: int) -> dict[str, Any]:
    learner, rate = train(WAYS[name], updates, seed)
    steps = (0,) if name in ("ridge", "none") else STEPS
    return {
        "updates_per_cpu_second": round(rate, 1),
        "error_10_shots": {step: round(judge(learner, 10, step), 4) for step in steps},
        "error_5_shots": {step: round(judge(learner, 5, step), 4) for step in steps},
        "error_10_shots_100_steps": round(judge(learner, 10, 100), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=5_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found = {name: [measure(name, asked.updates, seed) for seed in asked.seeds] for name in asked.ways}
    told = {"benchmark": "sinusoid", "updates": asked.updates, "seeds": asked.seeds, "torch": torch.__version__}
    print(json.dumps(told | {"machine": platform.machine(), "ways": found}))


if __name__ == "__main__":
    main()
