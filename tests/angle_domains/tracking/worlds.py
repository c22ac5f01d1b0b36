"""What the tests of tracking share: a store, short runs, processes that die, a network that fails."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from angle_domains.tracking import MlflowTracker, RunInfo, Store, resolve_store
from angle_domains.tracking.store import connect

ROOT = Path(__file__).parents[3]
INTERVAL = 0.1


def info(name: str = "a", **changes: Any) -> RunInfo:
    return replace(RunInfo(name, "market", "market", "ppo", 0), **changes)


def opened(runs: Path, name: str = "a", *, store: Store | None = None, **changes: Any) -> MlflowTracker:
    """A tracker that has started, of the run `runs/name`."""
    tracker = MlflowTracker(store or resolve_store(None, runs), runs / name, runs=runs, interval=INTERVAL)
    tracker.start(info(name, **changes))
    return tracker


def history(tracker_or_store: MlflowTracker | Store, key: str, run_id: str | None = None) -> list[tuple[int, float]]:
    """(step, value) as the store holds them, in the order of steps, doubles included."""
    if isinstance(tracker_or_store, MlflowTracker):
        tracker_or_store, run_id = tracker_or_store.store, tracker_or_store.run_id
    points = connect(tracker_or_store).get_metric_history(run_id, key)
    return sorted((point.step, point.value) for point in points)


def read_events(folder: Path) -> EventAccumulator:
    """All that the event files of a run hold."""
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"histograms": 0, "images": 0})
    events.Reload()
    return events


def get_run(tracker: MlflowTracker) -> Any:
    return connect(tracker.store).get_run(tracker.run_id)


def eventually(true: Callable[[], object], seconds: float = 30.0) -> None:
    """Waits until something holds; the assertion fails after so many seconds."""
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.05)
    assert true()


CHILD = """
import sys, time
from pathlib import Path
from tests.angle_domains.tracking.worlds import opened
name, runs, first, last, end = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
tracker = opened(runs, name, resume=first > 0)
for step in range(first, last):
    tracker.log({"loss": float(step), "return": step / 2}, step)
if end == "finish":
    tracker.finish()
print(tracker.run_id or "unknown", flush=True)
if end == "sleep":
    tracker.writer.wait_for_contact(60)
    print(tracker.run_id, flush=True)
    time.sleep(600)
"""


def child(name: str, runs: Path, first: int, last: int, end: str) -> "subprocess.Popen[str]":
    """A process that logs the steps first … last - 1 and then ends as told: "finish", or "sleep" until killed."""
    words = [sys.executable, "-c", CHILD, name, str(runs), str(first), str(last), end]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class Wire:
    """A connection to a server that can be cut and slowed: real sockets, refused and late for real."""

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition("/")[2].partition(":")
        self._target = (host, int(port))
        self.delay = 0.0  # seconds before each half (head, body) of a request is passed on
        self.delayed = 0  # halves that were held up
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._port = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def up(self) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self._port))
        self._listener.listen()
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def down(self) -> None:
        """Connections break, new ones are refused."""
        assert self._listener is not None
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target)
            except OSError:
                near.close()
                continue
            self._open |= {near, far}
            threading.Thread(target=self._pump, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, request: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if request and self.delay:
                    self.delayed += 1
                    time.sleep(self.delay)
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        source.close()
        self._open.discard(source)


@contextmanager
def wired(server: str) -> Iterator[Wire]:
    wire = Wire(server)
    wire.up()
    yield wire
    with suppress(OSError):
        wire.down()
