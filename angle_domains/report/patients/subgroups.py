"""The policy by kinds of patients."""

from collections.abc import Sequence

from angle_domains.evaluation.patients.subgroups import Group
from angle_domains.report.page import Cell, Row, paragraph, section, table
from angle_domains.report.patients.shown import NONE, number, precise, size

ABSENT = "Not reported: the records name no columns that stay the same within a stay, such as age or sex."


def subgroups(groups: Sequence[Group], level: str = "95%") -> str:
    """Patients, deaths, and value with interval or why there is none."""
    if not groups:
        return section("For whom?", paragraph(ABSENT), name="subgroups")
    rows: list[Row] = []
    for each in groups:
        error = None if each.interval is None else (each.interval[1] - each.interval[0]) / 4.0
        below = (
            "" if each.interval is None else f"{precise(each.interval[0], error)} to {precise(each.interval[1], error)}"
        )
        value = Cell(
            "refused" if each.value is None and each.effective is not None else precise(each.value, error), below
        )
        remark = "" if each.verdict == "estimable" else _briefly(each.verdict)
        seen = NONE if each.observed is None else f"{each.observed:.3g}"
        cells: list[str | Cell] = [size(each.patients), size(each.deaths), seen, value, number(each.effective)]
        rows.append([f"{each.column}: {each.label}", *cells, Cell(remark, attributes=' class="remark"')])
    text = (
        f"Value by WIS with {level} intervals, refused where the group's own records do not reach; many groups are "
        f"compared, and some will differ by chance. {NONE} stands for fewer than 11 patients, deaths or survivors, and "
        "for what would give them away."
    )
    head = ("", "patients", "deaths", "observed", "policy's value", "effective sample size", "remarks")
    return section("For whom?", paragraph(text), table(head, rows, own=4), name="subgroups")


def _briefly(verdict: str) -> str:
    """The first of several reasons."""
    first, *others = verdict.removeprefix("not estimable: ").split("; ")
    return f"{first}; and {len(others)} more" if others else first
