"""Carries the lines of a journal into an MLflow store, in order and each point once."""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from angle_domains.addresses import mask
from angle_domains.tracking.base import DatasetInfo, RunInfo, Scalar
from angle_domains.tracking.gate import REVISED
from angle_domains.tracking.journal import Delivery, Journal, Line
from angle_domains.tracking.policies import POLICY, LoggedPolicy, save_policy
from angle_domains.tracking.store import Store, connect, experiment_id, load_mlflow

KEY, OWNER, ENDED, ROLE = "angle.key", "angle.owner", "angle.ended", "angle.role"
KEY_PREFIX = "run-"  # of keys: ids of MLflow are 32 hexadecimal digits
_METRICS, _PAIRS = 1_000, 100  # what one request of MLflow may hold
_BYTES = 400_000  # of the journal, for one look at it
# Answers that no second try will change; everything else (connection, lock, 5xx) is tried again.
_FINAL = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE"}


class NotYet(Exception):
    """Something that must arrive first is still on its way."""


@dataclass
class _Batch:
    """Metric lines that go in one request, and the byte after them."""

    points: list[tuple[str, float, int, int]] = field(default_factory=list)  # key, value, milliseconds, step
    end: int = 0


class Courier:
    """Delivers one journal. Any exception of `deliver` means: try again later, nothing is lost or doubled."""

    def __init__(self, journal: Journal, store: Store, *, wait_for_parent: bool = True) -> None:
        self.journal, self.store, self.wait_for_parent = journal, store, wait_for_parent
        self.delivery = journal.load()
        self.refused: list[str] = []  # what the store will never take, in words
        self._client: Any = None
        self._last: dict[str, tuple[int, int]] | None = None  # newest step and time of each key in the store

    @property
    def done(self) -> bool:
        return self.delivery.sent >= self.journal.size

    def deliver(self) -> None:
        """Sends everything that the journal holds."""
        if self._client is None:
            self._client = connect(self.store)
        while not self.done:
            lines = list(self.journal.lines(self.delivery.sent, _BYTES))
            if not lines:
                return  # the last line is still being written
            for part in _parts(lines):
                self._send(part)

    def _send(self, part: _Batch | Line) -> None:
        try:
            if isinstance(part, _Batch):
                self._metrics(part)
            else:
                self._operation(part.entry)
        except load_mlflow().MlflowException as error:
            self._last = None
            if error.error_code not in _FINAL or self.delivery.run_id is None:
                raise
            self.refused.append(mask(str(error).splitlines()[0]))
        except FileNotFoundError as error:
            self.refused.append(f"an artifact is gone: {error}")
        except BaseException:
            self._last = None  # it may have arrived all the same
            raise
        operation = part.entry["op"] if isinstance(part, Line) else "metrics"
        closed = self.delivery.closed and operation != "start"  # what comes after the end does not open the run again
        policy = {"model_id": None} if operation == "policy" else {}
        self._acknowledge(sent=part.end, closed=closed or operation == "finish", **policy)

    def _acknowledge(self, **changes: Any) -> None:
        self.delivery = Delivery(**{**vars(self.delivery), **changes})
        self.journal.store(self.delivery)

    def _operation(self, entry: Mapping[str, Any]) -> None:
        match entry["op"]:
            case "start":
                self._start(RunInfo.from_dict(entry["info"]), entry["tags"], entry["t"])
            case "artifact":
                self._artifact(Path(entry["path"]), entry["folder"])
            case "policy":
                self._policy(entry)
            case "tags":
                self._tags(entry["tags"])
            case "finish":
                self._tags(entry["tags"])
                self._client.set_terminated(self._run_id, entry["status"], end_time=entry.get("ended", entry["t"]))

    @property
    def _run_id(self) -> str:
        assert self.delivery.run_id is not None
        return self.delivery.run_id

    def _start(self, info: RunInfo, tags: Mapping[str, str], started: int) -> None:
        experiment = experiment_id(self._client, self.store, info.experiment)
        run = self._find(experiment)
        if run is None:
            tags = {**tags, KEY: self.delivery.key} | self._parent(info, experiment)
            run = self._client.create_run(experiment, start_time=started, tags=_short(tags), run_name=info.name)
        else:
            self._client.update_run(run.info.run_id, status="RUNNING")
            for stale in {ENDED} & set(run.data.tags):
                self._client.delete_tag(run.info.run_id, stale)
        self._acknowledge(run_id=run.info.run_id, experiment_id=run.info.experiment_id)
        self._tags(tags)
        self._params(info.params, run.data.params)
        if info.dataset is not None:
            self._client.log_inputs(self._run_id, datasets=[_dataset(info.dataset)])

    def _find(self, experiment: str) -> Any:
        """This run where the store has it, told by its id or its key; None elsewhere."""
        if self.delivery.run_id is not None:
            try:
                return self._client.get_run(self.delivery.run_id)
            except load_mlflow().MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
        return self._by_key(experiment, self.delivery.key)

    def _by_key(self, experiment: str, key: str) -> Any:
        found = self._client.search_runs([experiment], filter_string=f"tags.`{KEY}` = '{key}'", max_results=1)
        return found[0] if found else None

    def _parent(self, info: RunInfo, experiment: str) -> dict[str, str]:
        """The tag that puts this run under its parent, whose own journal may still be on its way."""
        if info.parent is None or not info.parent.startswith(KEY_PREFIX):
            return {"mlflow.parentRunId": info.parent} if info.parent else {}
        parent = self._by_key(experiment, info.parent)
        if parent is None and self.wait_for_parent:
            raise NotYet(f"the parent run {info.parent} is not in the store yet")
        return {"mlflow.parentRunId": parent.info.run_id} if parent else {}

    def _tags(self, tags: Mapping[str, str]) -> None:
        RunTag = load_mlflow().entities.RunTag
        for part in _chunks(_short(tags).items(), _PAIRS):
            self._client.log_batch(self._run_id, tags=[RunTag(*pair) for pair in part])

    def _params(self, params: Mapping[str, Scalar], known: Mapping[str, str]) -> None:
        """Parameters of a run are written once; what a resumed run changed becomes a tag."""
        texts = {key[:250]: mask(str(value))[:6_000] for key, value in params.items()}
        Param = load_mlflow().entities.Param
        for part in _chunks([pair for pair in texts.items() if pair[0] not in known], _PAIRS):
            self._client.log_batch(self._run_id, params=[Param(*pair) for pair in part])
        changed = {f"changed.{key}": texts[key] for key in texts.keys() & known.keys() if known[key] != texts[key]}
        self._tags(changed)

    def _metrics(self, batch: _Batch) -> None:
        if self._last is None:
            self._last = self._newest()
        last, Metric = self._last, load_mlflow().entities.Metric
        fresh = [point for point in batch.points if _is_newer(point, last.get(point[0], (-1, 0)))]
        if fresh:
            self._client.log_batch(self._run_id, metrics=[Metric(*point) for point in fresh])
            last.update((key, (step, time)) for key, _, time, step in fresh)

    def _newest(self) -> dict[str, tuple[int, int]]:
        run = self._client.get_run(self._run_id)
        found = {key: self._client.get_metric_history(self._run_id, key) for key in run.data.metrics}
        return {key: max((point.step, point.timestamp) for point in points) for key, points in found.items()}

    def _artifact(self, path: Path, folder: str) -> None:
        if path.is_dir():
            self._client.log_artifacts(self._run_id, str(path), folder or None)
        else:
            self._client.log_artifact(self._run_id, str(path), folder or None)

    def _policy(self, entry: Mapping[str, Any]) -> None:
        model_id = self.delivery.model_id
        if model_id is None:
            kind = entry.get("kind", POLICY)
            model_id = self._client.create_logged_model(
                self.delivery.experiment_id, name=kind, source_run_id=self._run_id, model_type=kind
            ).model_id
            self._acknowledge(model_id=model_id)
        policy = LoggedPolicy(self._run_id, model_id, entry)
        with tempfile.TemporaryDirectory() as folder:
            save_policy(policy, Path(folder) / "model")
            self._client.log_model_artifacts(policy.model_id, str(Path(folder) / "model"))
        self._publish(policy)

    def _publish(self, policy: LoggedPolicy) -> None:
        """Marks the model as ready, joins it to its run and registers it where that was asked for."""
        client, entities = self._client, load_mlflow().entities
        client.finalize_logged_model(policy.model_id, "READY")
        client.log_outputs(self._run_id, [entities.LoggedModelOutput(policy.model_id, policy.entry["step"])])
        name = policy.entry["register"]
        if not name:
            return
        if not client.search_registered_models(filter_string=f"name = '{name}'"):
            client.create_registered_model(name)
        place = client.get_logged_model(policy.model_id).artifact_location
        versions = client.search_model_versions(f"name = '{name}'")
        if all(version.source != place for version in versions):  # a second try registers once
            client.create_model_version(name, place, run_id=self._run_id, model_id=policy.model_id)


