"""Which runs of an experiment have looked at the test part, and how often, for the deflated Sharpe ratio."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from angle_domains.addresses import mask
from angle_domains.tracking.courier import KEY, ROLE
from angle_domains.tracking.journal import journals, read_points
from angle_domains.tracking.store import Store, connect

METRIC = "test/sharpe"  # annualised
OPENINGS = "test/openings"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """A run whose test part was opened."""

    run: str  # its key, or the store's id where somebody else logged it
    sharpe: float  # annualised
    openings: int  # of the test part; 1 where the run does not tell


def find_trials(store: Store, experiment: str, *, runs: Path | None = None) -> tuple[Trial, ...]:
    """The runs of an experiment whose test part was opened, whatever became of them; parents of several seeds are none.

    Where the store is away the runs below the folder `runs` are found, and a warning says so.
    """
    try:
        client = connect(store)
        found = client.get_experiment_by_name(experiment)
        return () if found is None else tuple(_stored(client, found.experiment_id))
    except Exception as error:  # an evaluation must not fail because a server is away
        _logger.warning(
            "the trials of '%s' cannot be counted at %s (%s): those of this machine are",
            experiment,
            store.shown,
            mask(str(error).splitlines()[0])[:200],
        )
        return tuple(_local(store, experiment, runs)) if runs else ()


def _stored(client: Any, experiment_id: str) -> Iterator[Trial]:
    token = None
    while True:
        page = client.search_runs([experiment_id], max_results=1_000, page_token=token)
        for run in page:
            metrics, tags = run.data.metrics, run.data.tags
            if METRIC in metrics and tags.get(ROLE) != "parent":
                yield Trial(tags.get(KEY, run.info.run_id), metrics[METRIC], max(int(metrics.get(OPENINGS, 1)), 1))
        token = page.token
        if not token:
            return


def _local(store: Store, experiment: str, runs: Path) -> Iterator[Trial]:
    for journal in journals(runs):
        delivery = journal.peek()
        if delivery is None:
            continue
        points = read_points(journal.folder)
        sharpes, openings = points.get(METRIC), points.get(OPENINGS, {0: 1.0})
        same = (delivery.uri, delivery.experiment) == (store.uri, experiment)
        if sharpes and same and not delivery.parent:
            yield Trial(delivery.key, sharpes[max(sharpes)], int(openings[max(openings)]))
