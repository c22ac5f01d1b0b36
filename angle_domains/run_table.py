"""Runs as rows: what was tracked of them, found by name, id, age or filter."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

from angle_domains.errors import ConfigError, nearest
from angle_domains.tables import AGENTS
from angle_domains.tracking.courier import ROLE
from angle_domains.tracking.journal import Journal
from angle_domains.tracking.links import compare_link, ui_base
from angle_domains.tracking.store import Store, load_mlflow
from angle_domains.tracking.trials import OPENINGS

CURVES = ("validation/score", "episode/return")  # what is drawn over environment steps
FACTS = ("feed", "data", "agent", "seeds", "trained", "status")  # of a row, before its metrics
PARENT = "mlflow.parentRunId"
SPEED = "time/steps_per_second"
PARTS = ("test/", "validation/")  # groups of metrics, the more telling first
VALUE = "wis"  # of the metrics of recorded patients: the one that stands for a policy's value
NOT_ESTIMABLE = "not estimable"
NOTE = "[low, high]: 95 % interval, of one run over resampled time or episodes, of several seeds over the seeds"


@dataclass(frozen=True)
class Row:
    """One run, or the parent of several seeds."""

    name: str
    run_id: str
    experiment_id: str
    feed: str
    agent: str
    status: str
    seeds: int  # how many runs it stands for
    metrics: dict[str, float]  # newest values; of the speed the mean
    params: dict[str, str]
    curves: Mapping[str, tuple[tuple[int, float], ...]] = field(default_factory=dict)  # of `CURVES`, with bounds

    @property
    def data(self) -> str:
        """What it was judged on: measures of other data stand beside each other, but do not compare."""
        return self.params.get("feed.path") or self.params.get("env", "–")

    @property
    def unit(self) -> str:
        """What a step of training is: who learns from records alone takes none in an environment."""
        known = self.agent in AGENTS and AGENTS[self.agent].offline
        return "updates" if known or self.params.get("training.source") == "records" else "environment steps"

    @property
    def trained(self) -> str:
        steps = self.params.get("training.steps", "")
        return f"{int(steps):,} {self.unit}" if steps.isdigit() else "–"

    def refuses(self, key: str) -> bool:
        """Whether a value was asked for by that metric and could not be given."""
        group = key.rpartition("/")[0]
        return key == f"{group}/{VALUE}" and key not in self.metrics and self.metrics.get(f"{group}/refused") == 1.0

    def curve(self, key: str) -> tuple[tuple[int, float], ...]:
        """(environment step, value) of a learning curve; empty where it has none."""
        return self.curves.get(key, ())

    def interval(self, key: str) -> tuple[float, float] | None:
        """Low and high of a metric, None where it has none."""
        low, high = self.metrics.get(f"{key}_low"), self.metrics.get(f"{key}_high")
        return None if low is None or high is None else (low, high)

    def cell(self, key: str) -> str:
        """The metric as text, with its interval; one of no width is none, as where all episodes returned the same."""
        value, interval = self.metrics.get(key), self.interval(key)
        if value is None:
            return NOT_ESTIMABLE if self.refuses(key) else "–"
        return number(value) + (
            f" [{number(interval[0])}, {number(interval[1])}]" if interval and interval[0] < interval[1] else ""
        )


@dataclass(frozen=True)
class RunTable:
    """The runs of a comparison, in the order they were named (or newest first)."""

    store: Store
    rows: tuple[Row, ...]

    @property
    def keys(self) -> list[str]:
        """The metrics that any of the runs has: test, validation, episodes, the rest, speed; bounds are in cells."""
        found = {key for row in self.rows for key in row.metrics}
        found |= {key for row in self.rows for part in PARTS if row.refuses(key := f"{part}{VALUE}")}
        bounds = {f"{key}{end}" for key in found for end in ("_low", "_high")}
        rank = {group: index for index, group in enumerate((*PARTS, "episode/"))}
        return sorted(found - bounds, key=lambda key: (key == SPEED, rank.get(key.split("/")[0] + "/", 9), key))

    @property
    def part(self) -> str:
        """The metrics by which the runs were judged in the end: of validation where the test part is closed for all."""
        return PARTS[not any(key.startswith(PARTS[0]) and key != OPENINGS for key in self.keys)]

    @property
    def link(self) -> str:
        """MLflow's comparison of these runs."""
        experiments = list(dict.fromkeys(row.experiment_id for row in self.rows))
        return compare_link(ui_base(self.store.uri), [row.run_id for row in self.rows], experiments)

    @property
    def differing(self) -> list[str]:
        """Parameters in which the runs differ."""
        keys = sorted({key for row in self.rows for key in row.params})
        return [key for key in keys if len({row.params.get(key) for row in self.rows}) > 1]


