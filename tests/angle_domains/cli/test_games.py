"""Commands as they are typed for other projects: a game named by its id, trained, played and filmed."""

from pathlib import Path

import pytest
from PIL import Image

from angle_domains.cli import main

GAME = "BreakoutNoFrameskip-v4"
TINY = {
    "agent.replay.capacity": 2_000,
    "agent.replay.warm_up": 64,
    "agent.replay.learn_every": 32,
    "training.streams": 2,
    "training.evaluate_every": 100,
    "training.checkpoint_every": 100,
    "training.validation_episodes": 1,
    "training.test_episodes": 1,
    "training.episode_limit": 40,
    "training.films": 0,
    "tracking.uri": "off",
}


@pytest.mark.slow
@pytest.mark.usefixtures("headless")
def test_a_game_is_trained_by_its_id_and_played_from_its_best_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    words = ["--env", GAME, "--algo", "dqn", "--config", "configs/dqn_default.yaml"]
    assert main(["train", *words, *sets, "--steps", "200", "--name", "one", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert f"test part of atari/{GAME.removesuffix('NoFrameskip-v4')}" in said
    run = tmp_path / "runs" / "one"
    assert (run / "report.html").is_file()
    for given in ("best", "best_model.zip"):  # the second is what others call it
        assert main(["play", "--checkpoint", f"runs/one/{given}", "--env", GAME]) == 0
        first, episode, last = capsys.readouterr().out.splitlines()
        assert first.endswith(": a film is made instead")
        assert " in 40 steps" in episode
        film = Path(last.removeprefix("film: "))
        assert film.parent == run / "films"
        assert film.stat().st_size > 1_000
    asked = ["--human", "--video", "game.gif", "--values"]
    assert main(["play", "--checkpoint", "one", *asked]) == 0  # no display is no failure
    assert capsys.readouterr().out.endswith("film: game.gif\n")
    with Image.open(tmp_path / "game.gif") as shown:
        assert shown.n_frames > 1
    assert main(["play", "--checkpoint", "one", "--env", "BreakotNoFrameskip-v4"]) == 2
    assert f"did you mean '{GAME}'?" in capsys.readouterr().err
