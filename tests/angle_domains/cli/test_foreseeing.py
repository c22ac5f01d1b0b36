"""Forecasts, risks and adaptation on the command line: files, a page, and one sentence for every mistake."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from angle_domains.cli import main
from angle_domains.runs import RunFolder
from tests.angle_domains.training.test_beside import settings, trained


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short runs, one of them without models."""
    folder = tmp_path_factory.mktemp("runs")
    for name, on in (("with", True), ("without", False)):
        config = settings("ppo", **{"meta.on": on, "meta.risk.event": "end", "training.steps": 1_024})
        RunFolder(folder / name).create(config.to_dict())
        trained(config, folder / name)
    return folder


@pytest.fixture(autouse=True)
def here(runs: Path) -> None:
    shutil.copytree(runs, Path("runs"), symlinks=True)


def test_forecasts_and_risks_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forecast", "--run", "with", "--out", "f.parquet", "--episodes", "3"]) == 0
    assert "4 entries" in capsys.readouterr().out
    table = pl.read_parquet("f.parquet")
    assert table["episode"].n_unique() == 3
    assert table["q05"].le(table["q95"]).all()
    assert main(["risk", "--run", "with", "--out", "r.parquet", "--split", "train", "--episodes", "3"]) == 0
    assert pl.read_parquet("r.parquet")["chance"].is_between(0.0, 1.0).all()


def test_adaptation_is_told_and_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapt", "--run", "with", "--support", "2e", "--episodes", "60"]) == 0
    said = capsys.readouterr().out
    assert "over 8 tasks" in said
    assert "0 episodes" in said
    page = Path("runs/with/adaptation.html").read_text()
    assert "learned prior" in page
    assert "NaN" not in page


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["forecast", "--run", "wiht", "--out", "f.parquet"], "did you mean 'with'?"),
        (["forecast", "--run", "without", "--out", "f.parquet"], "train one with --meta"),
        (["forecast", "--run", "with", "--out", "f.csv"], "ends in .parquet"),
        (["forecast", "--run", "with", "--out", "nowhere/f.parquet", "--episodes", "1"], "there is no folder nowhere"),
        (["forecast", "--run", "with", "--out", "f.parquet", "--split", "test"], "which count it"),
        (["risk", "--run", "with", "--out", "r.parquet", "--split", "now"], "has train, validation, test"),
        (["risk", "--run", "with", "--out", "r.parquet", "--set", "agent.gamma=1"], "but for those of its feed"),
        (["adapt", "--run", "with", "--support", "many"], "write rows as 24"),
        (["adapt", "--run", "with", "--support", "24", "--feed", "market"], "was trained on the feed 'classic'"),
        (["adapt", "--run", "with", "--support", "5000"], "give less"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    said = capsys.readouterr()
    assert told in said.err
    assert "Traceback" not in said.err
    assert not Path("f.parquet").exists()
