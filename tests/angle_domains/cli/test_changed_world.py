"""A third party's environment that shows something else than it did: every command says so, and the test part stays
closed."""

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import pytest

from angle_domains.cli import main
from angle_domains.runs import RunFolder

TRAIN = (
    *("train", "--env", "their_widths:theirs/Wide-v0", "--agent", "ppo", "--steps", "128", "--streams", "2"),
    *("--device", "cpu", "--name", "one", "--tracking-uri", "off"),
    *("--set", "agent.horizon=32", "--set", "agent.network.hidden=[8]", "--set", "training.films=0"),
    *("--set", "training.validation_episodes=2", "--set", "training.test_episodes=2"),
)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An environment whose observations are as wide as the variable WIDTH says."""
    (tmp_path / "their_widths.py").write_text(
        textwrap.dedent("""
            import os
            import gymnasium
            import numpy as np
            from gymnasium import spaces

            class Wide(gymnasium.Env):
                action_space = spaces.Discrete(2)

                def __init__(self):
                    self.observation_space = spaces.Box(-1.0, 1.0, (int(os.environ["WIDTH"]),), np.float32)

                def reset(self, *, seed=None, options=None):
                    super().reset(seed=seed)
                    return self.observation_space.low, {}

                def step(self, action):
                    return self.observation_space.high, float(action), False, False, {}

            gymnasium.register("theirs/Wide-v0", entry_point="their_widths:Wide", max_episode_steps=5)
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WIDTH", "3")
    yield
    gymnasium.registry.pop("theirs/Wide-v0", None)
    sys.modules.pop("their_widths", None)


@pytest.mark.usefixtures("world")
def test_other_observations_are_one_sentence_and_open_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(TRAIN) == 0
    run = RunFolder(tmp_path / "runs" / "one")
    before, saved = run.note(), run.saved
    monkeypatch.setenv("WIDTH", "5")
    capsys.readouterr()
    for words in (
        ["train", "--resume", "one", "--steps", "256"],
        ["evaluate", "one"],
        ["evaluate", "one", "--split", "validation"],
        ["play", "--checkpoint", "one"],
    ):
        assert main(words) == 2, words
        told = capsys.readouterr().err
        assert "trained on observations that are a box of shape (3,)" in told, words
        assert "are a box of shape (5,), float32: it knows no others" in told, words
    assert (run.note(), run.saved) == (before, saved)
    assert len(before["test_opened"]) == 1
    monkeypatch.setenv("WIDTH", "3")
    assert main(["evaluate", "one"]) == 0
