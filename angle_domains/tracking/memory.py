"""Trackers without a store: one that remembers, for tests and notebooks, and one that forgets."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from angle_domains.tracking.base import RunInfo, Status

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from angle_domains.tracking.policies import Signatures
    from feeds.base import FeedSpec


class MemoryTracker:
    """Keeps everything it is told in attributes."""

    run_id: str | None = None
    reference: str | None = None

    def __init__(self) -> None:
        self.info: RunInfo | None = None
        self.history: dict[str, list[tuple[int, float]]] = {}  # key -> (step, value)
        self.histograms: dict[str, list[tuple[int, Tensor]]] = {}  # key -> (step, numbers)
        self.pictures: dict[str, list[tuple[int, np.ndarray]]] = {}
        self.artifacts: list[tuple[Path, str]] = []
        self.policies: list[tuple[Path, int]] = []  # checkpoint folder, step
        self.tags: dict[str, str] = {}
        self.status: Status | None = None

    def start(self, info: RunInfo) -> None:
        self.info, self.status = info, None

    def reopen(self) -> None: ...

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        for key, value in metrics.items():
            self.history.setdefault(key, []).append((step, float(value)))

    def tag(self, tags: Mapping[str, str]) -> None:
        self.tags |= tags

    def log_histograms(self, make: "Callable[[], Mapping[str, Tensor]]", step: int) -> None:
        for key, numbers in make().items():
            self.histograms.setdefault(key, []).append((step, numbers))

    def log_picture(self, key: str, make: "Callable[[], np.ndarray]", step: int) -> None:
        self.pictures.setdefault(key, []).append((step, make()))

    def artifact(self, path: Path, folder: str = "") -> None:
        self.artifacts.append((path, folder))

    def log_policy(self, checkpoint: Path, spec: "FeedSpec", step: int, beside: "Signatures | None" = None) -> None:
        self.policies.append((checkpoint, step))

    def links(self) -> dict[str, str]:
        return {}

    def finish(self, status: Status = "FINISHED") -> None:
        self.status = status


class NullTracker:
    """Tracks nothing."""

    run_id: str | None = None
    reference: str | None = None

    def start(self, info: RunInfo) -> None: ...

    def reopen(self) -> None: ...

    def log(self, metrics: Mapping[str, float], step: int) -> None: ...

    def tag(self, tags: Mapping[str, str]) -> None: ...

    def log_histograms(self, make: "Callable[[], Mapping[str, Tensor]]", step: int) -> None: ...

    def log_picture(self, key: str, make: "Callable[[], np.ndarray]", step: int) -> None: ...

    def artifact(self, path: Path, folder: str = "") -> None: ...

    def log_policy(self, checkpoint: Path, spec: "FeedSpec", step: int, beside: "Signatures | None" = None) -> None: ...

    def links(self) -> dict[str, str]:
        return {}

    def finish(self, status: Status = "FINISHED") -> None: ...
