"""The judge of policies for patients, on records whose process is known."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from gymnasium import spaces

from angle_domains.errors import ConfigError
from angle_domains.evaluation import Terms, Verdict
from angle_domains.evaluation.clinical import judge, play, under
from angle_domains.ope.settings import JudgingConfig
from angle_domains.report import RunSummary
from angle_domains.report.clinical import standing, write_report
from angle_domains.report.patients.latex import write_tables
from angle_domains.showing import Showing
from angle_domains.types import Decision, Percept
from feeds.base import FeedSpec
from feeds.clinical.config import ClinicalConfig
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.process import clinician, exact_value, optimal_policy
from feeds.clinical.truth import known_states
from tests.feeds.clinical.tables import ROLES, table
from tests.feeds.clinical.tables import feed as clinical_feed
from tests.logs import rows_of

PLAIN = {"masks": False, "since": False, "elapsed": False}
TERMS = Terms("test", judging=JudgingConfig(rollouts=0), trials=2)
RUN = RunSummary(name="<ward>", feed="clinical", agent="bc", seeds=(0,), steps=10)


@cache
def feed() -> ClinicalFeed:
    return ClinicalFeed(ClinicalConfig(states=PLAIN))  # type: ignore[arg-type]


class Tabular:
    """A policy by state, found again by what is shown of it."""

    def __init__(self, policy: np.ndarray, *, greedy: bool = False) -> None:
        known = known_states(feed())
        assert known is not None
        self.states, self.greedy = torch.from_numpy(known), greedy
        self.log_prob = torch.from_numpy(np.log(np.maximum(policy, 1e-12)))

    def act(self, percept: Percept, memory: Any, *, explore: bool) -> Decision:
        place = torch.cdist(percept.obs.double(), self.states.double()).argmin(1)
        told = {"q": self.log_prob[place]} if self.greedy else {"log_probs": self.log_prob[place]}
        return Decision(self.log_prob[place].argmax(-1), None, told)


class Always:
    def __init__(self, action: int) -> None:
        self.action = action

    def act(self, percept: Percept, memory: Any, *, explore: bool) -> Decision:
        q = torch.zeros(len(percept.obs), 2)
        q[:, self.action] = 1.0
        return Decision(q.argmax(-1), None, {"q": q})


@cache
def verdict(name: str) -> Verdict:
    policy = clinician() if name == "clinician" else optimal_policy()
    return judge(feed(), Tabular(policy, greedy=name == "optimum"), TERMS)  # type: ignore[arg-type]


def test_the_clinicians_own_policy_earns_what_was_observed_and_its_truth_is_exact() -> None:
    found = verdict("clinician")
    assert found.metrics["wis"] == pytest.approx(found.metrics["observed"], abs=1e-3)
    assert found.metrics["sampled_value"] == pytest.approx(exact_value(clinician()), abs=1e-9)
    assert found.metrics["wis_low"] < found.metrics["sampled_value"] < found.metrics["wis_high"]
    assert found.metrics["refused"] == 0.0


def test_the_optimum_is_refused_although_it_is_the_best() -> None:
    found = verdict("optimum")
    assert found.metrics["refused"] == 1.0
    assert not {"wis", "dr", "dm", "is"} & set(found.metrics)
    assert found.metrics["true_value"] == pytest.approx(exact_value(optimal_policy()), abs=1e-9)
    assert any("not estimable" in line for line in found.lines)


def test_a_quick_verdict_is_one_number_and_has_no_page(tmp_path: Path) -> None:
    quick = judge(feed(), Tabular(clinician()), Terms("validation", full=False))  # type: ignore[arg-type]
    assert 0.7 < quick.score < 0.85
    assert (quick.ranked, quick.by) == (True, "DR on the validation part")
    assert quick.metrics["refused"] == 0.0
    unknown = judge(feed(), Tabular(optimal_policy(), greedy=True), Terms("validation", full=False))  # type: ignore[arg-type]
    assert unknown.metrics["refused"] == 1.0
    assert not unknown.ranked
    assert unknown.by.startswith("not estimable: ")
    with pytest.raises(ConfigError, match="full verdict"):
        write_report(quick, RUN, tmp_path / "report.html")


def test_a_policy_of_which_nothing_is_known_has_no_score() -> None:
    """Returns are penalties: a score of 0 would be the best there is."""
    rows = rows_of([{"obs": [0, 1], "action": [0], "reward": [-float(n % 2)], "ended": True} for n in range(40)])
    shown = SimpleNamespace(
        spec=FeedSpec("log", spaces.Box(-9, 9, (1,), np.float32), spaces.Discrete(2)),
        episodes=lambda _: replace(rows, propensity=np.ones(len(rows))),
    )
    found = [judge(shown, Always(action), Terms("validation", full=False)) for action in (0, 1)]  # type: ignore[arg-type]
    assert [verdict.ranked for verdict in found] == [True, False]
    assert found[0].score == pytest.approx(-0.5)
    last = Terms("validation", full=False, judging=JudgingConfig(checkpoint="last"))
    assert not judge(shown, Always(0), last).ranked  # type: ignore[arg-type]


def test_truth_is_told_only_where_an_observation_is_a_state() -> None:
    assert known_states(ClinicalFeed(ClinicalConfig())) is None
    known = known_states(feed())
    assert known is not None
    shown = {row.tobytes() for row in known}
    for split in ("train", "validation", "test"):
        rows = feed().episodes(split)
        assert {row.tobytes() for row in rows.observation[~rows.last]} <= shown


def test_the_page_says_what_is_known_and_what_is_refused(tmp_path: Path) -> None:
    kept = write_report(verdict("clinician"), RUN, tmp_path / "kept.html").read_text()
    refused = write_report(verdict("optimum"), RUN, tmp_path / "refused.html").read_text()
    for page in (kept, refused):
        assert "Research, not for care." in page
        assert "&lt;ward&gt;" in page
        assert "fewer than 11 patients are not shown" in page
        assert "http" not in page.replace("http://www.w3.org", "")
    assert "practised on a model" not in kept
    other = RunSummary(name="<ward>", feed="clinical", agent="ppo", config={"training": {"source": None}})
    assert (
        "practised on a model of the training patients"
        in write_report(verdict("clinician"), other, tmp_path / "ppo.html").read_text()
    )
    assert "Not told apart from what the recorded decisions earned" in kept
    assert "not estimable" in refused
    chart = [page.split('id="value"')[1].split("</section>")[0] for page in (kept, refused)]
    assert 'class="forest"' in chart[0]
    assert 'class="forest"' not in chart[1]


def test_stays_are_told_decision_by_decision() -> None:
    lines = list(play(feed(), Tabular(clinician()), Showing(split="validation", episodes=2)))  # type: ignore[arg-type]
    assert lines[0].startswith("stay 1, hour 0: recorded ")
    assert sum("return" in line for line in lines) == 2
    assert lines[-1] == "Research, not for care."


def test_a_verdict_tells_what_it_bears() -> None:
    found = verdict("clinician")
    told = "\n".join(found.lines)
    assert "fitted values by counting" in told
    assert "lower bound: at least" in told
    assert "hidden confounding: " in told
    assert "E-value" in told
    assert "balance of first states, stays weighted: largest difference 0.00 SD" in told
    assert "test patients were opened 2 times in this experiment" in told
    assert found.metrics["lower_bound"] < found.metrics["wis"]
    assert {"mis", "dm", "dr"} <= set(found.metrics)
    assert "model" not in found.metrics
    assert found.tags == {"ope.verdict": "estimable"}
    value = found.detail
    assert value.robust.sensitivity.tipping == pytest.approx(1.0, abs=1e-3)
    assert value.behaviour == "known"


def test_a_refused_policy_still_has_a_lower_bound() -> None:
    found = verdict("optimum")
    assert 0.0 <= found.metrics["lower_bound"] < found.metrics["true_value"]
    assert found.detail.robust.sensitivity is None
    assert found.tags["ope.verdict"].startswith("not estimable: weights average")


def test_what_is_overridden_has_names_of_its_own(tmp_path: Path) -> None:
    settings = JudgingConfig(rollouts=0, override=True)
    found = judge(feed(), Tabular(optimal_policy(), greedy=True), Terms("validation", judging=settings))  # type: ignore[arg-type]
    assert {"overridden_wis", "overridden"} <= set(found.metrics)
    assert not {"wis", "dr", "dm", "is", "mis"} & set(found.metrics)
    assert found.tags["ope.overridden"] == "true"
    assert found.tags["ope.verdict"].startswith("OVERRIDDEN, not estimable: ")
    assert not found.ranked
    page = write_report(found, RUN, tmp_path / "report.html").read_text()
    assert standing(found.detail) == "alike"
    assert "Its value should have been refused: " in page
    assert "overridden" in page.split(">WIS<")[1].split(">DR<")[0]  # the tile
    assert "WIS (overridden)" in page.split('id="value"')[1].split("<table")[0]  # the chart
    card = (tmp_path / "report.md").read_text()
    write_tables(tmp_path / "report.json", tmp_path)
    tables = [(tmp_path / f"{name}.tex").read_text() for name in ("value", "policies")]
    shown = {name for name, each in found.detail.estimates.items() if each.value is not None}
    for text in (card, tables[0]):
        assert text.count(" (overridden: should have been refused)") == len(shown) > 3
        assert "should have been refused: weights average" in text
    assert tables[1].count("(overridden)") == len({"DM", "WIS", "DR"} & shown) > 0


def few_die() -> ClinicalFeed:
    """Five of 200 patients; who decides by chance decides as was recorded, and so is estimable."""
    dies = pl.col("subject_id").is_in([f"MRN{7000 + 40 * k + 1}" for k in range(5)])
    frame = table(200).with_columns(
        death=dies.cast(pl.Int64),
        traj_end_reason=pl.when(dies).then(pl.lit("death")).otherwise(pl.lit("discharge")),
        propensity=pl.lit(1 / 12),
    )
    roles = ROLES | {"propensity": "propensity"}
    return clinical_feed(frame, roles=roles, splits={"train_fraction": 0.1, "validation_fraction": 0.1})


class Blind:
    """Any of twelve actions."""

    def act(self, percept: Percept, memory: Any, *, explore: bool) -> Decision:
        log_probs = torch.full((len(percept.obs), 12), -float(np.log(12)))
        return Decision(log_probs.argmax(-1), None, {"log_probs": log_probs})


def leaves(content: Any) -> Iterator[Any]:
    if isinstance(content, dict | list):
        for each in content.values() if isinstance(content, dict) else content:
            yield from leaves(each)
    else:
        yield content


def test_what_was_observed_follows_from_no_estimate_where_few_died(tmp_path: Path) -> None:
    shown = few_die()
    quickly = replace(TERMS, judging=JudgingConfig(rollouts=0, fqe_updates=20))
    found = judge(shown, Blind(), quickly)  # type: ignore[arg-type]
    rows = shown.episodes("test")
    observed = float(rows.reward.sum() / len(rows.starts))
    assert observed not in (0.0, 1.0)
    told = "not told: few patients died or few lived"
    assert not found.ranked
    assert found.tags["ope.verdict"] == told
    assert not {"observed", "wis", "is", "dr", "dm", "mis", "lower_bound"} & set(found.metrics)
    page = write_report(found, RUN, tmp_path / "report.html").read_text()
    content = json.loads((tmp_path / "report.json").read_text())
    card = (tmp_path / "report.md").read_text()
    write_tables(tmp_path / "report.json", tmp_path)
    for text in ("\n".join(found.lines), page, content["verdict"], card, (tmp_path / "value.tex").read_text()):
        assert told in text.replace("Not told", "not told")
    for each in content["value"]["estimates"].values():
        assert not [key for key in ("value", "interval", "gain", "standard_error", "truncation") if each[key]]
    assert (content["value"]["robust"], content["value"]["model_of_patients"]) == (None, None)
    numbers = [*leaves(content), *found.metrics.values()]
    assert not [each for each in numbers if isinstance(each, float) and abs(each - observed) < 1e-6]


def test_neither_a_quick_look_nor_a_selection_tells_of_few_deaths() -> None:
    shown = few_die()
    quick = judge(shown, Blind(), Terms("test", full=False))  # type: ignore[arg-type]
    assert (quick.ranked, quick.score, set(quick.metrics)) == (False, 0.0, {"agreement"})
    assert quick.lines == ("test: not told: few patients died or few lived",)
    with pytest.raises(ConfigError, match="no estimate is told and none can select"):
        under(shown, Blind(), Terms("test"))  # type: ignore[arg-type]


def test_a_quick_verdict_of_continuous_doses_tells_no_outcome() -> None:
    class Nothing:
        def act(self, percept: Percept, memory: Any, *, explore: bool) -> Decision:
            return Decision(torch.zeros(len(percept.obs), 2), None, {})

    shown = clinical_feed(actions={"codec": "box"})
    quick = judge(shown, Nothing(), Terms("validation", full=False))  # type: ignore[arg-type]
    assert set(quick.metrics) == {"agreement", "refused"}
    assert not quick.ranked
    assert "observed" not in "".join(quick.lines)


def test_estimated_propensities_are_told_and_have_no_guarantee() -> None:
    rows = rows_of(
        [{"obs": [n % 2, 0.5], "action": [n % 3 > 0], "reward": [float(n % 2)], "ended": True} for n in range(120)]
    )
    shown = SimpleNamespace(
        spec=FeedSpec("log", spaces.Box(-9, 9, (1,), np.float32), spaces.Discrete(2)),
        episodes=lambda _: rows,
        describe=lambda: {"name": "log", "profile": {}},
    )
    settings = JudgingConfig(rollouts=0, behaviour={"kind": "boosting", "trees": 5})  # type: ignore[arg-type]
    found = judge(shown, Mixed(), Terms("test", judging=settings))  # type: ignore[arg-type]
    told = "\n".join(found.lines)
    assert "propensities: none were recorded; a boosting model stands in" in told
    assert "lower bound: none, the propensities are estimated" in told
    assert "lower_bound" not in found.metrics


class Mixed:
    """Both actions, one as likely as the other."""

    def act(self, percept: Percept, memory: Any, *, explore: bool) -> Decision:
        log_probs = torch.full((len(percept.obs), 2), float(np.log(0.5)))
        return Decision(log_probs.argmax(-1), None, {"log_probs": log_probs})
