"""Runs in processes that may be killed at any moment, and that begin within a blink: what they import is loaded once."""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL

from angle_domains.config import AgentConfig
from angle_domains.errors import ConfigError
from angle_domains.runs import RunFolder
from angle_domains.training import train
from tests.angle_domains.training.worlds import Lines

LOADED = (
    *("angle_domains.training", "angle_domains.agents.dqn", "angle_domains.evaluation.market", "feeds.market.feed"),
    *("feeds.classic.feed", "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.artifact.local_artifact_repo"),
)


def go_on(config: AgentConfig, root: Path) -> None:
    """Begins the run, or goes on with it; one that has finished is left as it is."""
    run = RunFolder(root / str(config.name))
    begun = run.config.exists()
    with suppress(*([ConfigError] if begun and run.note().get("status") == "FINISHED" else [])):
        train(config, console=Lines(), root=root, resume=run.name if begun else None)


forks = multiprocessing.get_context("forkserver")


def warm_up() -> None:
    """Starts the process that forks the others, and loads what they need."""
    forks.set_forkserver_preload(list(LOADED))
    process = forks.Process(target=go_nowhere)
    process.start()
    process.join()


def go_nowhere() -> None: ...


def killed_at(moments: Iterator[float], config: AgentConfig, root: Path, look: Callable[[], None]) -> int:
    """Starts the run again and again and kills it so many seconds after each start, until it has ended by itself.

    Gives how often it was killed; `look` is called after each time.
    """
    kills = 0
    while True:
        process = forks.Process(target=go_on, args=(config, root))
        process.start()
        process.join(next(moments, None))
        process.kill()
        process.join()
        look()
        if process.exitcode != -SIGKILL:
            assert process.exitcode == 0
            return kills
        kills += 1
