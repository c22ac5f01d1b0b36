"""What tracking costs the training thread: the same PPO run with MLflow and without, in turn; one JSON line."""

import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

from angle_domains.cli.machine import settle

settle()

from angle_domains.config import AgentConfig, load_config
from angle_domains.runs import RunFolder
from angle_domains.tracking import NullTracker, Tracker, open_tracker
from angle_domains.training import AgentTrainer
from angle_domains.training.session import run_info
from angle_domains.training.signals import StopSignal

PAIRS = 5
STEPS = 300_000
BUDGET = (f"training.steps={STEPS}", f"training.evaluate_every={STEPS}", f"training.checkpoint_every={STEPS}")


class Silent:
    def start(self, total: int, label: str) -> None: ...
    def update(self, step: int, metrics: dict[str, float]) -> None: ...
    def line(self, text: str) -> None: ...
    def close(self) -> None: ...


class Timed:
    """A tracker that adds up how long its caller waits in `log`."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker, self.seconds, self.calls = tracker, 0.0, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.tracker, name)

    def log(self, metrics: dict[str, float], step: int) -> None:
        begun = time.perf_counter()
        self.tracker.log(metrics, step)
        self.seconds += time.perf_counter() - begun
        self.calls += 1


def learning_seconds(config: AgentConfig, folder: Path, tracker: Tracker) -> tuple[float, Timed]:
    """Seconds of learning, and the tracker with what it cost."""
    trainer, timed = AgentTrainer(config, RunFolder(folder), Silent()), Timed(tracker)
    trainer.train(timed, StopSignal())  # type: ignore[arg-type]
    timed.finish()  # type: ignore[operator]
    return trainer.progress.learning_seconds, timed


def main() -> None:
    config = load_config(feed="market", agent="ppo", overrides=BUDGET)
    ratios, shares = [], []
    with tempfile.TemporaryDirectory() as root:
        for pair in range(PAIRS):
            folder = Path(root) / f"tracked-{pair}"
            tracker = open_tracker(config.tracking, run_info(config, folder.name, seed=0), folder)
            tracked, timed = learning_seconds(config, folder, tracker)
            bare, _ = learning_seconds(config, Path(root) / f"bare-{pair}", NullTracker())
            ratios.append(tracked / bare)
            shares.append(timed.seconds / tracked)
    print(
        json.dumps(
            {
                "benchmark": "tracking_cost",
                "pairs": PAIRS,
                "steps": STEPS,
                "log_calls": timed.calls,
                "tracked_over_bare_seconds": [round(ratio, 3) for ratio in sorted(ratios)],
                "median_ratio": round(statistics.median(ratios), 4),
                "share_of_time_in_log_calls": round(statistics.median(shares), 5),
                "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
            }
        )
    )


if __name__ == "__main__":
    main()
