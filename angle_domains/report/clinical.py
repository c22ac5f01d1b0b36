"""The report of a policy for recorded patients: what it is worth as far as records tell, and where they do not."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from angle_domains.errors import ConfigError
from angle_domains.evaluation import Verdict
from angle_domains.evaluation.clinical import BANNER, ClinicalValue
from angle_domains.evaluation.words import count
from angle_domains.interval import LEVEL
from angle_domains.ope.estimators import ESTIMATORS
from angle_domains.ope.value import Estimate
from angle_domains.report import RunSummary
from angle_domains.report.page import (
    Cell,
    Row,
    definitions,
    flatten,
    forest,
    paragraph,
    section,
    table,
    tiles,
    write_page,
)
from angle_domains.report.scales import linear
from angle_domains.tables import AGENTS

_FEWEST = 11  # patients in a cell that is shown
_ACTIONS = 40  # of the table


def write_report(verdict: Verdict, run: RunSummary, path: Path) -> Path:
    """Writes the page of a full verdict; ConfigError where the verdict is quick."""
    found: ClinicalValue | None = verdict.detail
    if found is None:
        raise ConfigError("a report needs a full verdict: Terms(..., full=True)")
    sections = [
        headline(found, run),
        key_numbers(found, run),
        value(found),
        diagnostics(found),
        decisions(found),
        assumptions(found),
        provenance(found, run),
    ]
    return write_page(Path(path), f"{run.name}: {run.agent} on {found.name}", [part for part in sections if part])


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
    if gain is None or gain.includes_zero:
        return "alike"
    return "better" if gain.low > 0.0 else "worse"


def sentence(found: ClinicalValue) -> str:
    """What these records say of the policy."""
    if not found.estimates:
        return "Its value is not estimable: off-policy evaluation of continuous doses is not offered."
    chosen = found.estimates.get("WIS", next(iter(found.estimates.values())))
    if chosen.refused:
        return f"Its value is {chosen.judgement.words()}."
    word = {"better": "More than", "worse": "Less than", "alike": "Not told apart from"}[standing(found)]
    told = f"{word} what the recorded decisions earned ({found.observed:.4g} a stay)"
    return f"{told}: {chosen.words()}."


def key_numbers(found: ClinicalValue, run: RunSummary) -> str:
    entries = [("Observed", f"{found.observed:.4g}", "mean return of the records")]
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
    if found.ward is not None:
        entries.append(
            ("True survival", f"{found.ward.survival:.3f}", f"± {1.96 * found.ward.error:.3f}, made-up patients")
        )
    entries.append(("Trained", f"{run.steps:,}", "decisions in a model of patients" if practised(run) else "updates"))
    return tiles(entries)


def _number(estimate: Estimate) -> tuple[str, str]:
    if estimate.value is None:
        return "refused" if estimate.refused else "none", "not estimable"
    if estimate.interval is None:
        return f"{estimate.value:.4g}", "no interval"
    return f"{estimate.value:.4g}", f"{estimate.interval.low:.4g} to {estimate.interval.high:.4g}"


def value(found: ClinicalValue) -> str:
    """Every estimator, its interval or why there is none."""
    if not found.estimates:
        return ""
    text = (
        f"Undiscounted return of a stay. {LEVEL:.0%} intervals by the influence of each patient. An estimate is "
        "refused where the records hold too little of what the policy would do."
    )
    shown = [
        (n, e.interval, f"{e.value:.4g}") for n, e in found.estimates.items() if e.interval and e.value is not None
    ]
    chart = ""
    if shown:
        reach = np.array([[i.low, i.high] for _, i, _ in shown] + [[found.observed] * 2])
        chart = forest(shown, linear(reach, count=5).ticks, ".4g")
    if found.refused:
        rows: list[Row] = [[name, "refused", "", "", ""] for name in ESTIMATORS]
    else:
        rows = [[name, *_cells(estimate)] for name, estimate in found.estimates.items()]
    rows.append(["observed", f"{found.observed:.4g}", "", "", "what the recorded decisions earned"])
    head = ("estimator", "value", "interval", "standard error", "remarks")
    return section("What is it worth?", paragraph(text), chart, table(head, rows), name="value")


def _cells(estimate: Estimate) -> Sequence[str | Cell]:
    between = "" if estimate.interval is None else f"{estimate.interval.low:.4g} to {estimate.interval.high:.4g}"
    number = "–" if estimate.value is None else f"{estimate.value:.4g}"
    error = "" if estimate.standard_error is None else f"{estimate.standard_error:.3g}"
    remarks = [*estimate.judgement.reasons, *estimate.judgement.warnings, *estimate.notes]
    if estimate.overridden:
        remarks.insert(0, "should have been refused")
    return number, between, error, "; ".join(remarks)


def diagnostics(found: ClinicalValue) -> str:
    if not found.estimates:
        return ""
    told = next(iter(found.estimates.values())).diagnostics.lines()
    return section("How far do the records reach?", *(paragraph(line) for line in told), name="diagnostics")


def decisions(found: ClinicalValue) -> str:
    """How often each action was taken, and how often the policy takes it; rare ones are not told apart."""
    rows, policy = found.rows, found.intent.policy
    if policy is None:
        return ""
    decided = ~rows.last
    taken = rows.action[decided].reshape(-1).astype(np.int64)
    number = policy.shape[1]
    theirs = np.bincount(taken, minlength=number)
    patients = np.array([len(np.unique(rows.entity[decided][taken == action])) for action in range(number)])
    ours = policy[decided].mean(0)
    agree = np.array([policy[decided][taken == a, a].mean() if (taken == a).any() else np.nan for a in range(number)])
    order = np.argsort(-theirs, kind="stable")[:_ACTIONS]
    shown: list[Row] = []
    for action in order:
        few = patients[action] < _FEWEST
        recorded = f"< {_FEWEST} patients" if few else f"{theirs[action] / len(taken):.1%}"
        same = "" if few else f"{agree[action]:.0%}"
        shown.append([str(action), recorded, f"{ours[action]:.1%}", same])
    head = ("action", "recorded", "policy", "policy agrees, where it was taken")
    text = f"Shares of all decisions. Cells of fewer than {_FEWEST} patients are not shown."
    return section("What would it do?", paragraph(text), table(head, shown, own=2), name="decisions")


def assumptions(found: ClinicalValue) -> str:
    if not found.estimates:
        return ""
    names = dict.fromkeys(line for estimate in found.estimates.values() for line in estimate.assumptions)
    items = "".join(f"<li>{escape(line)}</li>" for line in names)
    return section("What must be true for it", f"<ul>{items}</ul>", name="assumptions")


def provenance(found: ClinicalValue, run: RunSummary) -> str:
    """The cohort and how it was trained, for whoever wants to do it again."""
    facts = {f"records: {name}": text for name, text in flatten(found.source).items()}
    facts |= {"part opened": f"{run.test_openings} times", "seed": ", ".join(map(str, run.seeds)), **run.provenance}
    links = "".join(f'<p><a href="{escape(address)}">{escape(name)}</a></p>' for name, address in run.links.items())
    config = f"<details><summary>Configuration</summary>{definitions(flatten(run.config))}</details>"
    return section("Provenance", definitions(facts), links, config if run.config else "", name="provenance")
