"""Verdicts under other terms than the run's own, and folders that hold what is not theirs."""

import shutil
from pathlib import Path

import pytest

from angle_domains.config import load_config
from angle_domains.errors import CheckpointError, ConfigError
from angle_domains.policy import load_policy
from angle_domains.runs import RunFolder
from angle_domains.training import evaluate, train
from tests.angle_domains.training.worlds import Lines, the_run

SHORT = ("training.steps=512", "training.evaluate_every=512", "training.test_episodes=2", "device=cpu")


def played(root: Path, name: str, *overrides: str, agent: str = "ppo") -> None:
    """A run of a few seconds on CartPole."""
    given = (f"name={name}", "training.films=false", "tracking.uri=off", *SHORT, *overrides)
    config = load_config(agent=agent, env="CartPole-v1", overrides=given)
    train(config, console=Lines(), root=root)


def test_a_verdict_under_other_terms_has_its_own_page_and_leaves_the_runs_numbers(tmp_path: Path) -> None:
    played(tmp_path, "one", "tracking.uri=null")
    page, before = tmp_path / "one" / "report.html", the_run(tmp_path).data
    told = page.read_text()
    [other] = evaluate("one", episodes=3, seeds=(5, 6), root=tmp_path)
    assert other.report == tmp_path / "one" / "report-test-3-episodes-seeds-5-6.html"
    assert any(str(page) in line for line in other.lines)
    assert page.read_text() == told
    after = the_run(tmp_path).data
    assert after.metrics == before.metrics | {"test/openings": 2.0}
    assert after.tags == before.tags
    [again] = evaluate("one", root=tmp_path)  # under its own terms
    assert again.report == page


def test_the_first_verdict_is_the_runs_own_whatever_its_terms(tmp_path: Path) -> None:
    played(tmp_path, "one", "tracking.uri=null", "training.test=never")
    [first] = evaluate("one", episodes=3, root=tmp_path)
    assert first.report == tmp_path / "one" / "report.html"
    assert the_run(tmp_path).data.metrics["test/return"] == pytest.approx(first.metrics["return"])


def test_a_checkpoint_of_another_run_is_not_taken_for_the_runs_own(tmp_path: Path) -> None:
    played(tmp_path, "one")
    played(tmp_path, "two", "agent.horizon=16", agent="a2c")
    own, foreign = (RunFolder(tmp_path / name).best.resolve() for name in ("one", "two"))
    assert own.name == foreign.name  # of the same step
    shutil.rmtree(own)
    shutil.copytree(foreign, own)
    for use in (lambda: load_policy("one", tmp_path), lambda: evaluate("one", root=tmp_path)):
        with pytest.raises(CheckpointError, match="another run: its agent is 'a2c', that of one 'ppo'"):
            use()
    assert load_policy(shutil.copytree(foreign, tmp_path / "alone")).config.agent_name == "a2c"  # stands for itself


def test_a_copied_run_does_not_write_into_the_run_it_was_copied_from(tmp_path: Path) -> None:
    played(tmp_path, "one", "tracking.uri=null")
    shutil.copytree(tmp_path / "one", tmp_path / "copy", symlinks=True)
    before = the_run(tmp_path).data.metrics
    with pytest.raises(ConfigError, match=r"copy and .*one are one run to MLflow|one and .*copy are one run"):
        evaluate("copy", root=tmp_path)
    assert the_run(tmp_path).data.metrics == before
    for file in ("tracking.json", "tracking.jsonl"):
        (tmp_path / "copy" / file).unlink()
    assert evaluate("copy", root=tmp_path)[0].exit_code == 0
    assert evaluate("one", root=tmp_path)[0].exit_code == 0
