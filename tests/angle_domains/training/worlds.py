"""What the tests of runs share: a console that remembers, a process, a look into the store."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from angle_domains.config import AgentConfig
from angle_domains.runs import RunFolder
from angle_domains.tracking import resolve_store
from angle_domains.tracking.store import connect

CHECKOUT = Path(__file__).parents[3]


def start(config: AgentConfig, root: Path, *words: str) -> subprocess.Popen[str]:
    """`angle-domains train` in its own process."""
    file = root / "config.yaml"
    file.write_text(yaml.safe_dump(config.to_dict()))
    command = [sys.executable, "-m", "angle_domains", "train", *(words or ("--config", str(file)))]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


class Lines:
    """A console that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def start(self, total: int, label: str) -> None:
        self.told.append(label)

    def update(self, step: int, metrics: dict[str, float]) -> None: ...
    def line(self, text: str) -> None:
        self.told.append(text)

    def close(self) -> None: ...


def the_run(root: Path, name: str = "one") -> Any:
    """The MLflow run of that name in the local store; there is one."""
    client = connect(resolve_store(None, root))
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    [found] = client.search_runs(ids, f"attributes.run_name = '{name}'")
    return found


def weights(run: RunFolder) -> dict[str, bytes]:
    state, _, _ = run.load_last()
    return {name: tensor.numpy().tobytes() for name, tensor in state["agent"]["core"]["model"].items()}


def points(root: Path, name: str = "one") -> dict[str, list[tuple[int, float]]]:
    """Every point (step, value) of a run in the local store, by key; those of the clock are left out."""
    run, client = the_run(root, name), connect(resolve_store(None, root))
    keys = [key for key in run.data.metrics if not key.startswith("time/")]
    found = {key: client.get_metric_history(run.info.run_id, key) for key in keys}
    return {key: sorted((point.step, point.value) for point in history) for key, history in found.items()}
