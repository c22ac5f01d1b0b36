"""Where runs are kept: which store is meant, and a connection to it that does not depend on the current folder."""

import fcntl
import gc
import logging
import os
import shutil
import sqlite3
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from angle_domains.addresses import mask, masked
from angle_domains.errors import ConfigError

DATABASE = "mlflow.db"
_SCHEMES = ("http", "https", "postgresql", "mysql", "mssql", "databricks")
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_DEFAULTS = {  # the writer thread tries again by itself, so one request must not hold it for minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


@dataclass(frozen=True)
class Store:
    """An MLflow tracking store."""

    uri: str

    @property
    def shown(self) -> str:
        """The URI without a password."""
        return mask(self.uri)

    @property
    def database(self) -> Path | None:
        """The file of a local store, None where a server or another database keeps the runs."""
        return Path(self.uri.removeprefix("sqlite:///")) if self.uri.startswith("sqlite:///") else None

    @property
    def artifacts(self) -> Path | None:
        """The folder of a local store's artifacts; elsewhere the server decides."""
        return self.database.parent / "artifacts" if self.database else None


def resolve_store(uri: str | None = None, runs: Path = Path("runs")) -> Store:
    """The store that a URI means; without one MLFLOW_TRACKING_URI, and without that `mlflow.db` in the folder of runs.

    An `./mlruns` of older days changes nothing. A stored URI whose password was left out is completed from
    MLFLOW_TRACKING_URI. ConfigError where that fails, and where the URI is a folder: MLflow no longer writes those.
    """
    around = os.environ.get("MLFLOW_TRACKING_URI")
    text = uri or around or f"sqlite:///{runs.absolute() / DATABASE}"
    if masked(text):
        text = _completed(text, around)
    scheme = text.partition(":")[0].partition("+")[0]
    if scheme == "sqlite" or text.endswith(".db"):
        path = text.removeprefix("sqlite:///")
        if not path or path.startswith("sqlite:") or path == ":memory:":
            raise ConfigError(f"the tracking URI '{text}' names no file: write sqlite:///folder/mlflow.db")
        return Store(f"sqlite:///{os.path.abspath(path)}")
    if scheme not in _SCHEMES:
        raise ConfigError(
            f"the tracking URI '{mask(text)}' is neither a database nor a server (MLflow no longer writes folders of "
            "files): use sqlite:///folder/mlflow.db or http://host:port"
        )
    return Store(text.rstrip("/"))


def _completed(text: str, around: str | None) -> str:
    """The address that was masked, where the environment knows it."""
    if around is not None and mask(around.rstrip("/")) == text.rstrip("/"):
        return around
    raise ConfigError(
        f"the password of the tracking URI '{text}' was not stored: give the whole URI again with --tracking-uri "
        "or in MLFLOW_TRACKING_URI"
    )


def load_mlflow() -> ModuleType:
    """The module mlflow, imported late (two seconds), without telemetry, progress bars and its own noise.

    Called on the training thread before any other thread uses it: two threads that import halves of one package
    can find it unfinished.
    """
    os.environ.update(_ENVIRONMENT)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    fresh = "mlflow" not in sys.modules
    warnings.filterwarnings("ignore", module=r"mlflow(\.|$)")  # its own deprecations, on import and in its database
    import mlflow

    if fresh:
        gc.freeze()  # spares full collections its objects (see Writer)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # tracebacks of what we try again
    logging.getLogger("alembic").setLevel(logging.ERROR)
    return mlflow


def connect(store: Store) -> Any:
    """A client (MlflowClient) of the store; a local database is made where there is none."""
    mlflow = load_mlflow()
    if store.database is not None:
        _make_database(store)
    return mlflow.MlflowClient(tracking_uri=store.uri, registry_uri=store.uri)


def experiment_id(client: Any, store: Store, name: str) -> str:
    """The id of the experiment of that name, made or brought back where needed."""
    found = client.get_experiment_by_name(name)
    if found is None:
        place = None if store.artifacts is None else str(store.artifacts / name.replace("/", "-"))
        try:
            return client.create_experiment(name, artifact_location=place)
        except load_mlflow().MlflowException as error:
            found = client.get_experiment_by_name(name)  # another process was faster
            if found is None:
                raise error
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return found.experiment_id


def _make_database(store: Store) -> None:
    """Copies the template to its place in one step, so that no process ever sees half a database."""
    path, artifacts = store.database, store.artifacts
    assert path is not None
    assert artifacts is not None
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        with _cache() as folder:
            shutil.copyfile(_template(folder), draft)
        with closing(sqlite3.connect(draft)) as database:
            database.execute("UPDATE experiments SET artifact_location = ?", (str(artifacts / "0"),))
            database.commit()
            database.execute("PRAGMA journal_mode = WAL")
        try:
            os.link(draft, path)  # fails where another process was faster: its database may be in use
        except OSError:
            if not path.exists():  # a disk without links
                os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)  # on a full disk, too: half a copy would take what is left of it


def _template(folder: Path) -> Path:
    """A database with MLflow's tables: migrating them takes seconds, so it is done once per user and version."""
    mlflow = load_mlflow()
    template = folder / f"mlflow-{mlflow.__version__}.db"
    if not template.exists():
        draft = folder / f"draft-{os.getpid()}.db"
        draft.unlink(missing_ok=True)
        mlflow.MlflowClient(tracking_uri=f"sqlite:///{draft}").search_experiments(max_results=1)
        os.replace(draft, template)
    return template


@contextmanager
def _cache() -> Iterator[Path]:
    """The user's cache folder, held by this process; a temporary one where it cannot be written."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "angle-domains"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError:
        with tempfile.TemporaryDirectory(prefix="angle-domains-") as temporary:
            yield Path(temporary)
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
