"""Help answers at once, loads nothing heavy, and has a sentence for everything."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer

from angle_domains.cli.app import app

COMMANDS = [
    "",
    "train",
    "evaluate",
    "play",
    "forecast",
    "risk",
    "adapt",
    "compare",
    "ui",
    "feeds",
    "feeds check",
    "feeds export",
    "agents",
    "configs",
    "configs show",
]
HEAVY = {"torch", "mlflow", "polars", "pandas", "gymnasium", "numpy", "scipy", "sklearn", "matplotlib"}
REPORT = (
    "import sys; from angle_domains.cli import main; code = main(sys.argv[1:]); print(*sys.modules); sys.exit(code)"
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_heavy(command: str) -> None:
    words = [sys.executable, "-c", REPORT, *command.split(), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    *shown, modules = done.stdout.splitlines()
    assert "Usage: angle-domains" in "\n".join(shown)
    assert not HEAVY & set(modules.split())


def _commands(group: object, name: str = "") -> Iterator[tuple[str, object]]:
    yield name, group
    for word, command in getattr(group, "commands", {}).items():
        yield from _commands(command, f"{name} {word}".strip())


def test_every_command_and_option_has_a_sentence() -> None:
    found = dict(_commands(typer.main.get_command(app)))
    assert set(COMMANDS) == set(found)
    for name, command in found.items():
        assert command.help.rstrip().endswith("."), name  # type: ignore[attr-defined]
        for parameter in command.params:  # type: ignore[attr-defined]
            if parameter.name not in ("install_completion", "show_completion", "help"):
                assert (parameter.help or "").endswith("."), (name, parameter.name)


def test_the_words_that_others_rely_on() -> None:
    train = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    flags = {flag for parameter in train.params for flag in parameter.opts}
    wanted = "feed agent algo env config set steps seed seeds streams device resume name experiment tracking-uri"
    assert {f"--{word}" for word in (*wanted.split(), "tensorboard", "register")} <= flags


def test_episodes_that_are_judged_are_counted_for_each_seed() -> None:
    evaluate = typer.main.get_command(app).commands["evaluate"]  # type: ignore[attr-defined]
    (episodes,) = (parameter for parameter in evaluate.params if parameter.name == "episodes")
    assert "of each seed" in episodes.help
