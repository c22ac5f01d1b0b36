"""What `train` says of an environment that nobody named."""

from pathlib import Path
from typing import Any

import pytest

from angle_domains import training
from angle_domains.cli import main


@pytest.fixture(autouse=True)
def untrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "train", lambda *_, **__: [])


def told(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(["train", *words]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("feed", "agent", "env"),
    [
        ("atari", "dqn", "Pong"),
        ("classic", "ppo", "CartPole-v1"),
        ("minatar", "dqn", "MinAtar/Breakout-v1"),
        ("retro", "ppo", "Airstriker-Genesis-v0"),
    ],
)
def test_an_environment_that_nobody_named_is_told(capsys: Any, feed: str, agent: str, env: str) -> None:
    line = f"environment: {env}, as the feed '{feed}' has it; --env NAME chooses another"
    assert told(capsys, "--feed", feed, "--agent", agent) == [line]


@pytest.mark.parametrize("named", [("--env", "CartPole-v1"), ("--set", "env=Acrobot-v1")])
def test_one_that_was_named_is_not(capsys: Any, named: tuple[str, str]) -> None:
    assert told(capsys, "--feed", "classic", "--agent", "ppo", *named) == []


def test_a_market_has_none_to_name(capsys: Any) -> None:
    assert told(capsys, "--feed", "market", "--agent", "ppo") == []
