import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from angle_domains.tracking import Store, resolve_store
from angle_domains.tracking.store import connect
from angle_domains.ui import free_port, ui_command, wait_until_up


class Server:
    """A real MLflow server on this machine. It is started early and waited for late: it takes fifteen seconds."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self.local: Store = resolve_store(None, runs)
        connect(self.local)
        self.command = ui_command(self.local, port=free_port(0))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it answers; waits until it does."""
        self.start()
        assert self._process is not None
        wait_until_up(self.command.address, self._process)
        return self.command.address

    def start(self) -> None:
        if self._process is None:
            quiet = subprocess.DEVNULL
            self._process = subprocess.Popen(
                self.command.words, env=self.command.environment, stdout=quiet, stderr=quiet, start_new_session=True
            )

    def kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("server"))
    found.start()
    yield found
    found.kill()


@pytest.fixture(autouse=True)
def _no_store_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
