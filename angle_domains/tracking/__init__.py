"""Where runs are written down: MLflow, TensorBoard, memory or nowhere. MLflow itself is imported when a run starts."""

from pathlib import Path
from typing import TYPE_CHECKING

from angle_domains.tracking.base import DatasetInfo, RunInfo, Scalar, Status, Tracker, Trackers, tracked
from angle_domains.tracking.journal import Journal, read_key
from angle_domains.tracking.memory import MemoryTracker, NullTracker
from angle_domains.tracking.mlflow import MlflowTracker
from angle_domains.tracking.origin import provenance
from angle_domains.tracking.recover import Recovered, recover
from angle_domains.tracking.seeds import finish_parent
from angle_domains.tracking.store import Store, resolve_store
from angle_domains.tracking.tensorboard import TensorboardTracker
from angle_domains.tracking.trials import Trial, find_trials

if TYPE_CHECKING:
    from angle_domains.config import TrackingConfig

__all__ = [
    "OFF",
    "DatasetInfo",
    "MemoryTracker",
    "MlflowTracker",
    "NullTracker",
    "Recovered",
    "RunInfo",
    "Scalar",
    "Status",
    "Store",
    "TensorboardTracker",
    "Tracker",
    "Trackers",
    "Trial",
    "find_trials",
    "finish_parent",
    "open_tracker",
    "provenance",
    "read_key",
    "recover",
    "reopen_tracker",
    "resolve_store",
    "send_rest",
    "tracked",
]

OFF = "off"  # a tracking URI


def open_tracker(tracking: "TrackingConfig", info: RunInfo, folder: Path, *, runs: Path | None = None) -> Tracker:
    """A tracker that has started, for the run in `folder`; `runs` is where all of them lie (by default its parent).

    Raises ConfigError for a URI or a name that cannot be, a folder that holds another run and is not to be resumed,
    and a run that another process holds. `tracking.uri = "off"` tracks nothing beyond the event files.
    """
    runs = runs or folder.parent
    trackers: list[Tracker] = []
    if tracking.uri != OFF:  # first: it makes sure that no other process has the run
        store = resolve_store(tracking.uri, runs)
        trackers.append(MlflowTracker(store, folder, runs=runs, register=tracking.register_as))
    if tracking.tensorboard:
        trackers.append(TensorboardTracker(folder))
    tracker = Trackers(trackers) if trackers else NullTracker()
    tracker.start(info)
    return tracker


def reopen_tracker(tracking: "TrackingConfig", folder: Path) -> Tracker:
    """A tracker that adds metrics to the run in `folder`, in the store that has it; nowhere if no store has.

    Raises ConfigError where another process holds the run, or the state beside its journal is damaged.
    """
    trackers: list[Tracker] = []
    journal = Journal(folder)
    if tracking.uri != OFF and journal.exists:
        trackers.append(MlflowTracker(Store(journal.load().uri), folder))
    if tracking.tensorboard:
        trackers.append(TensorboardTracker(folder))
    tracker = Trackers(trackers) if trackers else NullTracker()
    tracker.reopen()
    return tracker


def send_rest(tracking: "TrackingConfig", folder: Path) -> None:
    """Sends what a process that died at the end of the run in `folder` could not; mostly nothing is left to send."""
    journal = Journal(folder)
    if tracking.uri != OFF and journal.exists and not journal.arrived(journal.load()):
        reopen_tracker(tracking, folder).finish()
