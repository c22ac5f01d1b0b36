"""Updates a second of learning from a log, on one thread: one JSON line.

Discrete CQL with batches of 256 of 47 features and 25 actions, at 128-128 and at d3rlpy's default of 256-256, each
update with its draw from the log. Where d3rlpy is importable (it is no dependency: `pip install d3rlpy` into an
environment of its own) its DiscreteCQL runs beside ours in turns. Rates are of the processor's time, which other work
on the machine disturbs less than the clock's; `--profile` prints where ours goes instead.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch loads

import argparse
import cProfile
import json
import platform
import pstats
import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from angle_domains.agents import bc, bcq, cql, iql, rcql
from angle_domains.loops import OfflineState, offline
from angle_domains.replay import recorded, recorded_sequences
from feeds.base import FeedSpec, Rows

FEATURES, ACTIONS, BATCH, EPISODE = 47, 25, 256, 9
SPEC = FeedSpec("log", spaces.Box(-np.inf, np.inf, (FEATURES,), np.float32), spaces.Discrete(ACTIONS))
Learn = Callable[[int], None]  # some updates


def log(rows: int) -> Rows:
    """Random numbers in episodes of nine actions."""
    chance = np.random.default_rng(0)
    place = np.arange(rows) % (EPISODE + 1)
    last = place == EPISODE
    return Rows(
        observation=chance.normal(size=(rows, FEATURES)).astype(np.float32),
        action=chance.integers(ACTIONS, size=rows),
        reward=last * chance.choice([0.0, 1.0], rows),
        terminated=last,
        first=place == 0,
        last=last,
        elapsed=np.where(place == 0, 0.0, 4.0),
        entity=np.arange(rows) // (EPISODE + 1),
        mask=np.ones((rows, ACTIONS), bool),
    )


def ours(module: Any, config: Any, rows: Rows) -> Learn:
    agent = module.build(config, SPEC, streams=1, seed=0, device="cpu")
    replay = (recorded_sequences if module is rcql else recorded)(rows, agent, seed=0, device="cpu")
    state = OfflineState()

    def learn(updates: int) -> None:
        for _ in offline(agent, replay, state, steps=state.step + updates):
            pass

    return learn


def theirs(hidden: int, rows: Rows) -> Learn:
    import d3rlpy

    taken = ~rows.last
    reward = np.roll(rows.reward, -1)[taken].astype(np.float32)
    ended = np.roll(rows.terminated, -1)[taken].astype(np.float32)
    data = d3rlpy.dataset.MDPDataset(rows.observation[taken], rows.action[taken], reward, ended)
    encoder = d3rlpy.models.encoders.VectorEncoderFactory([hidden, hidden])
    model = d3rlpy.algos.DiscreteCQLConfig(batch_size=BATCH, encoder_factory=encoder).create(device="cpu:0")
    model.build_with_dataset(data)

    def learn(updates: int) -> None:
        for _ in range(updates):
            model.update(data.sample_transition_batch(BATCH))

    return learn


def contestants(rows: Rows, only: str) -> dict[str, Learn]:
    """Those whose name holds `only`."""
    builders: dict[str, Callable[[], Learn]] = {}
    for hidden in (128, 256):
        network = {"hidden": (hidden, hidden), "activation": "relu"}
        builders[f"cql_{hidden}"] = partial(ours, cql, cql.CQLConfig(network=network, replay={"batch": BATCH}), rows)
        if find_spec("d3rlpy"):
            builders[f"d3rlpy_cql_{hidden}"] = partial(theirs, hidden, rows)
    builders |= {
        "bcq_256": partial(ours, bcq, bcq.BCQConfig(), rows),
        "iql_256": partial(ours, iql, iql.IQLConfig(), rows),
        "bc_256": partial(ours, bc, bc.BCConfig(), rows),
        "rcql_64_of_20_steps": partial(ours, rcql, rcql.RCQLConfig(), rows),
    }
    return {name: build() for name, build in builders.items() if only in name}


def race(forms: dict[str, Learn], rounds: int, updates: int) -> dict[str, float]:
    """Medians of updates a second of processor time; one round of each goes before and does not count."""
    rates: dict[str, list[float]] = {name: [] for name in forms}
    for number in range(rounds + 1):
        for name, learn in forms.items():
            begin = time.process_time()
            learn(updates)
            if number:
                rates[name].append(updates / (time.process_time() - begin))
    return {name: round(statistics.median(found), 1) for name, found in rates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=100)
    parser.add_argument("--only", default="", help="contestants whose name holds this")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    forms = contestants(log(given.rows), given.only)
    if given.profile:
        for name, learn in forms.items():
            learn(20)
            with cProfile.Profile() as profile:
                learn(given.updates)
            print(name)
            pstats.Stats(profile).sort_stats("tottime").print_stats(15)
        return
    rates = race(forms, given.rounds, given.updates)
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    peer = "beside" if find_spec("d3rlpy") else "not installed: left out"
    line = {"benchmark": "offline", "batch": BATCH, "features": FEATURES, "actions": ACTIONS, "d3rlpy": peer}
    print(
        json.dumps(
            line | {"updates_per_cpu_second": rates, "threads": 1, "machine": machine, "torch": torch.__version__}
        )
    )


if __name__ == "__main__":
    main()
