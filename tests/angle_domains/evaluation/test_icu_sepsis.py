"""The judge of policies on ICU-Sepsis itself, held against values that are published."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from angle_domains.errors import ConfigError
from angle_domains.evaluation import Terms
from angle_domains.evaluation.icu_sepsis import judge, play, policy_of
from angle_domains.report import RunSummary
from angle_domains.report.icu_sepsis import write_report
from angle_domains.showing import Showing
from angle_domains.types import Decision, Percept
from feeds.clinical.config import ProcessConfig
from feeds.clinical.process import (
    IcuSepsisFeed,
    clinician,
    exact_value,
    expected_steps,
    expected_visits,
    optimal_policy,
)
from feeds.data.icu_sepsis import DEATH, read_counts

FEED = IcuSepsisFeed(ProcessConfig(observation="state"))
RUN = RunSummary(name="<ward>", feed="icu-sepsis", agent="dqn", curve=((1, 0.8), (2, 0.85)), steps=2)


class Table:
    """Does what a table says of the state that it sees, one-hot."""

    def __init__(self, policy: np.ndarray, *, greedy: bool = True, remembers: bool = False) -> None:
        self.policy, self.greedy, self.remembers = torch.from_numpy(policy), greedy, remembers

    def act(self, percept: Percept, memory: Any, *, explore: bool) -> Decision:
        chance = self.policy[percept.obs.argmax(-1)]
        told = {"q": 2.0 * chance} if self.greedy else {"log_probs": chance.clamp(min=1e-12).log()}
        return Decision(chance.argmax(-1), percept.last if self.remembers else None, told)


def verdict(agent: Any, **terms: Any) -> Any:
    return judge(FEED, agent, Terms("test", **terms))


def test_the_optimum_is_worth_what_is_published_and_gains_all() -> None:
    found = verdict(Table(optimal_policy()))
    assert found.score == found.metrics["true_value"] == pytest.approx(0.87514, abs=6e-6)
    assert found.metrics["gained"] == pytest.approx(1.0)
    assert found.metrics["length"] == pytest.approx(10.99, abs=6e-3)
    assert found.metrics["inadmissible"] == 0.0
    assert found.metrics["q_self"] == pytest.approx(2.0)
    assert "Better than the clinicians: 9.3 more of 100 patients survive, 100%" in found.lines[-2]
    assert found.lines[-1] == "Research, not for care."


def test_probabilities_are_valued_beside_the_likeliest_action() -> None:
    """What clinicians do is worth .78184 where it is drawn; forbidden actions among it are not taken."""
    open_feed = IcuSepsisFeed(ProcessConfig(observation="state", mask=False))
    found = judge(open_feed, Table(clinician(), greedy=False), Terms("test"))  # type: ignore[arg-type]
    assert found.metrics["sampled_value"] == pytest.approx(0.78184, abs=6e-6)
    allowed = clinician() * read_counts().admissible
    allowed[DEATH:] = 1.0
    theirs = exact_value(allowed / allowed.sum(1, keepdims=True))
    assert verdict(Table(clinician(), greedy=False)).metrics["sampled_value"] == pytest.approx(theirs, abs=1e-9)


def test_random_actions_are_spread_over_what_is_allowed() -> None:
    even = read_counts().admissible / np.maximum(read_counts().admissible.sum(1, keepdims=True), 1)
    even[DEATH:] = 1.0 / 25
    mixed = 0.7 * optimal_policy() + 0.3 * even
    assert verdict(Table(optimal_policy()), epsilon=0.3).score == pytest.approx(exact_value(mixed), abs=1e-9)


def test_a_quick_verdict_has_the_same_score_in_one_line() -> None:
    full, quick = (verdict(Table(optimal_policy(worst=True)), full=full) for full in (True, False))
    assert quick.score == full.score == pytest.approx(0.63299, abs=6e-6)
    assert quick.detail is None
    assert len(quick.lines) == 1
    assert "Worse than the clinicians: 14.9 fewer of 100" in full.lines[-2]


def test_a_policy_that_remembers_is_measured_on_patients() -> None:
    found = verdict(Table(optimal_policy(), remembers=True))
    assert "true_value" not in found.metrics
    assert found.metrics["standard_error"] == pytest.approx(np.sqrt(0.875 * 0.125 / 2_000), rel=0.1)
    assert abs(found.score - 0.87514) < 3 * found.metrics["standard_error"]
    with pytest.raises(ConfigError, match="memory has no policy"):
        policy_of(FEED, Table(optimal_policy(), remembers=True))  # type: ignore[arg-type]


def test_visits_count_the_decisions_of_an_episode() -> None:
    visits = expected_visits(clinician())
    assert visits.sum() == pytest.approx(expected_steps(clinician()))
    assert not visits[DEATH:].any()
    barred = ~read_counts().admissible
    assert visits @ (clinician() * barred).sum(1) / visits.sum() == pytest.approx(0.12, abs=0.01)


def test_the_page_shows_all_beside_each_other(tmp_path: Path) -> None:
    page = write_report(verdict(Table(optimal_policy())), RUN, tmp_path / "report.html").read_text()
    assert "&lt;ward&gt;" in page
    for number in ("0.8751", "0.7818", "0.7801"):
        assert number in page
    for part in ('id="value"', 'id="learning"', 'id="decisions"', "Research, not for care."):
        assert part in page
    assert "http" not in page.replace("http://www.w3.org", "")
    measured = verdict(Table(optimal_policy(), remembers=True))
    assert "standard error" in write_report(measured, RUN, tmp_path / "other.html").read_text()
    with pytest.raises(ConfigError, match="full verdict"):
        write_report(verdict(Table(clinician()), full=False), RUN, tmp_path / "none.html")


def test_patients_are_told_decision_by_decision() -> None:
    lines = list(play(FEED, Table(optimal_policy()), Showing(split="validation", episodes=3, seed=1)))  # type: ignore[arg-type]
    assert lines[0].startswith("patient 1, hour 0: SOFA ")
    ends = [line for line in lines if "after" in line]
    assert [line.split()[1] for line in ends] == ["1", "2", "3"]
    assert all("survived" in line or "died" in line for line in ends)
    with pytest.raises(ConfigError, match="no picture"):
        next(play(FEED, Table(clinician()), Showing(human=True)))  # type: ignore[arg-type]
