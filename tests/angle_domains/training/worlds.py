"""What the tests of runs share: a console that remembers, and a look into the store."""

from pathlib import Path
from typing import Any

from angle_domains.tracking import resolve_store
from angle_domains.tracking.store import connect


class Lines:
    """A console that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def start(self, total: int, label: str) -> None: ...
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
