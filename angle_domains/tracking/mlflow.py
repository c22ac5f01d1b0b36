"""The tracker that keeps runs in MLflow."""

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from angle_domains.addresses import mask
from angle_domains.errors import ConfigError
from angle_domains.tracking.base import RunInfo, Status, check_name
from angle_domains.tracking.courier import KEY_PREFIX, OWNER, ROLE, Courier
from angle_domains.tracking.gate import MetricGate
from angle_domains.tracking.journal import Delivery, Journal, journals
from angle_domains.tracking.links import compare_link, experiment_link, run_link, ui_base
from angle_domains.tracking.origin import provenance
from angle_domains.tracking.owner import Owner
from angle_domains.tracking.policies import model_entry, policy_entry
from angle_domains.tracking.recover import close_open_run, recover
from angle_domains.tracking.store import Store, load_mlflow, resolve_store
from angle_domains.tracking.writer import INTERVAL, PATIENCE, Writer

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from angle_domains.tracking.policies import Signatures
    from feeds.base import FeedSpec

_BESIDE = 3  # other runs in the comparison that a run links to
_SWEEP = 10.0  # seconds that a run to be reopened waits for a process that sends its rest
_CONTACT = 3.0  # seconds that links wait for a store that has not answered yet

_logger = logging.getLogger(__name__)


