"""The report of a policy for recorded patients: what it is worth as far as records tell, and where they do not."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from angle_domains.errors import ConfigError
from angle_domains.evaluation import Verdict
from angle_domains.evaluation.clinical import BANNER, ClinicalValue
from angle_domains.evaluation.clinical_value import METHODS
from angle_domains.evaluation.words import count
from angle_domains.interval import limited
from angle_domains.ope.estimators import ESTIMATORS
from angle_domains.ope.value import Estimate
from angle_domains.report import RunSummary
from angle_domains.report.page import (
    Cell,
    Row,
    definitions,
    flatten,
    paragraph,
    section,
    table,
    tiles,
    write_page,
)
from angle_domains.report.patients.card import write_card
from angle_domains.report.patients.chart import value_chart
from angle_domains.report.patients.decisions import decisions
from angle_domains.report.patients.flow import flow
from angle_domains.report.patients.guidelines import Item, items
from angle_domains.report.patients.numbers import numbers, write_json
from angle_domains.report.patients.practice import outcomes, practices
from angle_domains.report.patients.shown import OVERRIDDEN, absent, between, precise
from angle_domains.report.patients.subgroups import subgroups
from angle_domains.tables import AGENTS


def write_report(verdict: Verdict, run: RunSummary, path: Path) -> Path:
    """Writes the page of a full verdict, and beside it all its numbers as JSON and a model card in Markdown.

    ConfigError where the verdict is quick.
    """
    found: ClinicalValue | None = verdict.detail
    if found is None:
        raise ConfigError("a report needs a full verdict: Terms(..., full=True)")
    study, path = found.study, Path(path)
    sections = [
        headline(found, run),
        key_numbers(found, run),
        value(found),
        diagnostics(found),
        bearing(found),
        calibration(found),
        flow(study.flow) if study else "",
        practices(study, found.valued) if study else "",
        outcomes(study) if study else "",
        subgroups(study.groups, found.level) if study else "",
        decisions(found),
        assumptions(found),
        guidelines(items(found, run)),
        *run.beside,
        provenance(found, run),
    ]
    page = write_page(path, f"{run.name}: {run.agent} on {found.name}", [part for part in sections if part])
    content = numbers(found, run, sentence(found))
    write_json(content, path.with_suffix(".json"))
    write_card(content, path.with_suffix(".md"))
    return page


def headline(found: ClinicalValue, run: RunSummary) -> str:
    """Name and cohort in a line, and what is known in words."""
    rows = found.rows
    seen = "that training never saw" if found.split == "test" else "that training has seen, or was chosen by"
    told = " · practised on a model of the training patients" if practised(run) else ""
    cohort = f"{count(len(np.unique(rows.entity)), 'patient')}, {count(len(rows.starts), 'stay')}"
    return (
        f"<header><h1>{escape(run.name)}</h1>"
        f'<p class="kicker">{escape(run.agent)} on {escape(found.name)} · {escape(found.split)} part, {cohort} '
        f"{seen}{told} · <b>{escape(BANNER)}</b></p>"
        f'<div class="verdict {standing(found)}" id="verdict"><p>{escape(sentence(found))}</p></div>'
        "</header>"
    )


def practised(run: RunSummary) -> bool:
    """Whether the agent acted in a model of patients; else it read their records."""
    offline = run.agent in AGENTS and AGENTS[run.agent].offline
    return not offline and run.config.get("training", {}).get("source") != "records"


def standing(found: ClinicalValue) -> str:
    """ "better" or "worse" than what was recorded where the whole interval of the gain is, else "alike"."""
    gain = found.estimates["WIS"].gain if "WIS" in found.estimates else None
    if gain is None or gain.includes_zero or found.overridden:
        return "alike"
    return "better" if gain.low > 0.0 else "worse"


def sentence(found: ClinicalValue) -> str:
    """What these records say of the policy."""
    if not found.estimates:
        return "Its value is not estimable: off-policy evaluation of continuous doses is not offered."
    chosen = found.estimates.get("WIS", next(iter(found.estimates.values())))
    if chosen.refused:
        return f"Its value is {chosen.judgement.words()}."
    if found.overridden:
        return f"Its value should have been refused: {chosen.words()}."
    word = {"better": "More than", "worse": "Less than", "alike": "Not told apart from"}[standing(found)]
    told = f"{word} what the recorded decisions earned ({precise(found.observed_told)} a stay)"
    which = "the policy as sampled" if found.intent.sampled else "its likeliest actions"
    return f"{told}: {chosen.words()} (of {which})."


def key_numbers(found: ClinicalValue, run: RunSummary) -> str:
    entries = [("Observed", precise(found.observed_told), "mean return of the records")]
    for name in ("WIS", "DR"):
        if name in found.estimates:
            entries.append((name, *_number(found.estimates[name])))
    own = "discrete" if found.intent.policy is not None else "continuous"
    alike = f"{found.agreement:.1%}" if own == "discrete" else f"{found.agreement:.3g}"
    entries.append(("Agreement" if own == "discrete" else "Dose difference", alike, "with the recorded decisions"))
    if found.q_self is not None:
        entries.append(("q_self", f"{found.q_self:.4g}", "the agent's own belief, no value"))
    if found.truth is not None:
        entries.append(("Truth", f"{found.truth:.4f}", "exact: the process is known"))
    if found.truth_in_use is not None:
        entries.append(("Truth in use", f"{found.truth_in_use:.4f}", "of its likeliest actions"))
    if found.ward is not None:
        entries.append(
            ("True survival", f"{found.ward.survival:.3f}", f"± {1.96 * found.ward.error:.3f}, made-up patients")
        )
        entries.append(
            ("True end alive", f"{found.ward.paid:.3f}", "not cut: what the reward survival pays, and estimates tell")
        )
    entries.append(("Trained", f"{run.steps:,}", "decisions in a model of patients" if practised(run) else "updates"))
    return tiles(entries)


def _number(estimate: Estimate) -> tuple[str, str]:
    if estimate.value is None:
        if estimate.judgement.withheld:
            return "not told", "few patients died or few lived"
        return "refused" if estimate.refused else "none", "not estimable"
    error, mark = estimate.standard_error, OVERRIDDEN if estimate.overridden else ""
    if estimate.interval is None:
        return precise(estimate.value, error), f"no interval{mark}"
    return precise(estimate.value, error), between((estimate.interval.low, estimate.interval.high), error) + mark


def value(found: ClinicalValue) -> str:
    """Every estimator, its interval or why there is none."""
    if not found.estimates:
        return ""
    text = (
        f"Return of a stay, {found.discounting}. {found.level} intervals by {METHODS[found.judging.interval]}; "
        f"{found.judging.draws:,} resamples. The policy valued is {found.valued}. An estimate is refused where the "
        "records hold too little of what the policy would do."
    )
    both = found.judging.interval != "percentile"
    columns = (f"interval ({found.judging.interval})", *(("interval (percentile)",) if both else ()))
    blank = [""] * (len(columns) + 1)
    chart = value_chart(found.estimates, found.observed_told, found.truth)
    if found.refused:
        verdict = next(iter(found.estimates.values())).judgement.words()
        rows: list[Row] = [[", ".join(ESTIMATORS), absent(verdict), *blank, ""]]
    else:
        rows = [[name, *_cells(estimate, both=both)] for name, estimate in found.estimates.items()]
    rows.append(["observed", precise(found.observed_told), *blank, "what the recorded decisions earned"])
    if found.truth is not None:
        rows.append(["truth", f"{found.truth:.4f}", *blank, "exact: the process is known"])
    if found.truth_in_use is not None:
        rows.append(["truth in use", f"{found.truth_in_use:.4f}", *blank, "of its likeliest actions, exact"])
    head = ("estimator", "value", *columns, "standard error", "remarks")
    return section("What is it worth?", paragraph(text), chart, table(head, rows), name="value")


def _cells(estimate: Estimate, *, both: bool) -> Sequence[str | Cell]:
    error = estimate.standard_error
    shown = (estimate.interval, estimate.resampled) if both else (estimate.interval,)
    ends = ["" if each is None else between((each.low, each.high), error) for each in shown]
    remarks = [*estimate.judgement.reasons, *estimate.judgement.warnings, *estimate.notes]
    if estimate.overridden:
        remarks.insert(0, "should have been refused")
    told = Cell("; ".join(remarks), attributes=' class="remark"')
    return precise(estimate.value, error), *ends, "" if error is None else limited(error, 2), told


def diagnostics(found: ClinicalValue) -> str:
    if not found.estimates:
        return ""
    told = next(iter(found.estimates.values())).diagnostics.lines()
    return section("How far do the records reach?", *(paragraph(_begun(line)) for line in told), name="diagnostics")


def bearing(found: ClinicalValue) -> str:
    """What the estimates rest on, what holds at any sample size, and what hidden confounding would do to them."""
    told = list(found.robust.lines()) if found.robust is not None else []
    if found.fitted:
        told.append(f"fitted values: {found.fitted}")
    if found.foreseen is not None:
        told.append(f"MODEL: {'' if found.foreseen.credible else 'no estimate; '}{found.foreseen.words()}")
    if found.estimates and found.behaviour != "known":
        told.append(f"propensities: none were recorded; a {found.behaviour} model stands in, fitted across patients")
    if found.split == "test" and found.openings > 1:
        told.append(
            f"test patients were opened {count(found.openings, 'time')} in this experiment: the best of several looks "
            "is too good"
        )
    if not told:
        return ""
    return section("How much do these numbers bear?", *(paragraph(_begun(line)) for line in told), name="bearing")


def _begun(line: str) -> str:
    """A line of the terminal as a sentence of a page."""
    return line[:1].upper() + line[1:]


def calibration(found: ClinicalValue) -> str:
    """Of what was estimated to judge the policy; nothing where propensities were recorded."""
    fitted = next((each.diagnostics.calibration for each in found.estimates.values()), None)
    if fitted is None:
        return ""
    rows: list[Row] = [["behaviour policy (cross-fitted)", f"{fitted.error:.3f}", f"{fitted.log_loss:.3f}"]]
    text = "Expected calibration error of the likeliest action over ten bins, and mean log loss of what was done."
    head = ("estimated", "calibration error", "log loss")
    return section("How well is it calibrated?", paragraph(text), table(head, rows), name="calibration")


def assumptions(found: ClinicalValue) -> str:
    if not found.estimates:
        return ""
    names = dict.fromkeys(line for estimate in found.estimates.values() for line in estimate.assumptions)
    items = "".join(f"<li>{escape(line)}</li>" for line in names)
    return section("What must be true for it", f"<ul>{items}</ul>", name="assumptions")


def guidelines(found: Sequence[Item]) -> str:
    """Every item, folded away."""
    rows: list[Row] = [
        [f"{each.guideline} {each.number}", Cell(each.name, attributes=' class="remark"'), each.status,
         Cell(each.where, attributes=' class="remark"')]
        for each in found
    ]  # fmt: skip
    tally = {status: sum(each.status == status for each in found) for status in ("covered", "in part", "not reported")}
    told = ", ".join(f"{number} {status}" for status, number in tally.items())
    text = (
        "TRIPOD+AI is for models that predict, DECIDE-AI for first trials at the bedside; this is neither, and much of "
        "both is for people to report."
    )
    inside = table(("item", "what it asks", "status", "where"), rows, own=2)
    folded = f"<details><summary>{escape(told)}</summary>{inside}</details>"
    return section("What do reporting guidelines ask?", paragraph(text), folded, name="guidelines")


def provenance(found: ClinicalValue, run: RunSummary) -> str:
    """The cohort and how it was trained, for whoever wants to do it again."""
    facts = {f"records: {name}": text for name, text in flatten(found.source).items()}
    if found.study:
        facts["records: SHA-256"] = found.study.digest
    facts |= {
        "test part opened": count(run.test_openings, "time"),
        "seed": ", ".join(map(str, run.seeds)),
        **run.provenance,
    }
    links = "".join(f'<p><a href="{escape(address)}">{escape(name)}</a></p>' for name, address in run.links.items())
    columns = f"<details><summary>Columns</summary>{definitions(found.study.columns)}</details>" if found.study else ""
    config = f"<details><summary>Configuration</summary>{definitions(flatten(run.config))}</details>"
    return section("Provenance", definitions(facts), links, columns, config if run.config else "", name="provenance")
