"""What processes that died left behind: lines that were not sent, and runs that still call themselves running."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from angle_domains.addresses import mask
from angle_domains.errors import ConfigError
from angle_domains.tracking.courier import ENDED, OWNER, Courier
from angle_domains.tracking.journal import Journal, journals
from angle_domains.tracking.owner import Owner
from angle_domains.tracking.store import Store, connect

_PAGE = 1_000  # runs of one request

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recovered:
    """What a sweep found: journals whose rest was sent, and runs that were closed for their dead process."""

    sent: tuple[Path, ...] = ()
    ended: tuple[str, ...] = ()


def recover(store: Store, runs: Path) -> Recovered:
    """Sends what is left in the journals under `runs` and marks the runs of dead processes as KILLED.

    Runs of living processes and of other machines are left alone. Raises what the store raises where it is away;
    nothing is lost then, the next start tries again.
    """
    client = connect(store)
    client.search_experiments(max_results=1)
    sent, ended = [], []
    for journal in _forsaken(store, runs):
        try:
            killed = close_open_run(journal)
            courier = Courier(journal, store, wait_for_parent=False)
            courier.deliver()
        except Exception as error:  # one bad journal must not keep the others; it stays for the next start
            _logger.warning("%s could not be sent: %s", journal.path, mask(str(error)))
            continue
        finally:
            journal.close()
        sent.append(journal.folder)
        if killed and courier.delivery.run_id:
            ended.append(courier.delivery.run_id)
    for run in list(_orphans(client)):  # all first: a page follows what the one before it left running
        _end(client, run)
        ended.append(run.info.run_id)
    return Recovered(tuple(sent), tuple(ended))


def _forsaken(store: Store, runs: Path) -> Iterator[Journal]:
    """Journals that go to this store, are not whole there, and are held by nobody."""
    for journal in journals(runs):
        delivery = journal.peek()
        if delivery is None or delivery.uri != store.uri or journal.arrived(delivery):
            continue
        try:
            journal.open()
        except ConfigError:
            continue  # its process lives
        yield journal


def close_open_run(journal: Journal) -> bool:
    """Writes the end that the process could not write any more; True where it was missing.

    Metrics after the end were added to a run that had ended: only another start opens it again.
    """
    entries = [line.entry for line in journal.lines() if line.entry["op"] != "torn"]
    ends = [entry["op"] for entry in entries if entry["op"] in ("start", "finish")]
    if not entries or ends[-1:] == ["finish"]:
        return False
    owner = Owner.parse(journal.load().owner)
    journal.append("finish", status="KILLED", tags={ENDED: _reason(owner)}, ended=entries[-1]["t"])
    return True


def _reason(owner: Owner | None) -> str:
    who = f"process {owner.pid} on {owner.host}" if owner else "its process"
    return f"{who} ended without closing the run; marked as KILLED at the next start"


def _orphans(client: Any) -> Iterator[Any]:
    """Runs that call themselves running although their process is gone, wherever their folder is."""
    host = Owner.current().host
    wanted = f"attributes.status = 'RUNNING' and tags.`{OWNER}` LIKE '{host}|%'"
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    token = None
    while True:
        page = client.search_runs(ids, filter_string=wanted, max_results=_PAGE, page_token=token)
        for run in page:
            owner = Owner.parse(run.data.tags[OWNER])
            if owner is not None and owner.dead():
                yield run
        token = page.token
        if not token:
            return


def _end(client: Any, run: Any) -> None:
    client.set_tag(run.info.run_id, ENDED, _reason(Owner.parse(run.data.tags[OWNER])))
    client.set_terminated(run.info.run_id, "KILLED")
    _logger.warning("the run '%s' was left open by a process that is gone: it is KILLED now", run.info.run_name)
