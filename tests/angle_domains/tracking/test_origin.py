import subprocess
from importlib.metadata import version
from pathlib import Path

from angle_domains.tracking import provenance
from angle_domains.tracking.origin import git_state


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_commit_and_dirty_flag_of_a_checkout(tmp_path: Path) -> None:
    assert git_state(tmp_path) == {"git.commit": "unknown", "git.dirty": "unknown"}
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("a = 1\n")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-qm", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    clean = {"git.commit": commit, "git.dirty": "false", "mlflow.source.git.commit": commit}
    assert git_state(tmp_path) == clean
    (tmp_path / "code.py").write_text("a = 2\n")
    assert git_state(tmp_path) == clean | {"git.dirty": "true"}


def test_where_a_run_comes_from() -> None:
    tags = provenance()
    assert tags["version.torch"] == version("torch")
    assert tags["version.numpy"] == version("numpy")
    assert {"host", "mlflow.user", "git.commit", "git.dirty"} <= set(tags)
    assert all(isinstance(value, str) for value in tags.values())
