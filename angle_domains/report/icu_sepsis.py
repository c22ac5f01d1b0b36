"""The report of a policy on ICU-Sepsis: its exact value beside that of clinicians, of chance and of the optimum."""

from html import escape
from pathlib import Path

import numpy as np
from jaxtyping import Float

from angle_domains.errors import ConfigError
from angle_domains.evaluation import Verdict
from angle_domains.evaluation.bootstrap import LEVEL, Interval
from angle_domains.evaluation.icu_sepsis import AGENT, BANNER, ProcessValue, Worth, sentence, standing
from angle_domains.evaluation.words import count
from angle_domains.report import RunSummary
from angle_domains.report.charts import Frame, Line, lines
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
    typeset,
    write_page,
)
from angle_domains.report.scales import linear, step_axis

_NORMAL = 1.96  # standard errors of an interval that holds 95 %
_NAMES = {AGENT: "Agent", "optimum": "Best policy", "clinicians": "Clinicians", "random": "Random"}


def write_report(verdict: Verdict, run: RunSummary, path: Path) -> Path:
    """Writes the page of a full verdict; ConfigError where the verdict is quick."""
    found: ProcessValue | None = verdict.detail
    if found is None:
        raise ConfigError("a report needs a full verdict: Terms(..., full=True)")
    sections = [headline(found, run), key_numbers(found, run), value(found), learning(found, run)]
    sections += [decisions(found), *run.beside, provenance(found, run)]
    return write_page(Path(path), f"{run.name}: {run.agent} on ICU-Sepsis", [part for part in sections if part])


def headline(found: ProcessValue, run: RunSummary) -> str:
    """Name and world in a line, and the verdict in words."""
    return (
        f"<header><h1>{escape(run.name)}</h1>"
        f'<p class="kicker">{escape(run.agent)} on ICU-Sepsis, a process estimated from MIMIC-III · '
        f"716 states, 25 actions, four hours a decision · <b>{escape(BANNER)}</b></p>"
        f'<div class="verdict {standing(found)}" id="verdict"><p>{typeset(sentence(found))}</p></div>'
        "</header>"
    )


def key_numbers(found: ProcessValue, run: RunSummary) -> str:
    own = found.agent
    sure = f"standard error {own.error:.4f}" if own.error else "of patients, exact"
    entries = [
        ("Survival", f"{own.survival:.4f}", sure),
        ("Gained", f"{found.gained:.0%}", "of what clinicians lack to the best"),
        *((_NAMES[name], f"{w.survival:.4f}", "exact") for name, w in found.worth.items() if name != AGENT),
        ("Decisions", f"{own.steps:.2f}", "for each patient"),
        ("Trained", f"{run.steps:,}", f"steps, {run.steps_per_second:,.0f} a second"),
    ]
    if found.sampled is not None:
        entries.append(("Drawn", f"{found.sampled:.4f}", "survival by its probabilities"))
    if found.inadmissible is not None:
        entries.append(("Inadmissible", f"{found.inadmissible:.1%}", "of its decisions"))
    if found.alike is not None:
        entries.append(("As clinicians", f"{found.alike:.1%}", "of its decisions"))
    if found.q_self is not None:
        entries.append(("q_self", f"{found.q_self:.4g}", "the agent's own belief, no value"))
    return tiles(entries)


def value(found: ProcessValue) -> str:
    """All policies on one axis."""
    how = (
        f"measured on patients whom it treated, {LEVEL:.0%} interval"
        if found.agent.error
        else "by a linear solve over the states"
    )
    text = (
        f"Survival of patients, undiscounted. The agent's is known {how}; the others' exactly. Parts of this feed "
        "differ in their patients and not in their law, so choosing among checkpoints flatters none. Nothing here says "
        "more of real patients than the estimated process does."
    )
    rows = [(_NAMES[name], _reach(worth), f"{worth.survival:.4f}") for name, worth in found.worth.items()]
    scale = linear(np.array([[row.low, row.high] for _, row, _ in rows]), count=6)
    return section("What is it worth?", paragraph(text), forest(rows, scale.ticks, ".2f"), name="value")


def _reach(worth: Worth) -> Interval:
    wide = _NORMAL * worth.error
    return Interval(worth.survival, worth.survival - wide, worth.survival + wide, 0.0)


def learning(found: ProcessValue, run: RunSummary) -> str:
    """Survival over training, beside the clinicians and the best; nothing where it was looked at once."""
    if len(run.curve) < 2:
        return ""
    step, score = np.array([point for point, _ in run.curve]), np.array([worth for _, worth in run.curve])
    best, theirs = (np.full(len(step), found.worth[name].survival) for name in ("optimum", "clinicians"))
    frame = Frame(
        "Survival", "exact, at each look, over environment steps", step_axis(step),
        linear(np.concatenate([score, best, theirs]), count=5), lambda number, digits: f"{number:.{digits}f}",
        4, size="middle",
    )  # fmt: skip
    drawn = [Line("agent", score, "s0"), Line("best policy", best, "s1"), Line("clinicians", theirs, "s2")]
    return section("Learning", lines(frame, drawn, mark=(int(score.argmax()), "kept")), name="learning")


def decisions(found: ProcessValue) -> str:
    """What is given, in the states that each policy comes to."""
    text = (
        "Shares of all decisions, levels 0 to 4: fluids down, vasopressors across. Each policy in the patients that it "
        f"makes. Inadmissible actions {'are forbidden' if found.masked else 'may be taken, and lead where others do'}."
    )
    grids = [f"<h3>{_NAMES[name]}</h3>{_grid(share)}" for name, share in found.shares.items()]
    return section("What is given?", paragraph(text), *grids, name="decisions")


def _grid(share: Float[np.ndarray, "5 5"]) -> str:
    most = max(float(share.max()), 1e-9)
    rows: list[Row] = [
        [f"fluids {level}", *(_shade(number, most) for number in line), f"{line.sum():.0%}"]
        for level, line in enumerate(share)
    ]
    rows.append(["all", *(f"{total:.0%}" for total in share.sum(0)), "100%"])
    head = ("", *(f"vasopressors {level}" for level in range(5)), "all")
    return table(head, rows, own=-1, style="heat")


def _shade(number: float, most: float) -> Cell:
    attributes = f' style="background:rgba(var(--gain),{0.55 * number / most:.2f})"'
    return Cell(f"{number:.1%}" if number >= 0.0005 else "–", attributes=attributes)


def provenance(found: ProcessValue, run: RunSummary) -> str:
    """How it was trained, for whoever wants to do it again."""
    facts = {
        "process": "ICU-Sepsis 2.0.1 (Choudhary, Gupta and Thomas 2024), MIT",
        "training": f"{run.steps:,} steps in {run.seconds:,.0f} s, {run.steps_per_second:,.0f} steps a second",
        "part opened": f"{count(run.test_openings, 'time')}; its patients follow the law of all parts",
        "seed": ", ".join(map(str, run.seeds)),
        **run.provenance,
    }
    links = "".join(f'<p><a href="{escape(address)}">{escape(name)}</a></p>' for name, address in run.links.items())
    config = f"<details><summary>Configuration</summary>{definitions(flatten(run.config))}</details>"
    return section("Provenance", definitions(facts), links, config if run.config else "", name="provenance")
