"""How many runs an experiment has tried, for the deflated Sharpe ratio."""

from dataclasses import dataclass
from statistics import stdev
from typing import Any

from angle_domains.tracking.courier import ROLE
from angle_domains.tracking.store import Store, connect

METRIC = "test/sharpe"  # annualised


@dataclass(frozen=True)
class TrialStatistics:
    """The runs of an experiment whose test part was opened; parents of several seeds are not counted again."""

    count: int
    sharpes: tuple[float, ...]  # annualised

    @property
    def std(self) -> float:
        """Their spread; NaN where fewer than two are known."""
        return stdev(self.sharpes) if len(self.sharpes) > 1 else float("nan")


def trial_statistics(store: Store, experiment: str) -> TrialStatistics:
    """Counts the runs of an experiment that looked at the test part, whatever became of them; zero for a new one.

    Raises what MLflow raises where the store is away.
    """
    client = connect(store)
    found = client.get_experiment_by_name(experiment)
    sharpes = [] if found is None else list(_sharpes(client, found.experiment_id))
    return TrialStatistics(len(sharpes), tuple(sharpes))


def _sharpes(client: Any, experiment_id: str) -> Any:
    token = None
    while True:
        page = client.search_runs([experiment_id], max_results=1_000, page_token=token)
        for run in page:
            if METRIC in run.data.metrics and run.data.tags.get(ROLE) != "parent":
                yield run.data.metrics[METRIC]
        token = page.token
        if not token:
            return
