"""A clinical report in all of its forms, which say the same."""

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from angle_domains.config import load_config
from angle_domains.errors import CheckpointError, ConfigError
from angle_domains.evaluation import Terms, Verdict
from angle_domains.evaluation.clinical import ClinicalValue
from angle_domains.evaluation.cohort import Intended
from angle_domains.evaluation.patients.study import study_of
from angle_domains.ope.diagnostics import Calibration
from angle_domains.ope.episodes import from_rows
from angle_domains.ope.value import OpeConfig, evaluate
from angle_domains.report import RunSummary
from angle_domains.report.clinical import write_report
from angle_domains.report.patients.chart import value_chart
from angle_domains.report.patients.guidelines import items
from angle_domains.report.patients.latex import escaped, write_tables
from angle_domains.report.patients.numbers import read_json
from angle_domains.runs import RunFolder
from angle_domains.training.tables import write_tables as tables_of_run
from tests.feeds.clinical.tables import ROLES, feed, table

RUN = RunSummary(
    name="a_run", feed="clinical", agent="cql", seeds=(3,), steps=10, test_openings=1,
    config={"agent": {"alpha": 0.01}}, provenance={"git.commit": "abc"},
)  # fmt: skip


@cache
def value(patients: int = 400, calibrated: bool = False, far: bool = False) -> ClinicalValue:
    """Of a policy that does as clinicians do, or nearly never does."""
    frame = table(patients).with_columns(propensity=pl.lit(1 / 12))
    roles = ROLES | {"propensity": "propensity", "site": "site"}
    made = feed(frame, roles=roles, splits={"train_fraction": 0.2, "validation_fraction": 0.1})
    rows = made.episodes("test")
    policy = np.full((len(rows), 12), 1 / 12)
    if far:
        policy = np.eye(12)[np.full(len(rows), 11)]
    intent = Intended(policy.argmax(1), policy, np.tile(np.arange(12.0), (len(rows), 1)))
    episodes = from_rows(rows, policy)
    known = Calibration(0.02, 1.2) if calibrated else None
    found = evaluate(episodes, 1.0, OpeConfig(draws=20), calibration=known)
    told = study_of(made, "test", rows, intent, episodes, Terms("test"))
    seen = float(np.mean([rows.reward[a:b].sum() for a, b in zip(rows.starts, rows.stops, strict=True)]))
    source = made.describe()["profile"]
    return ClinicalValue("test", "ward", rows, made.spec, intent, seen, found, 0.5, 0.4, 0.61, source, study=told)


def written(found: ClinicalValue, folder: Path) -> tuple[str, dict[str, Any], str]:
    page = write_report(Verdict("test", 0.0, {}, (), found), RUN, folder / "report.html")
    return page.read_text(), read_json(folder / "report.json"), (folder / "report.md").read_text()


def test_page_json_and_card_say_the_same(tmp_path: Path) -> None:
    page, content, card = written(value(), tmp_path)
    for text in (page, card, content["banner"]):
        assert "Research, not for care." in text
    assert (content["schema"], content["version"]) == ("angle-domains/clinical-report", 2)
    assert content["value"]["estimates"]["WIS"]["value"] == pytest.approx(value().observed)
    assert content["value"]["truth"] == 0.61
    for part in content["cohort"]["parts"]:
        assert f"<span>{part['patients']} patients</span>" in page
        assert f"| {part['name']} | {part['patients']} |" in card
    for group in content["subgroups"]:
        assert f"{group['column']}: {group['label']}" in page
        assert f"{group['column']}: {group['label']}" in card
    for name in ("cohort", "practice", "outcomes", "subgroups", "guidelines", "value", "decisions", "assumptions"):
        assert f'<section id="{name}">' in page
    assert "action_vaso 0, norepinephrine 0 to 0.1 µg/kg/min (0.05)" in page
    assert content["value"]["q_self"]["all_decisions"]["meant"] == 0.0  # of the first action, which it would take
    assert "http" not in page.replace("http://www.w3.org", "")


def test_no_care_is_promised(tmp_path: Path) -> None:
    """A report tells what was seen: it recommends nothing to anybody at a bedside."""
    page, content, card = written(value(), tmp_path)
    prose = re.sub(r"<(style|script).*?</\1>", "", page, flags=re.S) + card + json.dumps(content)
    for word in (
        "should be given",
        "should receive",
        "we recommend",
        "is safe",
        "is effective",
        "administer",
        "treat with",
    ):
        assert word not in prose.lower()


def test_counts_stand_in_the_right_number(tmp_path: Path) -> None:
    page, _, _ = written(value(), tmp_path)
    assert "opened</dt><dd>1 time</dd>" in page
    assert not re.search(r"(?<![\d,.])1 (patients|stays|decisions|deaths|times)\b", page)


def test_calibration_is_told_where_something_was_estimated(tmp_path: Path) -> None:
    page, _, _ = written(value(), tmp_path)
    other, content, _ = written(value(calibrated=True), tmp_path)
    assert 'id="calibration"' not in page
    assert 'id="calibration"' in other
    assert content["value"]["diagnostics"]["calibration"] == {"error": 0.02, "log_loss": 1.2}