@dataclass(frozen=True)
class Wanted:
    """Runs that are not named."""

    last: int | None = None
    filter: str | None = None
    experiment: str | None = None


def find_rows(client: Any, names: Sequence[str], wanted: Wanted, root: Path) -> list[Row]:
    """The named runs, or those that are wanted, newest first; ConfigError where there are none."""
    if names and (wanted.last or wanted.filter or wanted.experiment):
        raise ConfigError("name the runs, or ask for the last ones, by a filter or of an experiment: not both")
    if names:
        return [_row(client, _named(client, name, root)) for name in dict.fromkeys(names)]
    limit = wanted.last or (None if wanted.filter else 3)
    rows = [_row(client, run) for run in islice(_newest(client, wanted), limit)]
    if not rows:
        raise ConfigError(f"no run matches {wanted.filter}" if wanted.filter else "no run has been tracked yet")
    return rows


def _named(client: Any, name: str, root: Path) -> Any:
    """The run of that id, folder or name; of several with one name the newest."""
    for folder in (Path(name), root / name):
        delivery = Journal(folder).peek() if Journal(folder).exists else None
        if delivery is not None and delivery.run_id:
            name = delivery.run_id
            break
    if len(name) == 32 and all(letter in "0123456789abcdef" for letter in name):
        try:
            return client.get_run(name)
        except load_mlflow().MlflowException as error:
            raise ConfigError(f"no run has the id {name}: {str(error).splitlines()[0]}") from error
    quoted = name.replace("'", "\\'")
    found = _search(client, f"attributes.run_name = '{quoted}'", None)
    run = next(found, None)
    if run is None:
        known = {run.info.run_name for run in islice(_search(client, "", None), 1_000)}
        raise ConfigError(f"no run is called '{name}': {nearest(name, known)}")
    return run


def _newest(client: Any, wanted: Wanted) -> Iterator[Any]:
    """Runs that stand for themselves: children are told by their parents."""
    for run in _search(client, wanted.filter or "", wanted.experiment):
        if PARENT not in run.data.tags:
            yield run


def _search(client: Any, query: str, experiment: str | None) -> Iterator[Any]:
    """Runs of an experiment, or of all, newest first."""
    known = {found.name: found.experiment_id for found in client.search_experiments()}
    if experiment is not None and experiment not in known:
        raise ConfigError(f"no experiment is called '{experiment}': {nearest(experiment, known)}")
    ids = [known[experiment]] if experiment is not None else list(known.values())
    token = None
    while True:
        try:
            page = client.search_runs(ids, query, order_by=["attributes.start_time DESC"], page_token=token)
        except load_mlflow().MlflowException as error:
            raise ConfigError(f"the filter {query!r} cannot be used: {str(error).splitlines()[0]}") from error
        yield from page
        token = page.token
        if not token:
            return


def _row(client: Any, run: Any) -> Row:
    tags, metrics = run.data.tags, dict(run.data.metrics)
    if SPEED in metrics:  # of the whole run: its newest value is that of a few seconds
        metrics[SPEED] = fmean(point.value for point in client.get_metric_history(run.info.run_id, SPEED))
    children = 1
    if tags.get(ROLE) == "parent":
        query = f"tags.`{PARENT}` = '{run.info.run_id}'"
        children = len(client.search_runs([run.info.experiment_id], query))
    return Row(
        name=run.info.run_name,
        run_id=run.info.run_id,
        experiment_id=run.info.experiment_id,
        feed=tags.get("feed", "–"),
        agent=tags.get("agent", "–"),
        status=run.info.status,
        seeds=children,
        metrics=metrics,
        params=dict(run.data.params),
        curves=_curves(client, run.info.run_id, metrics),
    )


def _curves(client: Any, run_id: str, metrics: Mapping[str, float]) -> dict[str, tuple[tuple[int, float], ...]]:
    keys = [key for key in (f"{curve}{end}" for curve in CURVES for end in ("", "_low", "_high")) if key in metrics]
    return {
        key: tuple(sorted((point.step, point.value) for point in client.get_metric_history(run_id, key)))
        for key in keys
    }


def number(value: float) -> str:
    """Four digits that count, thousands set apart."""
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
