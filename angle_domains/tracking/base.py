"""What a tracker can do, and what it is told about a run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from angle_domains.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from angle_domains.tracking.policies import Signatures
    from feeds.base import FeedSpec

Status = Literal["FINISHED", "KILLED", "FAILED"]
Scalar = str | int | float | bool


@dataclass(frozen=True)
class DatasetInfo:
    """Which data a run saw."""

    name: str
    digest: str  # hash of the content
    source: str  # path, URL or embedded name
    schema: Mapping[str, str] = field(default_factory=dict)  # column -> type
    profile: Mapping[str, Any] = field(default_factory=dict)  # counts and dates, JSON-ready


@dataclass(frozen=True)
class RunInfo:
    """Who runs what. Names are checked when a tracker opens; `parent` is another tracker's `reference`."""

    name: str
    experiment: str
    feed: str
    agent: str
    seed: int | None  # None for a parent of several seeds
    params: Mapping[str, Scalar] = field(default_factory=dict)  # the flattened configuration
    tags: Mapping[str, str] = field(default_factory=dict)
    dataset: DatasetInfo | None = None
    parent: str | None = None
    resume: bool = False  # the run of this folder goes on, under the id it had
    run_id: str | None = None  # the MLflow run that goes on, where its folder no longer knows
    steps: int | None = None  # environment steps planned; None: unknown

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "RunInfo":
        """What `to_dict` wrote, JSON in between."""
        dataset = data["dataset"]
        return cls(**{**data, "dataset": DatasetInfo(**dataset) if dataset else None})


class Tracker(Protocol):
    """Takes down what a run does. No method waits for a server, and none raises because one is away."""

    @property
    def run_id(self) -> str | None:
        """The id the store gave; None as long as it has not answered."""
        ...

    @property
    def reference(self) -> str | None:
        """What a child names as its parent; stands before the store has answered."""
        ...

    def start(self, info: RunInfo) -> None: ...

    def reopen(self) -> None:
        """In place of `start`: a run that has ended takes more metrics, and keeps its status, times and tags."""
        ...

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Metrics at an environment step; the steps of a key only grow, a step that was logged is passed over.

        Those that `gate.REVISED` names may be logged again at one step.
        """
        ...

    def tag(self, tags: Mapping[str, str]) -> None:
        """Words about the run, by name; of two under one name the newer stands."""
        ...

    def log_histograms(self, make: "Callable[[], Mapping[str, Tensor]]", step: int) -> None:
        """Numbers of any shape whose spread is of interest; they are made only where it is kept."""
        ...

    def log_picture(self, key: str, make: "Callable[[], np.ndarray]", step: int) -> None:
        """A picture `[h, w, 3]` of bytes, made only where it is kept."""
        ...

    def artifact(self, path: Path, folder: str = "") -> None:
        """A file or a whole folder, kept under `folder` of the run's artifacts."""
        ...

    def log_policy(self, checkpoint: Path, spec: "FeedSpec", step: int, beside: "Signatures | None" = None) -> None:
        """The policy of a checkpoint folder, and what learned beside it, as models that others can load."""
        ...

    def links(self) -> dict[str, str]:
        """Addresses and commands that lead to this run, by what they show."""
        ...

    def finish(self, status: Status = "FINISHED") -> None:
        """Ends the run, or what was added to it; what could not be sent within seconds is sent at the next start."""
        ...


class Trackers:
    """Several trackers as one."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self.trackers = tuple(trackers)

    @property
    def run_id(self) -> str | None:
        return next((tracker.run_id for tracker in self.trackers if tracker.run_id), None)

    @property
    def reference(self) -> str | None:
        return next((tracker.reference for tracker in self.trackers if tracker.reference), None)

    def start(self, info: RunInfo) -> None:
        for tracker in self.trackers:
            tracker.start(info)

    def reopen(self) -> None:
        for tracker in self.trackers:
            tracker.reopen()

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        for tracker in self.trackers:
            tracker.log(metrics, step)

    def tag(self, tags: Mapping[str, str]) -> None:
        for tracker in self.trackers:
            tracker.tag(tags)

    def log_histograms(self, make: "Callable[[], Mapping[str, Tensor]]", step: int) -> None:
        for tracker in self.trackers:
            tracker.log_histograms(make, step)

    def log_picture(self, key: str, make: "Callable[[], np.ndarray]", step: int) -> None:
        for tracker in self.trackers:
            tracker.log_picture(key, make, step)

    def artifact(self, path: Path, folder: str = "") -> None:
        for tracker in self.trackers:
            tracker.artifact(path, folder)

    def log_policy(self, checkpoint: Path, spec: "FeedSpec", step: int, beside: "Signatures | None" = None) -> None:
        for tracker in self.trackers:
            tracker.log_policy(checkpoint, spec, step, beside)

    def links(self) -> dict[str, str]:
        return {what: link for tracker in self.trackers for what, link in tracker.links().items()}

    def finish(self, status: Status = "FINISHED") -> None:
        for tracker in self.trackers:
            tracker.finish(status)


@contextmanager
def tracked(tracker: Tracker) -> Iterator[Tracker]:
    """Ends a run with the status that is true: KILLED after Ctrl-C or an exit, FAILED after an exception."""
    try:
        yield tracker
    except (KeyboardInterrupt, SystemExit):
        tracker.finish("KILLED")
        raise
    except BaseException:
        tracker.finish("FAILED")
        raise
    tracker.finish("FINISHED")


def check_name(name: str, kind: str) -> str:
    """The name itself; ConfigError where it could lead out of a folder or would not be shown whole."""
    parts = name.replace("\\", "/").split("/")
    if not name.strip() or len(name) > 250 or ".." in parts or "" in parts or not name.isprintable():
        raise ConfigError(
            f"{name!r} cannot name {kind}: use 1 to 250 printable characters, "
            "no '..' and no '/' at the beginning or end"
        )
    return name
