import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from angle_domains.errors import ConfigError
from angle_domains.evaluation import Terms
from angle_domains.evaluation.episodes import Chance
from angle_domains.evaluation.games import GameScores, judge
from angle_domains.report import RunSummary
from angle_domains.report.games import histogram, write_report
from tests.games import LadderFeed

RUN = RunSummary(name="<climb>", feed="classic", agent="dqn", seeds=(0,), steps=10, curve=((1, 0.5), (2, 2.0)))


def test_the_page_says_how_well_how_surely_and_by_which_protocol(tmp_path: Path) -> None:
    chance = Chance(LadderFeed.spec.action_space, 1)
    verdict = judge(LadderFeed(), chance, Terms("test", episodes=20, seeds=(0, 1)))
    page = write_report(verdict, RUN, tmp_path / "report.html").read_text()
    assert "&lt;climb&gt;" in page
    assert "<climb>" not in page
    for told in ("40 whole episodes", "No skill shown", "Interquartile mean", "Human-normalised", "protocol: steps"):
        assert told in page, told
    assert page.count("<tr>") == 1 + 2  # a line for each seed under the head
    assert "http" not in page.replace("http://www.w3.org", "")


def test_the_page_of_a_virtual_patient_says_that_it_is_research(tmp_path: Path) -> None:
    verdict = judge(LadderFeed(), Chance(LadderFeed.spec.action_space, 1), Terms("test", episodes=2, seeds=(0, 1)))
    for feed, said in (("glucose", True), ("classic", False)):
        page = write_report(verdict, replace(RUN, feed=feed), tmp_path / "report.html").read_text()
        assert ("Research, not for care." in page) == said


def test_a_quick_verdict_has_no_page(tmp_path: Path) -> None:
    verdict = judge(LadderFeed(), Chance(LadderFeed.spec.action_space, 1), Terms("test", full=False))
    with pytest.raises(ConfigError, match="full verdict"):
        write_report(verdict, RUN, tmp_path / "report.html")


def test_whole_returns_have_a_bar_each_and_others_share_bins() -> None:
    def bars(*returns: float) -> str:
        array = np.array(returns)
        nothing = GameScores.__new__(GameScores)
        object.__setattr__(nothing, "returns", (array,))
        return histogram(nothing)

    few = bars(20.0, 20.0, 23.0)
    for value in ("20", "21", "22", "23"):
        assert f">{value}<" in few
    assert ">20.5<" not in few
    assert " to " in bars(0.1, 0.2, 0.35, 7.0)


def test_episodes_are_counted_in_whole_numbers() -> None:
    nothing = GameScores.__new__(GameScores)
    object.__setattr__(nothing, "returns", (np.repeat(np.linspace(0.5, 9.5, 4), (10, 1, 1, 1)),))
    ticks = re.findall(r'<span class="y"[^>]*>([^<]+)<', histogram(nothing))
    assert ticks == ["0", "5", "10"]
