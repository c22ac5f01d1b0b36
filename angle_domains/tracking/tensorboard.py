"""The same scalars for `tensorboard --logdir`, with histograms and pictures, which MLflow is not given."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from angle_domains.tracking.base import RunInfo, Status
from angle_domains.tracking.gate import MetricGate
from angle_domains.tracking.journal import Journal

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from angle_domains.tracking.policies import Signatures
    from feeds.base import FeedSpec

_FLUSH = 5  # seconds
_FRAME = 16  # bytes about a record: its length and two checksums
_BINS = 64  # of a histogram, equally wide: TensorBoard draws fewer


class TensorboardTracker:
    """Event files in `<folder>/tensorboard`.

    A resumed run writes them anew, its scalars from the journal of its folder: a killed process may have left the last
    seconds out, and they cannot be told apart by looking at the files. Histograms and pictures stand there alone and
    are carried over. A file that cannot be read to its end is kept beside them, under a name that
    TensorBoard passes by.
    """

    run_id: str | None = None
    reference: str | None = None

    def __init__(self, folder: Path) -> None:
        self.folder, self.events = folder, folder / "tensorboard"
        self.gate = MetricGate()
        self._writer: Any = None
        self._newest: dict[str, int] = {}  # step of each histogram and picture

    def start(self, info: RunInfo) -> None:
        self._open(info.steps, again=info.resume)

    def reopen(self) -> None:
        self._open(None, again=True)

    def _open(self, steps: int | None, *, again: bool) -> None:
        from torch.utils.tensorboard import SummaryWriter

        journal = Journal(self.folder)
        known = list(journal.points()) if again and journal.path.is_file() else []
        earlier = sorted(self.events.glob("events.out.tfevents.*")) if again else []
        self._writer = SummaryWriter(str(self.events), flush_secs=_FLUSH)
        self.gate = MetricGate(steps)
        for step, milliseconds, values in known:
            self.gate.restore((key, step) for key in values)
            self._write(values, step, milliseconds / 1_000)
        whole = [self._carry_over(old, write=bool(known)) for old in earlier]
        self._writer.flush()
        for old, read in zip(earlier, whole, strict=True) if known else ():
            old.unlink() if read else old.rename(old.with_name(old.name.replace("tfevents", "unreadable")))

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self._write(self.gate.admit(metrics, step), step)

    def tag(self, tags: Mapping[str, str]) -> None: ...

    def log_histograms(self, make: "Callable[[], Mapping[str, Tensor]]", step: int) -> None:
        for key, numbers in make().items():
            values = numbers.detach().flatten().double()
            values = values[values.isfinite()]
            if len(values) and self._admit(key, step):
                self._writer.add_histogram(key, values.cpu().numpy(), step, bins=_BINS)

    def log_picture(self, key: str, make: "Callable[[], np.ndarray]", step: int) -> None:
        if self._admit(key, step):
            self._writer.add_image(key, make(), step, dataformats="HWC")

    def artifact(self, path: Path, folder: str = "") -> None: ...

    def log_policy(self, checkpoint: Path, spec: "FeedSpec", step: int, beside: "Signatures | None" = None) -> None: ...

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

    def _carry_over(self, path: Path, *, write: bool) -> bool:
        """Takes histograms and pictures of an earlier file along, up to where it is damaged; True where it is not."""
        from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
        from tensorboard.compat.proto.event_pb2 import Event

        read = 0
        for record in RawEventFileLoader(str(path)).Load():
            read += len(record) + _FRAME
            event = Event.FromString(record)
            drawn = any(value.WhichOneof("value") in ("histo", "image") for value in event.summary.value)
            if drawn and self._admit(event.summary.value[0].tag, event.step) and write:
                self._writer.file_writer.event_writer.add_event(event)
        return read == path.stat().st_size

    def _admit(self, key: str, step: int) -> bool:
        """False where this step was logged: a run that goes on comes by the steps after its checkpoint again."""
        if step <= self._newest.get(key, -1):
            return False
        self._newest[key] = step
        return True
