"""The clinicians' practice and the policy's side by side, in words and units."""

from collections.abc import Sequence
from html import escape

from angle_domains.evaluation.patients.association import STEP, Association
from angle_domains.evaluation.patients.curve import Curve
from angle_domains.evaluation.patients.practice import Practice, Use
from angle_domains.evaluation.patients.study import Study
from angle_domains.interval import LEVEL, Interval
from angle_domains.report.page import Cell, Row, forest, paragraph, section, table
from angle_domains.report.patients.shown import NONE, number, share, shares, size, spanned

_NOT_TOLD = f"{NONE} stands for cells of fewer than 11 patients and for what would give them away."


def practices(study: Study, valued: str = "mode: its likeliest action, as in use") -> str:
    """Of every drug or level: who gets it, how much, and when it begins."""
    text = (
        f"The policy's decisions are those of the policy that is valued ({valued}), in each situation that was "
        f"recorded; what would have followed from them, no record tells. {_NOT_TOLD}"
    )
    parts = [_use(study), *(_levels(each) for each in study.practices), _starts(study.practices)]
    return section("What would it do?", paragraph(text), *parts, name="practice")


def titled(name: str, unit: str) -> str:
    return f"{name}, {unit}" if unit else name


def ever(use: Use) -> str:
    """The share of patients who ever get it, or on which side of what bound it lies."""
    if use.bounds is None:
        return share(use.ever)
    return f"under {use.bounds[1]:.1%}" if use.bounds[0] == 0.0 else f"over {use.bounds[0]:.1%}"


def quartiles(use: Use) -> str:
    if use.quartiles is None:
        return NONE
    low, middle, high = use.quartiles
    return f"{middle:.3g} [{low:.3g}, {high:.3g}]"


def _use(study: Study) -> str:
    rows: list[Row] = []
    for each in study.practices:
        for label, pair in (("all patients", each.all), ("survivors", each.survivors), ("non-survivors", each.dead)):
            unit = each.unit if label == "all patients" else ""
            row: list[str | Cell] = [Cell(f"{each.name}: {label}", unit), size(pair.given.patients)]
            for use in (pair.given, pair.meant):
                row += [ever(use), share(use.share)] + (
                    [quartiles(use) if each.kind != "binary" else ""] if _dosed(study.practices) else []
                )
            rows.append([*row, share(each.alike) if label == "all patients" else ""])
    dose = ["dose when given"] if _dosed(study.practices) else []
    head = ["", "patients"]
    for who in ("clinicians", "policy"):
        head += [f"{who}: patients ever", f"{who}: decisions", *(f"{who}: {name}" for name in dose)]
    note = (
        "Shares of patients who ever get it and of decisions in which they do; doses are medians with quartiles. "
        "Concordance is the share of decisions that are alike."
    )
    return paragraph(note) + table([*head, "concordance"], rows, own=-1, style="narrow")


def _dosed(found: Sequence[Practice]) -> bool:
    return any(each.kind != "binary" for each in found)


def _levels(found: Practice) -> str:
    """Bars of the shares of decisions, the clinicians' above the policy's."""
    if found.kind == "binary":
        return ""
    rows = "".join(
        f'<div><span>{escape(level.label)}</span><span class="bars">{_bar(level.given, "s1")}{_bar(level.meant, "s0")}'
        f'</span><span class="number">{share(level.given)}<br>{share(level.meant)}</span></div>'
        for level in found.levels
    )
    title = f"<b>{escape(titled(found.name, found.unit))}</b> <span>share of decisions: "
    key = '<i class="s1"></i> clinicians <i class="s0"></i> policy</span>'
    return f'<figure class="chart shares"><figcaption>{title}{key}</figcaption>{rows}</figure>'


def _bar(value: float | None, style: str) -> str:
    return f'<i class="{style}" style="width:{100 * (value or 0.0):.2f}%"></i>'


def _starts(found: Sequence[Practice]) -> str:
    """When it begins, counted in patients."""
    rows: list[Row] = []
    for each in found:
        for who, start in (("clinicians", each.starts_given), ("policy", each.starts_meant)):
            cells = [size(patients) for patients in start.counts.values()]
            median = NONE if start.median is None else f"{start.median:.3g} h"
            rows.append([f"{each.name}: {who}", *cells, size(start.never), share(start.early), median])
    if not rows:
        return ""
    head = ["first given", *found[0].starts_given.counts, "never", "within 6 h, of those who get it", "median"]
    return paragraph("Patients by the time from the start of the stay to the first dose.") + table(
        head, rows, own=-1, style="narrow"
    )


def outcomes(study: Study) -> str:
    """Deaths by difference and agreement: associations."""
    text = (
        "Associations, no effects: who got less than the policy would have given may have been less ill, or beyond "
        "help. A patient counts once, by the mean over all of his decisions; ranges are joined until each holds enough "
        f"who died and who lived. {_NOT_TOLD}"
    )
    parts = [_curve(each) for each in study.curves]
    return section(
        "Who died, by how far doses were from the policy's?", paragraph(text), *parts, odds(study.associations),
        name="outcomes",
    )  # fmt: skip


def _curve(found: Curve) -> str:
    rows: list[Row] = []
    for each in (part for part in found.bins if part.patients != 0):
        label = spanned(each.low, each.high, found.unit)
        rows.append([label, size(each.patients), share(each.mortality), shares(each.interval)])
    head = [f"{found.name}: recommended minus given", "patients", "died", f"{LEVEL:.0%} interval"]
    told = "; ".join(
        f"{who} {mean.estimate:+.3g} [{mean.low:+.3g}, {mean.high:+.3g}]"
        for who, mean in (("survivors", found.survivors), ("non-survivors", found.dead))
        if mean is not None
    )
    mean = paragraph(f"Mean difference: {told} {found.unit}".strip()) if told else ""
    return table(head, rows, own=2) + _shape(found) + mean


def _shape(found: Curve) -> str:
    """Deaths in the bins that are told, on one axis; one alone has no shape."""
    shown = [
        (spanned(each.low, each.high, found.unit), Interval(each.mortality, *each.interval, 0.0), share(each.mortality))
        for each in found.bins
        if each.mortality is not None and each.interval is not None
    ]
    return forest(shown, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), ".0%") if len(shown) > 1 else ""


def odds(found: Sequence[Association]) -> str:
    rows: list[Row] = []
    for each in found:
        ratio = NONE if each.odds_ratio is None else f"{each.odds_ratio:.2f}"
        interval = "" if each.low is None or each.high is None else f"{each.low:.2f} to {each.high:.2f}"
        name = "all together" if each.name == "all" else each.name
        rows.append([name, ratio, interval, number(each.effective), number(each.mean_weight), _remark(each)])
    text = (
        f"Odds of death for each {100 * STEP:.0f} points more of a patient's decisions in which clinicians did as the "
        "policy would, patients weighted by the inverse probability of their agreement given the state (IPTW). An "
        "association; below 1 fewer died where they agreed. Agreement runs over the whole stay: it holds what was done "
        "when it was clear who would die."
    )
    head = ("agreement in", "odds ratio", f"{LEVEL:.0%} interval", "effective sample size", "mean weight", "remarks")
    return paragraph(text) + table(head, rows)


def _remark(found: Association) -> Cell:
    return Cell(found.reason, attributes=' class="remark"')
