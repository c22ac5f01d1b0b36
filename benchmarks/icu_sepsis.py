"""Steps a second of the ICU-Sepsis feed on one core, random actions: one JSON line.

`feed` is the feed alone, `environment` the vector environment over it, with its resets. Seconds are those of the
processor, the best turn of each; they take turns in one process.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when NumPy loads

import argparse
import json
import platform
import time
from collections.abc import Iterator

import numpy as np

from envs.vector import FeedVectorEnv
from feeds.clinical.process import IcuSepsisFeed

_STEPS = 50  # of a turn


def actions(streams: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 25, (8, streams))


def feed_alone(streams: int) -> Iterator[None]:
    """Episodes that are over are begun anew as soon as half of them are."""
    feed, given, begun = IcuSepsisFeed(), actions(streams), 0
    while True:
        state, step = feed.reset(np.arange(streams) + begun)
        begun += streams
        while step.terminated.mean() < 0.5:
            state, step = feed.step(state, given[begun % 8])
            yield


def environment(streams: int) -> Iterator[None]:
    envs, given = FeedVectorEnv(IcuSepsisFeed(), streams), actions(streams)
    envs.reset(seed=0)
    while True:
        for action in given:
            envs.step(action)
            yield


def race(forms: dict[str, Iterator[None]], turns: int) -> dict[str, float]:
    """Seconds of a vector step, the best turn of each form."""
    best = dict.fromkeys(forms, float("inf"))
    for _ in range(turns):
        for name, form in forms.items():
            begin = time.process_time()
            for _ in range(_STEPS):
                next(form)
            best[name] = min(best[name], (time.process_time() - begin) / _STEPS)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--streams", type=int, default=4096)
    given = parser.parse_args()
    seconds = race({"feed": feed_alone(given.streams), "environment": environment(given.streams)}, given.turns)
    result = {
        "benchmark": "icu_sepsis",
        "streams": given.streams,
        "observation": 47,
        "steps_per_second": round(given.streams / seconds["feed"]),
        "environment_steps_per_second": round(given.streams / seconds["environment"]),
        "threads": 1,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "numpy": np.__version__,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
