"""Somebody else's package: what it registers and names by entry points is trained by one command, once installed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_readme import block

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder on the import path that holds the README's agent and environment, installed from a project."""
    project = tmp_path_factory.mktemp("project")
    (project / "even.py").write_text(block("# even.py", "python"))
    (project / "my_package.py").write_text(block("# my_package.py", "python"))
    points = block('[project.entry-points."angle_domains.agents"]', "toml")
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "my-package"\nversion = "1.0"\n'
        '[tool.hatch.build.targets.wheel]\ninclude = ["even.py", "my_package.py"]\n' + points
    )
    target = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*words, "--target", str(target), str(project)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def run(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{site}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "angle_domains", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


def test_an_installed_agent_is_listed(site: Path, tmp_path: Path) -> None:
    assert re.search(r"^even +Holds every asset alike", run(site, tmp_path, "agents").stdout, re.MULTILINE)


def test_an_installed_environment_is_trained_on(site: Path, tmp_path: Path) -> None:
    given = ("training.test_episodes=3", "training.validation_episodes=3", "training.films=0", "tracking.uri=off")
    sets = [word for text in given for word in ("--set", text)]
    words = ("train", "--env", "my_package:Guess-v0", "--agent", "ppo", "--steps", "512", "--name", "one", *sets)
    done = run(site, tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert "classic/Guess-v0: 3 whole episodes" in done.stdout
    assert (tmp_path / "runs" / "one" / "report.html").is_file()


def test_a_misspelled_one_is_told_the_nearest(site: Path, tmp_path: Path) -> None:
    done = run(site, tmp_path, "train", "--env", "my_package:Gues-v0", "--agent", "ppo")
    assert done.returncode == 2
    assert "did you mean 'Guess-v0'?" in done.stderr
