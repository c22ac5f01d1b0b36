"""Opens MLflow's UI on the right store, on this machine alone."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from angle_domains.errors import ConfigError
from angle_domains.tracking.links import DEFAULT_PORT, compare_link, experiment_link, home_link, run_link, ui_base
from angle_domains.tracking.store import Store, connect, resolve_store

__all__ = ["UiCommand", "compare_link", "experiment_link", "free_port", "run_link", "serve", "ui_command"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PATIENCE = 120.0  # seconds: the server takes fifteen on a calm machine, a minute on a busy one
_QUIET = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # two processes instead of ten
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "PYTHONWARNINGS": "ignore",
}


@dataclass(frozen=True)
class UiCommand:
    """How the server of the UI is started, and where it answers."""

    words: tuple[str, ...]
    environment: dict[str, str]
    address: str  # http://host:port

    @property
    def page(self) -> str:
        """The view of model training."""
        return home_link(self.address)


def ui_command(store: Store, *, host: str = LOOPBACK[0], port: int = DEFAULT_PORT) -> UiCommand:
    """The server for a store. MLflow asks nobody for a password, so any other host than this one is a ConfigError."""
    if host not in LOOPBACK:
        raise ConfigError(
            f"the UI would stand open to everybody on {host}: MLflow asks for no password; "
            f"use {LOOPBACK[0]} and reach it through an SSH tunnel"
        )
    words = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    words += ["--uvicorn-opts", "--log-level warning"]
    own = {"MLFLOW_BACKEND_STORE_URI": store.uri, "MLFLOW_REGISTRY_STORE_URI": store.uri}  # everybody sees words
    if store.artifacts is not None:
        words += ["--default-artifact-root", str(store.artifacts), "--no-serve-artifacts"]
    shown = f"[{host}]" if ":" in host else host
    return UiCommand(tuple(words), {**os.environ, **_QUIET, **own}, f"http://{shown}:{port}")


def free_port(wanted: int = DEFAULT_PORT, host: str = LOOPBACK[0]) -> int:
    """The wanted port where nobody listens on it, else one that the system gives; 0 always asks the system."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ConfigError(f"no port is free on {host}")


def serve(
    *, port: int = DEFAULT_PORT, uri: str | None = None, root: Path = Path("runs"), open_browser: bool = True
) -> None:
    """Serves the UI until Ctrl-C, after runs of dead processes were tidied up; a store on a server is only opened."""
    store = resolve_store(uri, root)
    if store.uri.startswith(("http://", "https://")):
        _show(home_link(ui_base(store.uri)), store, open_browser)
        return
    if (uri or "MLFLOW_TRACKING_URI" in os.environ) and store.database is not None and not store.database.exists():
        raise ConfigError(f"{store.database} does not exist: no run has been tracked there yet")
    _tidy(store, root)
    command = ui_command(store, port=free_port(port))
    if port and not command.address.endswith(f":{port}"):
        print(f"port {port} is in use: the UI answers at {command.address}; in printed links put that for :{port}")
    print(f"starting the UI on {store.shown} …", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no server outlives its command
    with tempfile.TemporaryFile() as said, _started(command, said) as server:
        try:
            wait_until_up(command.address, server, said)
            _show(command.page, store, open_browser)
            print("Ctrl-C ends it", flush=True)
            server.wait()
        except KeyboardInterrupt:
            print()
        finally:
            server.terminate()


def _started(command: UiCommand, said: IO[bytes]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command.words, env=command.environment, stdout=said, stderr=said)


def wait_until_up(
    address: str, server: "subprocess.Popen[bytes]", said: IO[bytes] | None = None, seconds: float = _PATIENCE
) -> None:
    """Returns when the server answers; ConfigError where it ended (with what it `said` last) or took too long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if server.poll() is not None:
            raise ConfigError(f"MLflow's server ended with code {server.returncode}: {_last_line(said)}")
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise ConfigError(f"MLflow's server did not answer at {address} within {seconds:.0f} seconds")


def _last_line(said: IO[bytes] | None) -> str:
    if said is None:
        return "it said nothing"
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _tidy(store: Store, root: Path) -> None:
    from angle_domains.tracking.recover import recover

    connect(store)  # makes the database where there is none
    found = recover(store, root)
    if found.sent:
        print(f"sent what {len(found.sent)} earlier run(s) could not send")
    if found.ended:
        print(f"marked {len(found.ended)} run(s) of dead processes as KILLED")


def _show(page: str, store: Store, open_browser: bool) -> None:
    print(f"{store.shown} is shown at {page}", flush=True)
    if open_browser:
        webbrowser.open(page)
