"""Resident memory of a PPO run over time: one JSON line. `python benchmarks/memory.py --minutes 60`"""

import argparse
import json
import os
import platform
import tempfile
import time
from itertools import count
from pathlib import Path

from angle_domains.cli.machine import settle

settle()

import numpy as np

from angle_domains.config import load_config
from angle_domains.loops import begin, on_policy
from angle_domains.runs import RunFolder
from angle_domains.training import AgentTrainer

WARM_UP = 60.0  # seconds until buffers, caches and allocators have their size


class Silent:
    def start(self, total: int, label: str) -> None: ...
    def update(self, step: int, metrics: dict[str, float]) -> None: ...
    def line(self, text: str) -> None: ...
    def close(self) -> None: ...


def resident() -> float:
    """Megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    minutes = parser.parse_args().minutes
    config = load_config(feed="market", agent="ppo")
    with tempfile.TemporaryDirectory() as folder:
        trainer = AgentTrainer(config, RunFolder(Path(folder) / "run"), Silent())
        state = begin(trainer.envs, 0)
        trainer.loop_state = state
        loop = on_policy(trainer.agent, trainer.envs, trainer.replay, state, steps=10**15)
        begun, seconds, megabytes = time.monotonic(), [], []
        for update in count():
            next(loop)
            if update % 50 == 49:
                trainer._evaluate(state.step)  # judges and saves, as a run does
            elapsed = time.monotonic() - begun
            seconds.append(elapsed)
            megabytes.append(resident())
            if elapsed > minutes * 60:
                break
    warm = np.array(seconds) > WARM_UP
    slope = np.polyfit(np.array(seconds)[warm] / 60, np.array(megabytes)[warm], 1)[0]
    print(
        json.dumps(
            {
                "benchmark": "memory",
                "minutes": round(seconds[-1] / 60, 1),
                "steps": state.step,
                "megabytes_after_warm_up": round(float(np.array(megabytes)[warm][0]), 1),
                "megabytes_at_the_end": round(megabytes[-1], 1),
                "megabytes_per_minute": round(float(slope), 3),
                "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
            }
        )
    )


if __name__ == "__main__":
    main()
