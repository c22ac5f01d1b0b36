"""Runs that learn from recorded patients, and runs that practise on a model of them."""

from pathlib import Path
from typing import Any

import pytest

from angle_domains import checkpoint
from angle_domains.config import AgentConfig, load_config
from angle_domains.errors import ConfigError
from angle_domains.runs import RunFolder
from angle_domains.tables import make_feed
from angle_domains.training import evaluate, train
from angle_domains.training.trainer import AgentTrainer
from angle_domains.training.verdicts import judge_run, terms_of
from tests.angle_domains.training.worlds import Lines
from tests.contracts.trees import assert_same

SMALL = (
    "feed.path=synth-vaso",
    "feed.patients=80",
    "feed.actions.codec=binary",
    "feed.actions.columns=[action_vaso]",
    "training.threads=1",
    "training.evaluate_every=400",
    "training.checkpoint_every=100",
    "training.model.updates=30",
    "training.model.members=2",
    "training.judging.rollouts=1",
    "training.judging.fqe_updates=1_000",
    "training.streams=4",
    "device=cpu",
    "tracking.uri=off",
)


R2D2 = ("agent.replay.warm_up=1", "agent.replay.batch=8")


def configure(agent: str, *overrides: str, feed: str = "clinical", steps: int = 400) -> AgentConfig:
    return load_config(feed=feed, agent=agent, overrides=(*SMALL, f"training.steps={steps}", *overrides))


def test_a_run_on_records_ends_with_its_report_and_the_test_part_opened_once(tmp_path: Path) -> None:
    [result] = train(configure("cql", "name=one"), console=Lines(), root=tmp_path)
    assert result.status == "FINISHED"
    assert result.report is not None
    page = result.report.read_text()
    assert "Research, not for care." in page
    assert "Research, not for care." in result.lines
    assert any(line.startswith(("WIS: ", "value: not estimable", "value: not told")) for line in result.lines)
    assert any(line.startswith("q_self: ") for line in result.lines)
    assert len(RunFolder(tmp_path / "one").note()["test_opened"]) == 1
    [again] = evaluate("one", root=tmp_path)
    assert again.metrics == result.metrics


@pytest.mark.parametrize(
    ("agent", "more"),
    [("cql", ()), ("bcq", ()), ("rcql", ()), ("ppo", ("agent.horizon=16", "agent.anneal_steps=null"))],
)
def test_a_run_that_goes_on_is_the_one_that_never_stopped(agent: str, more: tuple[str, ...], tmp_path: Path) -> None:
    replay = () if agent == "ppo" else ("agent.replay.batch=8",)
    steps = 384 if agent == "ppo" else 300
    for name, first in (("straight", steps), ("broken", steps // 3 * 2)):
        train(configure(agent, f"name={name}", *more, *replay, steps=first), console=Lines(), root=tmp_path)
    whole = configure(agent, "name=broken", *more, *replay, steps=steps)
    train(whole, console=Lines(), resume="broken", root=tmp_path)
    broken, straight = (RunFolder(tmp_path / name).load_last()[0] for name in ("broken", "straight"))
    assert_same(broken["agent"], straight["agent"])
    assert_same(broken["replay"], straight["replay"])


def practise(root: Path, steps: int, **more: Any) -> list[str]:
    """A run that practises; what it told."""
    console = Lines()
    config = configure("ppo", "name=one", "agent.horizon=16", "agent.anneal_steps=null", steps=steps)
    train(config, console=console, root=root, **more)
    return console.told


def test_the_model_is_kept_with_the_run_and_not_fitted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "fitting the model of patients" in practise(tmp_path, 128)
    kept = tmp_path / "one" / "patient-model"
    assert {file.name for file in kept.iterdir()} == {"manifest.json", "state.json", "tensors.safetensors"}
    before, _ = checkpoint.load(kept)
    with monkeypatch.context() as patch:
        patch.setattr("metalearn.dynamics.Dynamics.learn", None)  # who fitted one would fail
        assert "fitting the model of patients" not in practise(tmp_path, 256, resume="one")
        evaluate("one", root=tmp_path)
    assert_same(checkpoint.load(kept)[0], before)


def test_a_model_that_is_damaged_is_fitted_anew_to_the_same_bits(tmp_path: Path) -> None:
    practise(tmp_path, 128)
    kept = tmp_path / "one" / "patient-model"
    before, _ = checkpoint.load(kept)
    with (kept / "tensors.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    told = practise(tmp_path, 256, resume="one")
    assert any("damaged" in line and "fitted anew" in line for line in told)
    assert_same(checkpoint.load(kept)[0], before)


def test_the_rows_of_a_log_are_not_written_again(tmp_path: Path) -> None:
    train(configure("bc", "name=one", steps=100), console=Lines(), root=tmp_path)
    assert not list((tmp_path / "one").rglob("*rows*"))


def trainer(config: AgentConfig, path: Path) -> Any:
    return AgentTrainer(config, RunFolder(path / "run"), Lines())


def test_any_agent_with_a_replay_can_read_records_as_a_control(tmp_path: Path) -> None:
    small = ("training.source=records", *R2D2)
    for agent in ("dqn", "r2d2"):
        config = configure(agent, *small, steps=200)
        assert type(trainer(config, tmp_path).experience).__name__ == "Read"


def test_settings_that_do_not_fit_are_told_before_a_model_is_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metalearn.patient_model.PatientModel", None)  # who asked for one would fail otherwise
    with pytest.raises(ConfigError, match="ends before agent.replay.warm_up=50,000"):
        trainer(configure("dqn", steps=200), tmp_path)


def test_an_agent_that_decides_by_rewards_is_refused_those_that_look_ahead(tmp_path: Path) -> None:
    small = ("training.source=records", *R2D2)
    ahead = "feed.reward.kind=oviss"
    with pytest.raises(ConfigError, match=r"'r2d2' decides by the rewards.* read 6 h ahead.*feed.reward.causal=true"):
        trainer(configure("r2d2", *small, ahead), tmp_path)
    trainer(configure("r2d2", *small, ahead, "feed.reward.causal=true"), tmp_path)
    trainer(configure("cql", ahead), tmp_path)  # which learns from them, and decides by what is observed


def test_nor_is_such_an_agent_judged_by_them(tmp_path: Path) -> None:
    """As a run of an earlier version could be."""
    train(configure("r2d2", "name=one", "training.source=records", *R2D2, steps=20), console=Lines(), root=tmp_path)
    folder = RunFolder(tmp_path / "one")
    config = configure("r2d2", "feed.reward.kind=oviss", *R2D2)
    with pytest.raises(ConfigError, match="read 6 h ahead"):
        judge_run(folder, config, make_feed("clinical", config.feed), terms_of(config, "test"), links={})


def test_what_cannot_meet_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'cql' needs recorded episodes, .*'classic' has none: clinical would do"):
        trainer(load_config(agent="cql", env="CartPole-v1", overrides=("tracking.uri=off",)), tmp_path)
    with pytest.raises(ConfigError, match="'ppo' learns from its own decisions alone.* choose bc, bcq, cql"):
        trainer(configure("ppo", "training.source=records"), tmp_path)
    for agent in ("nec", "ngu", "agent57"):
        with pytest.raises(ConfigError, match=f"'{agent}' learns from its own decisions alone"):
            trainer(configure(agent, "training.source=records"), tmp_path)
    with pytest.raises(ConfigError, match="'bc' learns from records alone"):
        trainer(configure("bc", "training.source=model"), tmp_path)
