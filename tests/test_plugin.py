"""Somebody else's package: what it registers and names by entry points is trained by one command, once installed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_readme import block

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder on the import path that holds the README's agent and environment, and a feed, once installed."""
    project = tmp_path_factory.mktemp("project")
    (project / "even.py").write_text(block("# even.py", "python"))
    (project / "my_package.py").write_text(block("# my_package.py", "python"))
    shutil.copy(ROOT / "tests" / "coins.py", project)
    points = block('[project.entry-points."angle_domains.agents"]', "toml")
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "my-package"\nversion = "1.0"\n'
        '[tool.hatch.build.targets.wheel]\ninclude = ["even.py", "my_package.py", "coins.py"]\n'
        + points
        + '\n[project.entry-points."angle_domains.feeds"]\ncoins = "coins:ENTRY"\n'
    )
    target = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*words, "--target", str(target), str(project)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


GIVEN = ("training.test_episodes=5", "training.validation_episodes=3", "training.films=0", "tracking.uri=off")
SETS = [word for text in GIVEN for word in ("--set", text)]


def run(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{site}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "angle_domains", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


def test_an_installed_agent_is_listed(site: Path, tmp_path: Path) -> None:
    assert re.search(r"^even +Holds every asset alike", run(site, tmp_path, "agents").stdout, re.MULTILINE)


def test_an_installed_environment_is_trained_on(site: Path, tmp_path: Path) -> None:
    words = ("train", "--env", "my_package:Guess-v0", "--agent", "ppo", "--steps", "512", "--name", "one", *SETS)
    done = run(site, tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert "classic/Guess-v0: 5 whole episodes" in done.stdout
    assert (tmp_path / "runs" / "one" / "report.html").is_file()


def test_an_environment_of_the_folder_one_stands_in_is_found_by_the_installed_command(tmp_path: Path) -> None:
    (tmp_path / "my_package.py").write_text(block("# my_package.py", "python"))
    words = (sys.executable, "-P", "-m", "angle_domains", "train", "--env", "my_package:Gues-v0", "--agent", "ppo")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert "did you mean 'Guess-v0'?" in done.stderr


def test_a_misspelled_one_is_told_the_nearest(site: Path, tmp_path: Path) -> None:
    done = run(site, tmp_path, "train", "--env", "my_package:Gues-v0", "--agent", "ppo")
    assert done.returncode == 2
    assert "did you mean 'Guess-v0'?" in done.stderr


def test_an_installed_feed_is_listed_trained_on_and_played(site: Path, tmp_path: Path) -> None:
    assert re.search(r"^coins +Coins that are seen and named", run(site, tmp_path, "feeds").stdout, re.MULTILINE)
    words = ("train", "--env", "Coins-v0", "--agent", "a2c", "--steps", "512", "--name", "two")
    done = run(site, tmp_path, *words, "--set", "feed.tosses=6", *SETS)
    assert done.returncode == 0, done.stderr
    assert "test part of coins: 5 whole episodes" in done.stdout
    assert (tmp_path / "runs" / "two" / "report.html").is_file()
    played = run(site, tmp_path, "play", "--checkpoint", "two")
    assert re.fullmatch(r"episode 1: return \d in 6 steps\n", played.stdout), played.stderr


def test_settings_and_names_of_an_installed_feed_are_told(site: Path, tmp_path: Path) -> None:
    done = run(site, tmp_path, "train", "--feed", "coins", "--agent", "a2c", "--set", "feed.toses=6")
    assert done.returncode == 2
    assert "did you mean 'feed.tosses'?" in done.stderr
    done = run(site, tmp_path, "train", "--feed", "coin", "--agent", "a2c")
    assert "did you mean 'coins'?" in done.stderr
