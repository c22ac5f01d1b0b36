"""What the commands do with what a user typed: exit codes, sentences, and what they hand on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import angle_domains
from angle_domains.cli import main
from angle_domains.config import AgentConfig, load_config
from angle_domains.errors import TrainingError


@dataclass
class Result:
    lines: tuple[str, ...]
    exit_code: int = 0
    name: str = "some"
    status: str = "FINISHED"


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `train` was called with, in place of training."""
    from angle_domains import training

    calls: list[dict[str, Any]] = []

    def train(config: AgentConfig, **rest: Any) -> list[Result]:
        calls.append({"config": config, **rest})
        return [Result(("first", "second")), Result(("third",))]

    monkeypatch.setattr(training, "train", train)
    return calls


def run(*words: str) -> int:
    return main(list(words))


def test_version_and_an_empty_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"angle-domains {angle_domains.__version__}\n"
    assert run() == 2
    assert "train" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["tarin"], "Did you mean 'train'?"),
        (["train", "--stpes", "3"], "--steps"),
        (["train", "--steps", "many"], "--steps"),
        (["train", "--steps", "0"], "--steps"),
        (["train", "--agent", "ppo"], "no feed is named: give --feed (atari"),
        (["train", "--feed", "market"], "no agent is named: give --agent"),
        (["train", "--feed", "markt", "--agent", "ppo"], "did you mean 'market'?"),
        (["train", "--feed", "market", "--agent", "pppo"], "did you mean 'ppo'?"),
        (["train", "--env", "BreakotNoFrameskip-v4", "--agent", "dqn"], "did you mean 'BreakoutNoFrameskip-v4'?"),
        (["train", "--env", "PongNoFrameskip-v5", "--agent", "dqn"], "did you mean 'PongNoFrameskip-v4'?"),
        (["train", "--env", "PongDeterministic-v3", "--agent", "dqn"], "did you mean 'PongDeterministic-v4'?"),
        (["train", "--env", "ALE/Breakot-v5", "--agent", "dqn"], "did you mean 'ALE/Breakout-v5'?"),
        (["train", "--env", "Breakot", "--agent", "dqn"], "did you mean 'Breakout'?"),
        (["train", "--env", "MinAtar/Breakot-v1", "--agent", "dqn"], "did you mean 'MinAtar/Breakout-v1'?"),
        (["train", "--env", "CartPol-v1", "--agent", "dqn"], "did you mean 'CartPole-v1'?"),
        (
            ["train", "--feed", "retro", "--env", "Pong", "--agent", "dqn"],
            "belongs to the feed 'atari', not to 'retro'",
        ),
        (["train", "--feed", "minatar", "--env", "breakout", "--agent", "dqn"], "did you mean 'MinAtar/Breakout-v1'?"),
        (["train", "--env", "CartPole-v1", "--agent", "td3"], "a2c, agent57, dqn, nec, ngu, ppo, qrdqn, r2d2, rainbow"),
        (
            ["train", "--env", "SonicTheHedgehg-Genesis", "--agent", "dqn"],
            "did you mean 'SonicTheHedgehog-Genesis-v0'?",
        ),
        (["train", "--env", "InsectorX-Nes", "--agent", "dqn"], "`python -m stable_retro.import FOLDER`"),
        (["train", "--feed", "market", "--agent", "ppo", "--set", "agent.gama=1"], "did you mean 'agent.gamma'?"),
        (["train", "--feed", "market", "--agent", "ppo", "--device", "gpu"], "--device"),
        (["train", "--feed", "market", "--agent", "ppo", "--seeds", "0,x"], "--seeds 0,x: write whole numbers"),
        (["train", "--feed", "market", "--agent", "ppo", "--seeds", "1,1"], "the seeds should differ"),
        (["train", "--feed", "market", "--agent", "ppo", "--seeds", "1", "--seed", "2"], "cannot stand together"),
        (["train", "--feed", "market", "--agent", "ppo", "--config", "market/pp"], "did you mean 'market/ppo'?"),
        (["train", "--resume", "gone"], "no run 'gone'"),
        (["train", "--resume", "gone", "--config", "market/ppo"], "cannot stand together"),
        (["evaluate", "gone"], "no run 'gone'"),
        (["play", "--checkpoint", "gone"], "no run 'gone'"),
        (["play"], "--checkpoint"),
        (["feeds", "check", "gone.csv"], "gone.csv"),
        (["feeds", "check", "zzz"], "synthetic-mean-reverting, synthetic-regimes, synthetic-volatility"),
        (["feeds", "chek"], "Did you mean 'check'?"),
        (["feeds", "check", "sp500", "--set", "feed.colums.close=x"], "did you mean 'feed.columns"),
        (["feeds", "check", "sp500", "--set", "close=x"], "'close' is unknown"),
        (["configs", "show", "--feed", "market", "--agent", "a3c"], "did you mean 'a2c'?"),
        (["compare", "gone"], "does not exist"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    said = capsys.readouterr()
    assert told in said.err
    assert "Traceback" not in said.err
    assert not said.out


def test_a_failure_is_exit_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from angle_domains import training

    def explode(*_: Any, **__: Any) -> None:
        raise TrainingError("loss/policy became nan at step 512")

    monkeypatch.setattr(training, "train", explode)
    assert run("train", "--feed", "market", "--agent", "ppo") == 1
    assert capsys.readouterr().err == "error: loss/policy became nan at step 512\n"


def test_what_was_not_foreseen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from angle_domains import training

    def explode(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(training, "train", explode)
    words = ["train", "--feed", "market", "--agent", "ppo"]
    assert run(*words) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ZeroDivisionError: by nought\n")
    assert "--debug" in said
    assert "Traceback" not in said
    assert run(*words, "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (OSError(28, "No space left on device"), 2, "error: No space left on device (--debug shows"),
        (OSError(30, "Read-only file system", "/x/runs"), 1, "error: /x/runs: Read-only file system (--debug shows"),
    ],
)
def test_a_disk_that_does_not_take_more_is_one_sentence(
    error: OSError, code: int, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from angle_domains import training

    def explode(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(training, "train", explode)
    assert run("train", "--feed", "market", "--agent", "ppo") == code
    said = capsys.readouterr().err
    assert said.startswith(told)
    assert "Traceback" not in said


def test_debug_shows_the_traceback_of_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "--debug", "--agent", "ppo") == 2
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert said.rstrip().splitlines()[-1].startswith("error: no feed is named")


def test_an_interrupt_is_exit_code_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from angle_domains import training

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", interrupt)
    assert run("train", "--feed", "market", "--agent", "ppo") == 130
    assert "--resume" in capsys.readouterr().err


def test_train_hands_on_what_was_typed(trained: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    words = "train --feed market --algo ppo --steps 500 --streams 8 --seeds 3,1 --device cpu --name run --experiment e"
    words += " --sweep agent.alpha=0,1 --sweep seed=1"
    words += " --tracking-uri sqlite:///x.db --tensorboard --register m --set agent.gamma=0.5 --set feed.path=a.csv"
    assert run(*words.split()) == 0
    assert capsys.readouterr().out == "first\nsecond\nthird\n"
    (call,) = trained
    config = call["config"]
    assert (config.feed_name, config.agent_name, config.feed.path) == ("market", "ppo", "a.csv")
    assert (config.training.steps, config.training.streams, config.agent.gamma) == (500, 8, 0.5)
    assert (config.device, config.name, call["seeds"], call["resume"]) == ("cpu", "run", [3, 1], None)
    assert call["sweep"] == ["agent.alpha=0,1", "seed=1"]
    tracking = config.tracking
    assert (tracking.uri, tracking.experiment, tracking.register_as) == ("sqlite:///x.db", "e", "m")
    assert tracking.tensorboard is True


def test_resume_takes_the_configuration_of_the_run(tmp_path: Path, trained: list[dict[str, Any]]) -> None:
    from angle_domains.config_text import dump

    folder = tmp_path / "runs" / "old"
    folder.mkdir(parents=True)
    stored = load_config(feed="market", agent="a2c", overrides=["agent.gamma=0.25"], options={"seed": 11})
    (folder / "config.yaml").write_text(dump(stored.to_dict()))
    assert run("train", "--resume", "old", "--steps", "123") == 0
    (call,) = trained
    assert call["resume"] == "old"
    assert call["config"].training.steps == 123
    assert (call["config"].agent.gamma, call["config"].seed) == (0.25, 11)
    assert run("train", "--resume", "old", "--agent", "ppo") == 2


def test_resume_takes_the_configuration_of_a_group_of_seeds(tmp_path: Path, trained: list[dict[str, Any]]) -> None:
    from angle_domains.runs import RunFolder, write_group

    stored = load_config(feed="market", agent="a2c", overrides=["agent.gamma=0.25"], options={"name": "many"})
    folder = RunFolder(tmp_path / "runs" / "many")
    folder.path.mkdir(parents=True)
    write_group(folder, stored.to_dict(), [("seed-3", {"seed": 3})])
    assert run("train", "--resume", "many") == 0
    (call,) = trained
    assert (call["resume"], call["seeds"], call["config"]) == ("many", None, stored)


def test_the_first_failure_of_several_runs_is_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    from angle_domains import training

    monkeypatch.setattr(training, "train", lambda *_, **__: [Result(()), Result((), 143), Result((), 1)])
    assert run("train", "--feed", "market", "--agent", "ppo") == 143


def test_evaluate_hands_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from angle_domains import training

    calls: list[Any] = []
    monkeypatch.setattr(training, "evaluate", lambda *a, **k: calls.append((a, k)) or [Result(("told",))])
    assert run("evaluate", "some", "--split", "validation") == 0
    assert run("evaluate", "some", "--episodes", "7", "--seeds", "3,4") == 0
    root = {"root": Path("runs"), "overrides": (), "override": False}
    assert calls[0] == (("some",), {"split": "validation", "episodes": None, "seeds": (), **root})
    assert calls[1] == (("some",), {"split": "test", "episodes": 7, "seeds": [3, 4], **root})
    key = "training.judging.cut=20"
    assert run("evaluate", "one", "two", "--override", "--set", key) == 0
    assert [call[0] for call in calls[2:]] == [("one",), ("two",)]
    assert all(call[1]["overrides"] == (key,) and call[1]["override"] for call in calls[2:])
    assert capsys.readouterr().out == "told\n" * 4


def test_select_hands_on_and_chooses_by_validation_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from angle_domains import training

    calls: list[Any] = []
    monkeypatch.setattr(training, "evaluate", lambda *a, **k: calls.append((a, k)) or [Result(("told",))])
    monkeypatch.setattr(training, "select_run", lambda names, judge, **_: judge(names[1]))
    assert run("evaluate", "one", "two", "--select") == 0
    assert [(call[0], call[1]["split"]) for call in calls] == [(("two",), "test")]
    assert run("evaluate", "one", "two", "--select", "--split", "validation") == 2
    assert "--split validation and --select cannot stand together" in capsys.readouterr().err


def test_compare_and_ui_hand_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from angle_domains import compare, ui

    calls: list[Any] = []
    monkeypatch.setattr(compare, "compare", lambda *a, **k: calls.append((a, k)) or iter(["row", "page"]))
    monkeypatch.setattr(ui, "serve", lambda **k: calls.append(k))
    assert run("compare", "a", "b") == 0
    assert run("compare", "--last", "3", "--filter", "tags.agent = 'ppo'", "--experiment", "e") == 0
    assert run("ui", "--port", "0", "--no-open") == 0
    rest = {"root": Path("runs"), "uri": None}
    assert calls[0] == ((["a", "b"],), {"last": None, "filter": None, "experiment": None, **rest})
    assert calls[1] == (((),), {"last": 3, "filter": "tags.agent = 'ppo'", "experiment": "e", **rest})
    assert calls[2] == {"port": 0, "open_browser": False, **rest}
    assert capsys.readouterr().out == "row\npage\n" * 2
