"""What the README shows is true: its agent trains, its data load, its folders and commands are there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from angle_domains.cli import main
from angle_domains.cli.app import app

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()


def block(opening: str, language: str = "") -> str:
    """The fenced block that begins with these words."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    blocks = [text for word, text in fences if word == language]
    (found,) = (block for block in blocks if block.startswith(opening))
    return found


def test_the_agent_is_found_by_its_entry_point_and_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "even.py").write_text(block("# even.py", "python"))
    (tmp_path / "even-1.0.dist-info").mkdir()
    (tmp_path / "even-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: even\nVersion: 1.0\n")
    points = block("[project", "toml").replace('project.entry-points."angle_domains.agents"', "angle_domains.agents")
    (tmp_path / "even-1.0.dist-info" / "entry_points.txt").write_text(points.replace('"', ""))
    monkeypatch.syspath_prepend(str(tmp_path))
    from angle_domains.config import load_config
    from angle_domains.loops import begin
    from angle_domains.replay import ReplayBuffer
    from angle_domains.tables import agent_spec, resolve
    from envs.vector import FeedVectorEnv
    from feeds.market.feed import MarketFeed

    config = load_config(feed="market", agent="even", overrides=["feed.path=synthetic-brownian", "agent.share=0.5"])
    feed = MarketFeed(config.feed)
    envs = FeedVectorEnv(feed, 4, split="train")
    spec = agent_spec("even")
    agent = resolve(spec.build)(config.agent, feed.spec, streams=4, seed=0, device="cpu")
    replay, state = ReplayBuffer.for_agent(agent, 4, 0), begin(envs, 0)
    reports = list(resolve(spec.loop)(agent, envs, replay, state, steps=200))
    assert reports[-1].step >= 200
    assert all(report.metrics["loss/policy"] == 0.0 for report in reports)


def test_the_data_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from feeds.market.config import MarketConfig
    from feeds.market.read import read_bars

    (tmp_path / "prices.csv").write_text(block("timestamp,symbol"))
    bars, _ = read_bars(MarketConfig(path=str(tmp_path / "prices.csv")))
    assert bars.symbols == ("AAA", "BBB")
    assert bars.shape == (2, 2)
    assert bars.tradable.tolist() == [[True, True], [True, False]]


def test_the_environments_are_made_without_an_import_of_ours() -> None:
    for opening in ("import gymnasium\n", "import gymnasium as gym\n"):
        code = block(opening, "python")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_every_command_line_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    root = typer.main.get_command(app)
    lines = [line for line in TEXT.replace("\\\n", " ").splitlines() if line.strip().startswith("angle-domains ")]
    assert len(lines) >= 10
    for line in lines:
        words = line.split("#")[0].split()[1:]
        command, depth = root, 0
        while depth < len(words) and words[depth] in getattr(command, "commands", {}):
            command, depth = command.commands[words[depth]], depth + 1  # type: ignore[attr-defined]
        assert depth > 0, line
        command.make_context(words[depth - 1], words[depth:])  # raises where an option is unknown
    assert main(["--help"]) == 0


def test_the_map_names_what_is_there() -> None:
    text = block("feeds/          sources")
    for folder in ("feeds", "envs", "metalearn", "angle_domains", "configs", "tests", "benchmarks"):
        assert f"{folder}/" in text
        assert (ROOT / folder).is_dir()
    inside = ("agents", "losses", "networks", "replay", "training", "evaluation", "report", "tracking", "cli")
    assert all(f"{name}/" in text and (ROOT / "angle_domains" / name).is_dir() for name in inside)
    modules = ("types", "loops", "compare", "ui", "checkpoint", "runs", "config", "tables")
    assert all((ROOT / "angle_domains" / f"{name}.py").is_file() for name in modules)
