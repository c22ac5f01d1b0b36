"""Which policy a value is of, what is told with it, and what is not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from angle_domains.evaluation import Terms
from angle_domains.evaluation.clinical import judge, play
from angle_domains.evaluation.icu_sepsis import judge as judge_process
from angle_domains.ope.settings import JudgingConfig
from angle_domains.report.clinical import write_report
from angle_domains.showing import Showing
from angle_domains.types import Decision, Percept
from feeds.clinical.config import ProcessConfig
from feeds.clinical.process import IcuSepsisFeed, clinician, exact_value
from tests.angle_domains.evaluation.test_clinical import RUN, Blind, Tabular, feed, few_die, verdict


def test_values_tables_and_agreement_are_of_one_policy_and_the_other_is_named(tmp_path: Path) -> None:
    """Of a policy that draws: agreement is the chance of what was done, and the tables are of decisions drawn."""
    found = verdict("clinician")
    rows = feed().episodes("test")
    decided = ~rows.last
    chance = found.detail.intent.policy[decided, rows.action[decided].astype(int)]
    assert found.metrics["agreement"] == pytest.approx(chance.mean())
    shares = [level.meant for level in found.detail.study.practices[1].levels]
    drawn = found.detail.intent.policy[decided].reshape(-1, 5, 5).sum(1).mean(0)
    assert shares == pytest.approx(drawn, abs=0.02)
    likeliest = np.bincount(found.detail.intent.action[decided].astype(int) % 5, minlength=5) / decided.sum()
    assert shares != pytest.approx(likeliest, abs=0.02)
    alone = np.eye(25)[clinician().argmax(1)]
    assert found.metrics["true_value"] == pytest.approx(exact_value(alone), abs=1e-9)
    told = "policy valued: sampled: drawn from its probabilities; in use it takes its likeliest action"
    assert any(line.startswith(told) for line in found.lines)
    page = write_report(found, RUN, tmp_path / "report.html").read_text()
    assert page.count("sampled: drawn from its probabilities") == 2
    assert "(of the policy as sampled)" in page
    value = json.loads((tmp_path / "report.json").read_text())["value"]
    assert value["policy_valued"].startswith("sampled: ")
    assert (value["truth"], value["truth_in_use"]) == (
        found.metrics["sampled_value"],
        found.metrics["true_value"],
    )
    greedy = verdict("optimum")
    assert "policy valued: mode: its likeliest action, as in use" in greedy.lines
    assert "sampled_value" not in greedy.metrics


def test_true_value_means_the_same_of_the_log_and_of_the_process() -> None:
    process = IcuSepsisFeed(ProcessConfig(observation="state", mask=False))

    class States:
        def act(self, percept: Percept, memory: Any, *, explore: bool) -> Decision:
            log_prob = torch.from_numpy(np.log(np.maximum(clinician(), 1e-12)))
            return Decision(log_prob.argmax(-1), None, {"log_probs": log_prob})

    there = judge_process(process, States(), Terms("test")).metrics  # type: ignore[arg-type]
    here = verdict("clinician").metrics
    for name in ("true_value", "sampled_value"):
        assert here[name] == pytest.approx(there[name], abs=1e-6)


def test_stays_of_a_part_whose_outcomes_are_not_told_are_shown_without_end_and_return() -> None:
    lines = list(play(few_die(), Blind(), Showing(split="validation", episodes=3)))  # type: ignore[arg-type]
    ends = [line for line in lines if line.startswith(("stay 1: ", "stay 2: ", "stay 3: "))]
    assert ends == [f"stay {n}: its end and return are not told: few patients died or few lived" for n in (1, 2, 3)]
    assert not [line for line in lines if "return " in line and "not told" not in line]


def test_intervals_and_discounting_are_as_the_settings_say(tmp_path: Path) -> None:
    settings = JudgingConfig(rollouts=0, interval="bca", draws=200, level=0.8, gamma=0.99)
    found = judge(feed(), Tabular(clinician()), Terms("test", judging=settings))  # type: ignore[arg-type]
    plain = verdict("clinician")
    wis = found.detail.estimates["WIS"]
    assert wis.interval.high - wis.interval.low < found.detail.estimates["WIS"].standard_error * 4
    assert wis.resampled.low < wis.value < wis.resampled.high
    assert (
        "values are discounted by 0.99 an hour; 80% intervals by resampled patients (BCa), 200 resamples" in found.lines
    )
    assert found.metrics["observed"] < plain.metrics["observed"] - 0.05
    assert found.metrics["sampled_value"] == pytest.approx(0.99**3 * exact_value(clinician(), 0.99**4))
    assert found.metrics["wis"] == pytest.approx(found.metrics["sampled_value"], abs=0.05)
    assert found.detail.robust.guarantee.found.level == 0.8
    assert "no E-value: returns are discounted" in "\n".join(found.lines)
    page = write_report(found, RUN, tmp_path / "report.html").read_text()
    assert "80% intervals by resampled patients (BCa); 200 resamples" in page
    assert ">interval (bca)<" in page
    content = json.loads((tmp_path / "report.json").read_text())["value"]
    assert content["gamma"] == 0.99
    assert content["intervals"] == {"method": "bca", "level": 0.8, "draws": 200, "beside": "resampled"}
    assert "80% interval (bca)" in (tmp_path / "report.md").read_text()


def test_both_kinds_of_interval_stand_side_by_side_and_short_ones_are_marked(tmp_path: Path) -> None:
    found = verdict("clinician")
    page = write_report(found, RUN, tmp_path / "report.html").read_text()
    assert page.index(">interval (influence)<") < page.index(">interval (percentile)<")
    content = json.loads((tmp_path / "report.json").read_text())["value"]
    for each in (content["estimates"]["WIS"], content["estimates"]["DR"]):
        assert each["resampled"]["low"] == pytest.approx(each["interval"]["low"], abs=0.02)
    told = {name: "; ".join(each["notes"]) for name, each in content["estimates"].items()}
    few = "its interval covers less than it says: 0.87 of simulations in place of .95"
    assert few in told["MIS"]
    assert few in told["CWPDIS"]
    assert few not in told["WIS"] + told["DR"]
    value = page.split('id="value"')[1].split("</section>")[0]
    assert value.count(few) == sum(few in line for line in found.lines) == 2
