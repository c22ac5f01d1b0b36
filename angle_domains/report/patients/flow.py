"""How patients came into the study, as boxes from top to bottom."""

from html import escape

from angle_domains.evaluation.patients.flow import Flow, Part
from angle_domains.evaluation.words import count
from angle_domains.report.page import Row, paragraph, section, table
from angle_domains.report.patients.shown import NONE, size

_ENDS = {
    "death": "death",
    "discharge": "discharge alive",
    "transfer": "transfer",
    "hour_cap": "end of the record (hour cap)",
}


def flow(found: Flow) -> str:
    """The flow of the cohort, and how records ended."""
    read = _box("Read", _three(found.patients_read, found.stays_read, found.rows_read))
    used = _box("Used", _three(found.patients, found.stays, found.rows))
    parts = "".join(_part(part) for part in found.parts)
    boxes = f'<div class="flow">{read}{_left(found)}{used}<div class="parts">{parts}</div></div>'
    rows: list[Row] = [[_ENDS[name], size(stays)] for name, stays in found.ends.items()]
    text = (
        "Patients stand in one part with all of their stays. Outcomes of fewer than 11 patients are not told "
        f"({NONE}), nor is what would give them away. The median record is {found.median_hours:,.3g} hours long."
    )
    return section("Who was studied?", paragraph(text), boxes, table(["record ended by", "stays"], rows), name="cohort")


def _three(patients: int, stays: int, rows: int) -> list[str]:
    return [count(patients, "patient"), count(stays, "stay"), count(rows, "row")]


def _box(title: str, lines: list[str], style: str = "") -> str:
    inside = "".join(f"<span>{escape(line)}</span>" for line in lines)
    return f'<div class="box {style}"><b>{escape(title)}</b>{inside}</div>'


def left_out(found: Flow) -> list[str]:
    """Why stays and rows are not among those used, one line each."""
    lines = [f"{number:,} {why}" for why, number in found.left_out.items()]
    lines += [f"{count(found.patients_lost, 'patient')} of whom no stay is left"] if found.patients_lost else []
    broken = [f"{rule} {number:,}" for rule, number in found.findings.items()]
    lines += [f"rules broken: {', '.join(broken)}"] if broken else []
    return lines or ["nothing: no row broke a rule"]


def _left(found: Flow) -> str:
    title = "Quarantined or left out" if found.policy == "quarantine" else "Left out"
    return _box(title, left_out(found), "aside")


def _part(part: Part) -> str:
    lines = [count(part.patients, "patient"), count(part.stays, "stay"), count(part.decisions, "decision")]
    lines.append(f"{NONE} deaths (not told)" if part.deaths is None else count(part.deaths, "death"))
    return _box(f"{part.name}{', judged here' if part.judged else ''}", lines, "own" if part.judged else "")