def test_of_few_patients_nothing_is_told(tmp_path: Path) -> None:
    """Eight patients: neither what they earned nor who died, in no form."""
    page, content, card = written(value(12, far=True), tmp_path)
    assert content["value"]["observed"] is None
    assert all(each["deaths"] is None and each["value"] is None for each in content["subgroups"])
    assert all(part["deaths"] is None for part in content["cohort"]["parts"])
    assert "– deaths (not told)" in page
    assert "| observed | – |" in card
    for each in content["practice"]:
        assert each["dead"]["given"]["patients"] is None
        assert all(count is None or count == 0 for count in each["starts_given"]["counts"].values())


def test_every_item_of_the_guidelines_stands_in_it_once() -> None:
    found = items(value(), RUN)
    tripod = [each.number for each in found if each.guideline == "TRIPOD+AI"]
    decide = [each.number for each in found if each.guideline == "DECIDE-AI"]
    assert tripod == [str(number) for number in range(1, 28)]
    roman = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X"]
    assert decide == [*(str(number) for number in range(1, 18)), *roman]
    assert all(bool(each.where) == (each.status != "not reported") for each in found)
    status = {(each.guideline, each.number): each.status for each in found}
    for number in ("2", "13", "17", "19", "24", "27"):
        assert status["TRIPOD+AI", number] == "not reported"
    assert status["DECIDE-AI", "13"] == status["DECIDE-AI", "X"] == "not reported"


def test_what_is_not_there_is_not_covered() -> None:
    """Without a study, a configuration, a commit or estimates hardly anything is."""
    bare = items(replace(value(), study=None, estimates={}), RunSummary(name="a", feed="clinical", agent="bc"))
    assert not [each for each in bare if each.status == "covered"]
    assert {each.number for each in bare if each.status == "in part"} == {"1", "5", "25"}
    grouped = {(each.guideline, each.number): each.status for each in items(value(), RUN)}
    alone = replace(value(), study=replace(value().study, groups=()))  # type: ignore[type-var]
    assert grouped["DECIDE-AI", "VIII"] == "covered"
    assert [each.status for each in items(alone, RUN) if each.number == "VIII"] == ["not reported"]


def test_sections_that_items_name_are_on_the_page(tmp_path: Path) -> None:
    page, _, _ = written(value(), tmp_path)
    heads = {head.rstrip("?") for head in re.findall(r"<h2>(.*?)</h2>", page)}
    for each in items(value(), RUN):
        for name in ("Who was studied", "What would it do", "For whom", "What is it worth", "What must be true for it",
                     "How far do the records reach", "Provenance"):  # fmt: skip
            assert name not in each.where or name in heads
    assert "<summary>Configuration</summary>" in page
    assert "<summary>Columns</summary>" in page


def test_all_estimators_are_on_one_axis_with_clinicians_and_truth() -> None:
    found = value()
    chart = value_chart(found.estimates, 0.6, 0.61)
    assert chart.count('class="forest"') == 1
    assert chart.count("<b style") == len(found.estimates)
    assert "clinicians 0.6<" in chart
    assert "truth 0.61<" in chart
    assert value_chart(value(far=True).estimates, 0.6, None) == ""  # all are refused


def test_tables_are_whole(tmp_path: Path) -> None:
    written(value(), tmp_path)
    paths = write_tables(tmp_path / "report.json", tmp_path / "tex")
    assert {path.stem for path in paths} == {"policies", "value", "initiation", "outcomes", "odds", "subgroups"}
    for path in paths:
        text = path.read_text()
        columns = len(re.findall("[lr]", re.search(r"tabular}{([lr]+)}", text).group(1)))  # type: ignore[union-attr]
        rows = [line for line in text.splitlines() if line.endswith(r"\\")]
        assert len(rows) > 1
        assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {columns}
        assert r"\toprule" in text
        assert "Research, not for care." in text
        assert not re.search(r"(?<!\\)[%_#$](?!.*usepackage)", text.split("\n", 1)[1].split(r"\begin{tabular}")[1])
    policies = (tmp_path / "tex" / "policies.tex").read_text()
    assert r"action\_vaso conc. \%" in policies
    assert "cql & 0.01 &" in policies
    assert escaped("5 % of a_b & µg") == r"5 \% of a\_b \& \textmu{}g"


def test_a_file_that_is_no_report_makes_no_tables(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("{}")
    with pytest.raises(CheckpointError, match="is no clinical report"):
        write_tables(path, tmp_path)
    path.write_text(json.dumps({"schema": "angle-domains/clinical-report", "version": 9}))
    with pytest.raises(CheckpointError, match="version 9, wanted"):
        write_tables(path, tmp_path)


def test_feeds_without_tables_say_so(tmp_path: Path) -> None:
    RunFolder(tmp_path / "one").create(load_config(feed="market", agent="ppo").to_dict())
    with pytest.raises(ConfigError, match="reports of the feed 'market' have no tables in LaTeX, those of clinical do"):
        list(tables_of_run("one", "test", tmp_path / "tex", tmp_path))
