import errno
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from angle_domains.addresses import mask
from angle_domains.config import AgentConfig, load_config
from angle_domains.errors import ConfigError
from angle_domains.runs import RunFolder
from angle_domains.tracking.links import run_link, ui_base
from angle_domains.tracking.store import Store, connect, experiment_id, resolve_store
from tests.angle_domains.tracking.worlds import ROOT, get_run, opened


def test_an_old_mlruns_folder_here_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    (tmp_path / "mlruns" / "0" / "meta.yaml").write_text("artifact_location: ./mlruns/0\nexperiment_id: '0'\n")
    monkeypatch.chdir(tmp_path)
    tracker = opened(Path("runs"), "a")
    tracker.log({"loss": 1.0}, 0)
    monkeypatch.chdir("/")  # the current folder may change under a run
    tracker.artifact(ROOT / "pyproject.toml")
    tracker.finish()
    database = tmp_path / "runs" / "mlflow.db"
    assert tracker.store == Store(f"sqlite:///{database}")
    assert get_run(tracker).data.metrics == {"loss": 1.0}
    assert [path.name for path in (tmp_path / "runs" / "artifacts").rglob("*.toml")] == ["pyproject.toml"]
    assert [path.name for path in (tmp_path / "mlruns").iterdir()] == ["0"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlruns", "runs"]


def test_a_database_that_does_not_fit_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(_source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("angle_domains.tracking.store.shutil.copyfile", half)
    with pytest.raises(OSError, match="No space"):
        connect(resolve_store(None, tmp_path))
    assert not list(tmp_path.rglob("*"))


def test_the_store_stands_in_a_folder_with_a_space(tmp_path: Path) -> None:
    tracker = opened(tmp_path / "my runs ü", "a")
    tracker.artifact(ROOT / "pyproject.toml", "config")
    tracker.finish()
    listed = connect(tracker.store).list_artifacts(tracker.run_id, "config")
    assert [item.path for item in listed] == ["config/pyproject.toml"]


def test_the_database_is_in_wal_and_knows_no_other_folder(tmp_path: Path) -> None:
    store = resolve_store(None, tmp_path)
    client = connect(store)
    assert store.database is not None
    with closing(sqlite3.connect(store.database)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        places = [row[0] for row in database.execute("SELECT artifact_location FROM experiments")]
    assert places == [str(tmp_path / "artifacts" / "0")]
    number = experiment_id(client, store, "market/ppo")
    assert client.get_experiment(number).artifact_location == str(tmp_path / "artifacts" / "market-ppo")
    client.delete_experiment(number)
    assert experiment_id(client, store, "market/ppo") == number
    assert client.get_experiment(number).lifecycle_stage == "active"


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("sqlite:///x/y.db", "sqlite:////here/x/y.db"),
        ("sqlite:////x/y.db", "sqlite:////x/y.db"),
        ("y.db", "sqlite:////here/y.db"),
        ("http://127.0.0.1:5000/", "http://127.0.0.1:5000"),
        ("postgresql+psycopg2://u:p@h/db", "postgresql+psycopg2://u:p@h/db"),
    ],
)
def test_what_a_uri_means(uri: str, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("angle_domains.tracking.store.os.path.abspath", lambda path: os.path.join("/here", path))
    assert resolve_store(uri).uri == found


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/mlruns", "sqlite://", "sqlite:///:memory:", "ftp://x"])
def test_a_uri_that_cannot_be_is_refused_in_one_sentence(uri: str) -> None:
    with pytest.raises(ConfigError, match="the tracking URI") as caught:
        resolve_store(uri)
    assert "sqlite:///folder/mlflow.db" in str(caught.value)


def test_the_environment_names_the_store_where_no_uri_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:7777")
    assert resolve_store(None).uri == "http://127.0.0.1:7777"
    assert resolve_store("http://127.0.0.1:8888").uri == "http://127.0.0.1:8888"


def test_passwords_are_masked() -> None:
    assert mask("http://me:secret@host:1/x and https://t@h") == "http://***@host:1/x and https://***@h"
    assert mask("http://me:p@ss@host/x?password=hidden&a=1") == "http://***@host/x?password=***&a=1"
    assert Store("http://me:secret@host:1").shown == "http://***@host:1"


def test_a_masked_uri_needs_its_password_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for other in ("", "http://me:secret@elsewhere"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", other)
        with pytest.raises(ConfigError, match="was not stored: give the whole URI again with --tracking-uri"):
            resolve_store("http://***@host:1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@host:1/")
    assert resolve_store("http://***@host:1").uri == "http://me:secret@host:1"


def test_a_password_stands_in_the_private_state_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = "http://me:s3cret@127.0.0.1:9"  # nobody listens there
    config = load_config(feed="market", agent="ppo", options={"tracking.uri": uri})
    folder = RunFolder(tmp_path / "a")
    folder.create(config.to_dict())
    tracker = opened(tmp_path, store=resolve_store(config.tracking.uri), params=config.flat(), tags={"from": uri})
    tracker.finish()
    print(tracker.links())
    files = [path for path in folder.path.rglob("*") if path.is_file()]
    assert {path.name for path in files if b"s3cret" in path.read_bytes()} == {"tracking.json"}
    assert (folder.path / "tracking.json").stat().st_mode & 0o777 == 0o600
    assert "s3cret" not in caplog.text + capsys.readouterr().out
    assert "s3cret" not in run_link(ui_base(uri), "1", "2")
    assert AgentConfig.from_dict(folder.read_config()).tracking.uri == "http://***@127.0.0.1:9"


def test_importing_loads_no_mlflow_and_loading_it_turns_telemetry_off() -> None:
    code = """
import os, sys, warnings
before = list(warnings.filters)
import angle_domains.tracking, angle_domains.ui, angle_domains.compare
assert "mlflow" not in sys.modules and "torch" not in sys.modules, "loaded too early"
assert warnings.filters == before
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "false"
from angle_domains.tracking.store import load_mlflow
load_mlflow()
from mlflow.telemetry.utils import is_telemetry_disabled
from mlflow.telemetry import get_telemetry_client
print(is_telemetry_disabled(), get_telemetry_client())
"""
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "None"]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "cache"
    blocked.write_text("a file where a folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    client = connect(resolve_store(None, tmp_path / "runs"))
    assert [found.name for found in client.search_experiments()] == ["Default"]
