"""The same scalars for `tensorboard --logdir`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from angle_domains.tracking.base import RunInfo, Status
from angle_domains.tracking.gate import MetricGate
from angle_domains.tracking.journal import Journal

if TYPE_CHECKING:
    from feeds.base import FeedSpec

_FLUSH = 5  # seconds


class TensorboardTracker:
    """Event files in `<folder>/tensorboard`.

    A resumed run writes them anew from the journal of its folder: a killed process may have left the last seconds
    out, and they cannot be told apart by looking at the files.
    """

    run_id: str | None = None
    reference: str | None = None

    def __init__(self, folder: Path) -> None:
        self.folder, self.events = folder, folder / "tensorboard"
        self.gate = MetricGate()
        self._writer: Any = None

    def start(self, info: RunInfo) -> None:
        self._open(info.steps, again=info.resume)

    def reopen(self) -> None:
        self._open(None, again=True)

    def _open(self, steps: int | None, *, again: bool) -> None:
        from torch.utils.tensorboard import SummaryWriter

        journal = Journal(self.folder)
        known = list(journal.points()) if again and journal.path.is_file() else []
        for old in self.events.glob("events.out.tfevents.*") if known else ():
            old.unlink()
        self._writer = SummaryWriter(str(self.events), flush_secs=_FLUSH)
        self.gate = MetricGate(steps)
        for step, milliseconds, values in known:
            self.gate.restore((key, step) for key in values)
            self._write(values, step, milliseconds / 1_000)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self._write(self.gate.admit(metrics, step), step)

    def artifact(self, path: Path, folder: str = "") -> None: ...

    def log_policy(self, checkpoint: Path, spec: "FeedSpec", step: int) -> None: ...

    def links(self) -> dict[str, str]:
        return {"tensorboard": f"tensorboard --logdir {self.events}"}

    def finish(self, status: Status = "FINISHED") -> None:
        if self._writer is not None:
            for step, values in self.gate.leftover().items():
                self._write(values, step)
            self._writer.close()
            self._writer = None

    def _write(self, values: Mapping[str, float], step: int, walltime: float | None = None) -> None:
        for key, value in values.items():
            self._writer.add_scalar(key, value, step, walltime=walltime)
