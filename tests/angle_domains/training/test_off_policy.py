"""Runs that learn off policy: killed again and again they end as if nothing had been; games go on as they can."""

import multiprocessing
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from angle_domains.config import AgentConfig, load_config
from angle_domains.errors import ConfigError
from angle_domains.runs import RunFolder
from angle_domains.training import train
from tests.angle_domains.tracking.worlds import read_events
from tests.angle_domains.training.conftest import SMALL
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


def market(prices: Path, *overrides: str) -> AgentConfig:
    feed = [text for text in SMALL if not text.startswith("agent.")]
    shape = ("feed.actions.mode=portfolios", "feed.actions.portfolios=[[1, 0, 0], [0, 1, 0], [0, 0, 0]]")
    texts = (f"feed.path={prices}", *feed, *shape, *LEARNING, "name=one", *overrides)
    return load_config(feed="market", agent="dqn", overrides=texts)


def weights(run: RunFolder) -> dict[str, bytes]:
    state, _, _ = run.load_last()
    core = state["agent"]["core"]
    return {f"{net}/{name}": t.numpy().tobytes() for net in ("online", "target") for name, t in core[net].items()}


def go_on(config: AgentConfig, root: Path) -> None:
    """What a process does that is to be killed: begins the run, or goes on with it."""
    begun = (root / config.name / "last").exists() if config.name else False
    train(config, console=Lines(), root=root, resume=config.name if begun else None)


@pytest.mark.parametrize("moments", [5, pytest.param(20, marks=pytest.mark.gate)])
def test_killed_at_random_moments_a_run_ends_as_if_nothing_had_been(prices: Path, tmp_path: Path, moments: int) -> None:
    steps = (f"training.steps={600 * moments}", f"training.evaluate_every={200 * moments}")
    config = market(prices, "training.checkpoint_every=256", *steps)
    train(config, console=Lines(), root=tmp_path / "whole")

    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["angle_domains.training", "angle_domains.agents.dqn", "feeds.market.feed"])
    chance, run, kills = random.Random(1), RunFolder(tmp_path / "one"), 0
    while True:
        process = forks.Process(target=go_on, args=(config, tmp_path))
        before = run.last.resolve() if run.last.exists() else None
        process.start()
        while process.is_alive() and (not run.last.exists() or run.last.resolve() == before):
            time.sleep(0.005)  # else nothing would ever be gained
        if kills < moments:
            process.join(chance.uniform(0.0, 0.1))
            process.kill()
            kills += 1
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    assert kills == moments
    assert weights(run) == weights(RunFolder(tmp_path / "whole" / "one"))
    assert run.note()["curve"] == RunFolder(tmp_path / "whole" / "one").note()["curve"]


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
