"""How many runs an experiment has tried, for the deflated Sharpe ratio."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from angle_domains.addresses import mask
from angle_domains.tracking.courier import ROLE
from angle_domains.tracking.journal import journals, read_points
from angle_domains.tracking.store import Store, connect

METRIC = "test/sharpe"  # annualised

_logger = logging.getLogger(__name__)


def trial_sharpes(
    store: Store, experiment: str, *, besides: str | None = None, runs: Path | None = None
) -> tuple[float, ...]:
    """Annualised Sharpe ratios of the runs of an experiment whose test part was opened, whatever became of them.

    Parents of several seeds are not counted again, nor is the run with the id `besides`. Where the store is away the
    runs below the folder `runs` are counted, and a warning says so.
    """
    try:
        client = connect(store)
        found = client.get_experiment_by_name(experiment)
        return () if found is None else tuple(_stored(client, found.experiment_id, besides))
    except Exception as error:  # an evaluation must not fail because a server is away
        _logger.warning(
            "the trials of '%s' cannot be counted at %s (%s): those of this machine are",
            experiment,
            store.shown,
            mask(str(error).splitlines()[0])[:200],
        )
        return tuple(_local(store, experiment, besides, runs)) if runs else ()


def _stored(client: Any, experiment_id: str, besides: str | None) -> Iterator[float]:
    token = None
    while True:
        page = client.search_runs([experiment_id], max_results=1_000, page_token=token)
        for run in page:
            parent = run.data.tags.get(ROLE) == "parent"
            if METRIC in run.data.metrics and not parent and run.info.run_id != besides:
                yield run.data.metrics[METRIC]
        token = page.token
        if not token:
            return


def _local(store: Store, experiment: str, besides: str | None, runs: Path) -> Iterator[float]:
    for journal in journals(runs):
        delivery = journal.peek()
        if delivery is None:
            continue
        known = read_points(journal.folder).get(METRIC)
        same = (delivery.uri, delivery.experiment) == (store.uri, experiment)
        if known and same and not delivery.parent and (besides is None or delivery.run_id != besides):
            yield known[max(known)]
