"""Runs of games that learn off policy: they go on as they can, and are filmed and drawn on the way."""

from pathlib import Path
from typing import Any

import pytest

from angle_domains.config import load_config
from angle_domains.errors import ConfigError
from angle_domains.runs import RunFolder
from angle_domains.training import train
from tests.angle_domains.tracking.worlds import read_events
from tests.angle_domains.training.worlds import Lines

LEARNING = (
    "agent.network.hidden=[8]",
    "agent.replay.warm_up=200",
    "agent.replay.learn_every=8",
    "agent.replay.prioritised=true",
    "agent.replay.batch=8",
    "agent.replay.capacity=900",  # the ring goes round
)
GAME = (
    "training.streams=2",
    "training.steps=1200",
    "training.evaluate_every=600",
    "training.checkpoint_every=256",
    "training.validation_episodes=2",
    "training.test_episodes=2",
    "training.films=0",
    "device=cpu",
    "tracking.uri=off",
    "name=one",
)


def test_a_run_of_games_goes_on_with_all_it_has_lived(tmp_path: Path) -> None:
    config = load_config(env="CartPole-v1", agent="dqn", overrides=(*LEARNING, *GAME))
    half = config.model_copy(update={"training": config.training.model_copy(update={"steps": 600})})
    train(half, console=Lines(), root=tmp_path)
    run = RunFolder(tmp_path / "one")
    before, meta, _ = run.load_last()
    assert (meta["step"], before["replay"]["size"]) == (600, 300)

    [result] = train(config, console=Lines(), root=tmp_path, resume="one")
    assert result.status == "FINISHED"
    after, meta, _ = run.load_last()
    assert meta["step"] == 1_200
    assert after["agent"]["core"]["updates"] == after["loop"]["updates"] == (1_200 - 200) // 8 + 1
    assert [step for step, _ in run.note()["curve"]] == [600, 1_200]


def test_a_run_goes_on_in_its_own_game_with_as_many_streams_or_is_left_as_it_is(tmp_path: Path) -> None:
    half = load_config(env="Acrobot-v1", agent="dqn", overrides=(*LEARNING, *GAME, "training.steps=300"))
    train(half, console=Lines(), root=tmp_path)
    run = RunFolder(tmp_path / "one")
    before = run.config.read_text()
    other = half.training.model_copy(update={"streams": 3, "steps": 400})
    with pytest.raises(ConfigError, match=r"training\.streams is 2 .* cannot become 3"):
        train(half.model_copy(update={"training": other}), console=Lines(), root=tmp_path, resume="one")
    other = half.model_copy(update={"env": "CartPole-v1", "training": half.training.model_copy(update={"steps": 400})})
    with pytest.raises(ConfigError, match="env is 'Acrobot-v1' .* cannot become 'CartPole-v1'"):
        train(other, console=Lines(), root=tmp_path, resume="one")
    assert run.config.read_text() == before


def test_a_film_that_fails_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any) -> Path:
        raise RuntimeError("no GL context")

    monkeypatch.setattr("angle_domains.training.trainer.make_film", broken)
    shape = (*LEARNING, *GAME, "training.steps=300", "training.films=2")
    console = Lines()
    [result] = train(load_config(env="CartPole-v1", agent="dqn", overrides=shape), console=console, root=tmp_path)
    assert result.status == "FINISHED"
    assert "no film: RuntimeError: no GL context" in console.told


def test_event_files_show_action_values_gradients_and_the_end_of_the_film(tmp_path: Path) -> None:
    shape = (*LEARNING, *GAME, "training.films=1", "tracking.tensorboard=true")
    train(load_config(env="CartPole-v1", agent="dqn", overrides=shape), console=Lines(), root=tmp_path)
    events = read_events(tmp_path / "one")
    tags = events.Tags()
    assert tags["histograms"] == ["value/q", "gradient/torso", "gradient/advantage"]
    assert [event.step for event in events.Histograms("value/q")] == [768, 1_200]
    assert [event.histogram_value.num for event in events.Histograms("value/q")] == [16, 16]  # 8 rows of 2 actions
    [image] = events.Images("film/ending")
    assert (image.step, image.width, image.height) == (768, 8 * 240 + 7 * 2, 160)