def _is_newer(point: tuple[str, float, int, int], last: tuple[int, int]) -> bool:
    """Whether the store lacks a point; only a revised metric has several of one step, told apart by their times."""
    key, _, time, step = point
    return step > last[0] or (key in REVISED and (step, time) > last)


def _parts(lines: Iterable[Line]) -> Iterator[_Batch | Line]:
    """Metric lines gathered into requests; every other line by itself, in its place."""
    batch = _Batch()
    for line in lines:
        values = line.entry.get("values", {})
        if batch.end and (line.entry["op"] != "metrics" or len(batch.points) + len(values) > _METRICS):
            yield batch
            batch = _Batch()
        if line.entry["op"] == "metrics":
            entry = line.entry
            batch.points += [(key, value, entry["t"], entry["step"]) for key, value in values.items()]
            batch.end = line.end
        else:
            yield line
    if batch.end:
        yield batch


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part


def _short(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: mask(str(value))[:5_000] for key, value in tags.items()}


def _dataset(info: DatasetInfo) -> Any:
    """MLflow's form of a dataset input; the schema is laid out as its UI shows it."""
    entities = load_mlflow().entities
    columns = [{"name": name, "type": kind, "required": True} for name, kind in info.schema.items()]
    dataset = entities.Dataset(
        name=info.name[:500],
        digest=info.digest[:36],
        source_type="local",
        source=json.dumps({"uri": mask(info.source)}),
        schema=json.dumps({"mlflow_colspec": columns})[:60_000],
        profile=json.dumps(dict(info.profile), default=str)[:100_000],
    )
    return entities.DatasetInput(dataset, [entities.InputTag("mlflow.data.context", "training")])
