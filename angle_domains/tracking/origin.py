"""Where a run comes from: code, packages, machine."""

import getpass
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "ale-py",
    "angle-domains",
    "arch",
    "gymnasium",
    "mlflow",
    "numpy",
    "pandas",
    "polars",
    "safetensors",
    "scikit-learn",
    "skfolio",
    "torch",
)


def provenance() -> dict[str, str]:
    """Tags for git commit, dirty flag, package versions, host, user and command."""
    tags = {
        "host": platform.node(),
        "platform": platform.platform(),
        "cpus": str(os.cpu_count()),
        "mlflow.user": _user(),
        "mlflow.source.name": Path(sys.argv[0]).name or "python",
        "mlflow.source.type": "LOCAL",
        "version.python": platform.python_version(),
    }
    return tags | git_state(_checkout()) | {f"version.{name}": _version(name) for name in _PACKAGES}


def git_state(folder: Path) -> dict[str, str]:
    """Commit and dirty flag of the code in this folder; "unknown" where it is no checkout."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {"git.commit": "unknown", "git.dirty": "unknown"}
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    dirty = "unknown" if changes is None else str(bool(changes)).lower()
    return {"git.commit": commit, "git.dirty": dirty, "mlflow.source.git.commit": commit}


def _checkout() -> Path:
    """The folder of this code where git tracks it; else the current one: the project that uses the package."""
    here = Path(__file__)
    return Path.cwd() if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None else here.parent


def _git(folder: Path, *words: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for its user
        return str(os.getuid())
