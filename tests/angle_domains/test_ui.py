import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, unquote

import pytest

from angle_domains.errors import ConfigError
from angle_domains.tracking.store import Store, resolve_store
from angle_domains.ui import compare_link, experiment_link, free_port, serve, ui_command

ROOT = Path(__file__).parents[2]


def test_the_server_stands_on_loopback_without_jobs_and_telemetry(tmp_path: Path) -> None:
    command = ui_command(resolve_store(None, tmp_path), port=5050)
    words = list(command.words)
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert command.environment["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{tmp_path}/mlflow.db"
    assert command.environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert command.environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert command.page == "http://127.0.0.1:5050/#/experiments?workflowType=machine_learning"


def test_a_password_is_no_word_of_the_command(tmp_path: Path) -> None:
    command = ui_command(Store("postgresql://me:s3cret@h/db"))
    assert not any("s3cret" in word for word in command.words)
    assert command.environment["MLFLOW_REGISTRY_STORE_URI"] == "postgresql://me:s3cret@h/db"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
def test_any_other_host_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="no password"):
        ui_command(Store("sqlite:////x.db"), host=host)


def test_a_port_in_use_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(0) > 0


def test_links_lead_to_the_view_of_model_training() -> None:
    link = compare_link("http://h:1", ["a", "b"], ["4"])
    place, _, query = link.partition("?")
    assert place == "http://h:1/#/compare-runs"
    assert parse_qs(unquote(query)) == {
        "runs": ['["a","b"]'],
        "experiments": ['["4"]'],
        "workflowType": ["machine_learning"],
    }
    assert experiment_link("http://h:1", "4").startswith(
        "http://h:1/#/experiments/4/runs?workflowType=machine_learning"
    )


def test_a_store_on_a_server_is_only_opened(capsys: pytest.CaptureFixture[str]) -> None:
    serve(uri="http://me:secret@127.0.0.1:7777", open_browser=False)
    said = capsys.readouterr().out
    assert "/#/experiments?workflowType=machine_learning" in said
    assert "secret" not in said
    assert said.startswith("http://***@127.0.0.1:7777 is shown at")


def test_a_named_database_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run has been tracked there yet"):
        serve(uri=f"sqlite:///{tmp_path}/q/x.db", open_browser=False)
    assert list(tmp_path.iterdir()) == []


def test_another_port_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("angle_domains.ui._tidy", lambda store, root: None)
    monkeypatch.setattr("angle_domains.ui._started", lambda command, said: pytest.fail("enough was said"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(pytest.fail.Exception):
            serve(port=port, root=tmp_path, open_browser=False)
    assert f"port {port} is in use: the UI answers at http://127.0.0.1:" in capsys.readouterr().out


STAND_IN = """
import http.server, sys
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
print(__import__("os").getpid(), file=open(sys.argv[1], "w"), flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Healthy).serve_forever()
"""
COMMAND = """
import sys
from pathlib import Path
from angle_domains import ui
words = tuple(sys.argv[3:])
real = ui.ui_command
def stand_in(store, *, port):
    found = real(store, port=port)
    return ui.UiCommand((*words, str(port)), found.environment, found.address)
ui.ui_command = stand_in
ui.serve(port=0, root=Path(sys.argv[1]), open_browser=False)
"""


def test_no_server_outlives_the_command(tmp_path: Path) -> None:
    """With a small server in MLflow's place: what is tested is how it is started, waited for and ended."""
    note = tmp_path / "pid"
    server = [sys.executable, "-c", STAND_IN, str(note)]
    words = [sys.executable, "-c", COMMAND, str(tmp_path), "--", *server]
    words.remove("--")
    words.insert(4, "--")
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        said = [command.stdout.readline() for _ in range(3)]
        assert "starting the UI" in said[0]
        assert "is shown at http://127.0.0.1:" in said[1]
        pid = int(note.read_text())
        os.kill(pid, 0)
        command.send_signal(signal.SIGTERM)
        assert command.wait(timeout=30) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_server_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    words = [sys.executable, "-c", COMMAND, str(tmp_path), "--", sys.executable, "-c", "raise SystemExit('no room')"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "ConfigError: MLflow's server ended with code 1: no room" in done.stderr