class MlflowTracker:
    """One run in an MLflow store. Every call writes a line to the journal of the run's folder and returns; the
    writer's thread sends the lines.

    `runs` is the folder that is searched for what dead processes left behind.
    """

    def __init__(
        self,
        store: Store,
        folder: Path,
        *,
        runs: Path | None = None,
        register: str | None = None,
        interval: float = INTERVAL,
    ) -> None:
        self.store, self.register, self.interval = store, register, interval
        self.journal = Journal(folder)
        self.runs = (runs or folder.parent).absolute()
        self.gate = MetricGate()
        self.writer: Writer | None = None
        self._finished = self._reopened = False

    @property
    def run_id(self) -> str | None:
        return self.writer.courier.delivery.run_id if self.writer else None

    @property
    def reference(self) -> str | None:
        return self.writer.courier.delivery.key if self.writer else None

    @property
    def problem(self) -> str:
        """Why the store does not take the lines; empty while it does."""
        return self.writer.problem if self.writer else ""

    def start(self, info: RunInfo) -> None:
        """Begins or resumes the run; ConfigError for a name that cannot be, or a folder that holds another run."""
        check_name(info.name, "a run")
        check_name(info.experiment, "an experiment")
        if self.journal.exists and not info.resume:
            raise ConfigError(f"{self.journal.folder} holds a run already: resume it or choose another name")
        load_mlflow()
        self._check_only()
        self.journal.open()
        self.gate = MetricGate(info.steps)
        self.gate.restore((key, step) for step, _, values in self.journal.points() for key in values)
        self.journal.store(self._delivery(info))
        self.journal.append("start", info=_open(info).to_dict(), tags=_tags(info))
        self._write()

    def reopen(self) -> None:
        """As the protocol says; ConfigError where another process has the run, or its state is damaged."""
        load_mlflow()
        self._check_only()
        self._take()
        close_open_run(self.journal)  # where its process died: it is none that goes on
        self.journal.store(replace(self.journal.load(), owner=str(Owner.current())))
        self.gate.restore((key, step) for step, _, values in self.journal.points() for key in values)
        self._reopened = True
        self._write()

    def _check_only(self) -> None:
        """ConfigError where this folder was copied from one that is still there: both would write into one run."""
        own = self.journal.peek() if self.journal.exists else None
        for other in journals(self.runs) if own else ():
            known = other.peek()
            if own and known and known.key == own.key and other.folder.resolve() != self.journal.folder.resolve():
                raise ConfigError(
                    f"{self.journal.folder} and {other.folder} are one run to MLflow, a copy of the other: remove "
                    "tracking.json and tracking.jsonl from the copy, and it is tracked as a run of its own"
                )

    def _take(self) -> None:
        """The journal; a start of another process may be sending it, which takes a moment."""
        until = time.monotonic() + _SWEEP
        while True:
            try:
                return self.journal.open()
            except ConfigError:
                if time.monotonic() > until:
                    raise
            time.sleep(0.2)

    def _write(self) -> None:
        courier = Courier(self.journal, self.store)
        self.writer = Writer(courier, lambda: recover(self.store, self.runs), interval=self.interval)
        self.writer.start()

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        kept = self.gate.admit(metrics, step)
        if kept:
            self.journal.append("metrics", step=step, values=kept)

    def tag(self, tags: Mapping[str, str]) -> None:
        if tags:
            self.journal.append("tags", tags={key: mask(value) for key, value in tags.items()})

    def log_histograms(self, make: "Callable[[], Mapping[str, Tensor]]", step: int) -> None: ...

    def log_picture(self, key: str, make: "Callable[[], np.ndarray]", step: int) -> None: ...

    def artifact(self, path: Path, folder: str = "") -> None:
        self.journal.append("artifact", path=str(path.absolute()), folder=folder)

    def log_policy(self, checkpoint: Path, spec: "FeedSpec", step: int, beside: "Signatures | None" = None) -> None:
        self.journal.append("policy", **policy_entry(checkpoint, spec, step, self.register))
        for kind, (inputs, outputs) in (beside or {}).items():
            self.journal.append("policy", **model_entry(kind, checkpoint, inputs, outputs, step))

    def links(self) -> dict[str, str]:
        base = ui_base(self.store.uri)
        found = {"ui": _ui_command(self.store)}
        if self.writer and not self.problem:
            self.writer.wait_for_contact(_CONTACT)
        if self.writer and (delivery := self.writer.courier.delivery).run_id and delivery.experiment_id:
            found["run"] = run_link(base, delivery.experiment_id, delivery.run_id)
            found["experiment"] = experiment_link(base, delivery.experiment_id)
            found["compare"] = compare_link(base, [delivery.run_id, *self._others(delivery)], [delivery.experiment_id])
        return found

    def _others(self, own: Delivery) -> list[str]:
        """The newest other runs of the experiment that have a folder here; the store is not asked."""
        known = [delivery for journal in reversed(journals(self.runs)) if (delivery := journal.peek())]
        place = (own.uri, own.experiment_id)
        same = [other for other in known if (other.uri, other.experiment_id) == place and not other.parent]
        return [other.run_id for other in same if other.run_id and other.run_id != own.run_id][:_BESIDE]

    def finish(self, status: Status = "FINISHED", *, patience: float | None = None) -> None:
        """As the protocol says; `patience` in seconds holds for a slow store, one that is away is given up sooner."""
        if self.writer is None or self._finished:
            return
        self._finished = True
        for step, values in self.gate.leftover().items():
            self.journal.append("metrics", step=step, values=values)
        if not self._reopened:
            dropped = {f"dropped.{reason}": str(count) for reason, count in self.gate.dropped.items()}
            self.journal.append("finish", status=status, tags=dropped)
        if not self.writer.close(PATIENCE[status] if patience is None else patience):
            why = self.problem or "the store is slow"
            _logger.warning(
                "not all of the run has reached %s (%s): the rest is kept in %s and is sent at the next start",
                self.store.shown,
                why,
                self.journal.path,
            )
        for sentence in self.writer.courier.refused:
            _logger.warning("%s refused a part of the run: %s", self.store.shown, sentence)

    def _delivery(self, info: RunInfo) -> Delivery:
        """Where the lines go: as before where the run goes on in the same store, else from the first line on."""
        owner = str(Owner.current())
        if not self.journal.exists:
            key = KEY_PREFIX + uuid.uuid4().hex
            return Delivery(key, self.store.uri, info.experiment, owner, parent=info.seed is None, run_id=info.run_id)
        known = replace(self.journal.load(), owner=owner, closed=False)
        if known.uri == self.store.uri:
            return known
        return Delivery(known.key, self.store.uri, info.experiment, owner, parent=known.parent)


def _open(info: RunInfo) -> RunInfo:
    """What everybody may read: the journal is kept beside the run."""
    params = {key: mask(value) if isinstance(value, str) else value for key, value in info.params.items()}
    tags = {key: mask(value) for key, value in info.tags.items()}
    dataset = replace(info.dataset, source=mask(info.dataset.source)) if info.dataset else None
    return replace(info, params=params, tags=tags, dataset=dataset)


def _tags(info: RunInfo) -> dict[str, str]:
    own = {"feed": info.feed, "agent": info.agent, OWNER: str(Owner.current())}
    role = {ROLE: "parent"} if info.seed is None else {ROLE: "run", "seed": str(info.seed)}
    return {**provenance(), **own, **role, **_open(info).tags}


def _ui_command(store: Store) -> str:
    """What opens the UI on this store, typed in the current folder."""
    return "angle-domains ui" if store == resolve_store() else f"angle-domains ui --tracking-uri {store.shown}"
