"""Tables of a report in LaTeX, for papers: booktabs, one file each, made from the numbers of its JSON."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from angle_domains.report.patients.numbers import read_json
from angle_domains.report.patients.shown import absent, between, estimated, interval_head, number, precise, spanned, why

_NONE = "--"
_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "µ": r"\textmu{}", "–": _NONE,
}  # fmt: skip
_DOUBLY = ("WIS", "DR")
Numbers = Mapping[str, Any]


def escaped(text: str) -> str:
    """Text as LaTeX sets it."""
    return re.sub("|".join(map(re.escape, _SPECIAL)), lambda found: _SPECIAL[found.group()], text)


def write_tables(report: Path, folder: Path) -> list[Path]:
    """Writes all tables that a report's JSON has numbers for; the paths."""
    content = read_json(report)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, made in _TABLES.items():
        text = made(content)
        if text:
            path = folder / f"{name}.tex"
            path.write_text(text, encoding="utf-8")
            paths.append(path)
    return paths


def tabular(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str, label: str) -> str:
    """A table environment; the first column names the rows."""
    lines = [" & ".join(map(escaped, row)) + r" \\" for row in rows]
    return "\n".join(
        [
            "% needs \\usepackage{booktabs,textcomp}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(caption)} Research, not for care.}}",
            rf"\label{{tab:{label}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
            r"\toprule",
            " & ".join(map(escaped, head)) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _summary(found: Numbers) -> str:
    """The columns of published vasopressor tables, and beside them what is an estimate of value."""
    value, practice = found["value"], found["practice"]
    if not practice:
        return ""
    head = ["policy", "alpha"]
    ours, theirs = [found["run"]["agent"], _alpha(found)], ["clinicians", _NONE]
    for each in practice:
        head += [f"{each['name']} %", f"{each['name']} conc. %"]
        ours += [_ever(each["all"]["meant"]), _hundred(each["alike"])]
        theirs += [_ever(each["all"]["given"]), _NONE]
    belief = value["q_self"]["all_decisions"] or {}
    gap = belief["meant"] - belief["given"] if belief else None
    head += ["Q/t (own belief)", "Delta Q (own belief)", "FQE", *_DOUBLY, "ESS"]
    ours += [number(belief.get("meant")), number(gap), *(_estimate(value, name) for name in ("DM", *_DOUBLY))]
    ours.append(number((value["diagnostics"] or {}).get("effective")))
    theirs += [number(belief.get("given")), _NONE, _NONE, precise(value["observed"]), _NONE, _NONE]
    note = "Use is the share of patients who ever get it. Q is what the agent believes, no value."
    return tabular(head, [theirs, ours], f"Clinicians and policy on the {found['part']} part. {note}", "policies")


def _alpha(found: Numbers) -> str:
    return number(found["run"]["config"].get("agent", {}).get("alpha"))


def _ever(use: Numbers) -> str:
    if use["bounds"] is None:
        return _hundred(use["ever"])
    low, high = use["bounds"]
    return f"< {100 * high:.1f}" if low == 0.0 else f"> {100 * low:.1f}"


def _hundred(share: float | None) -> str:
    return _NONE if share is None else f"{100 * share:.1f}"


def _estimate(value: Numbers, name: str) -> str:
    each = value["estimates"].get(name)
    if each is None or each["value"] is None:
        return absent(each["verdict"] if each else "") if value["refused"] else _NONE
    interval = each["interval"]
    ends = f" [{between((interval['low'], interval['high']), each['standard_error'])}]" if interval else ""
    return precise(each["value"], each["standard_error"]) + ends + (" (overridden)" if each["overridden"] else "")


def _values(found: Numbers) -> str:
    value = found["value"]
    rows = []
    for name, each in value["estimates"].items():
        interval, error = each["interval"], each["standard_error"]
        ends = between((interval["low"], interval["high"]), error) if interval else _NONE
        rows.append([name, estimated(each), ends, number(error)])
    if not rows:
        return ""
    rows.append(["observed", precise(value["observed"]), _NONE, _NONE])
    rows += [["truth", f"{value['truth']:.4f}", _NONE, _NONE]] if value["truth"] is not None else []
    size = number(value["diagnostics"]["effective"])
    which = value["policy_valued"].partition(":")[0]
    reasons = f" {why(value)}" if value["refused"] or value["overridden"] else ""
    return tabular(
        ["estimator", "value", interval_head(value), "standard error"], rows,
        f"Value of the policy ({which}), gamma {value['gamma']:g} an hour; effective sample size {size}.{reasons}",
        "value",
    )  # fmt: skip


def _starts(found: Numbers) -> str:
    rows, head = [], []
    for each in found["practice"]:
        for who, key in (("clinicians", "starts_given"), ("policy", "starts_meant")):
            start = each[key]
            head = ["first given", *start["counts"], "never", "within 6 h %", "median h"]
            counts = [_whole(count) for count in start["counts"].values()]
            rows.append(
                [
                    f"{each['name']}: {who}",
                    *counts,
                    _whole(start["never"]),
                    _hundred(start["early"]),
                    number(start["median"]),
                ]
            )
    return tabular(head, rows, "Patients by the time to the first dose.", "initiation") if rows else ""


def _whole(count: int | None) -> str:
    return _NONE if count is None else f"{count}"


def _outcomes(found: Numbers) -> str:
    rows = []
    for each in found["outcomes"]:
        for part in each["bins"]:
            ends = (
                ""
                if part["interval"] is None
                else f" [{100 * part['interval'][0]:.0f}, {100 * part['interval'][1]:.0f}]"
            )
            label = spanned(part["low"], part["high"], each["unit"])
            rows.append([f"{each['name']} {label}", _whole(part["patients"]), _hundred(part["mortality"]) + ends])
    head = ["recommended minus given", "patients", "died %"]
    return tabular(head, rows, "Observed deaths by difference of doses: an association.", "outcomes") if rows else ""


def _odds(found: Numbers) -> str:
    rows = [
        [each["name"], number(each["odds_ratio"]), between((each["low"], each["high"])), number(each["effective"])]
        if each["odds_ratio"] is not None
        else [each["name"], _NONE, _NONE, number(each["effective"])]
        for each in found["associations"]
    ]
    head = ["agreement in", "odds ratio", "95% interval", "ESS"]
    caption = "Odds of death for ten points more agreement, inverse probability weighted: an association."
    return tabular(head, rows, caption, "odds") if rows else ""


def _groups(found: Numbers) -> str:
    rows = []
    for each in found["subgroups"]:
        value = "refused" if each["value"] is None and each["effective"] is not None else precise(each["value"])
        interval = between(each["interval"]) or _NONE
        counts = [_whole(each["patients"]), _whole(each["deaths"])]
        rows.append([f"{each['column']}: {each['label']}", *counts, value, interval, number(each["effective"])])
    head = ["group", "patients", "deaths", "value (WIS)", interval_head(found["value"]), "ESS"]
    return tabular(head, rows, "The policy by subgroup; small cells are not told.", "subgroups") if rows else ""


_TABLES: dict[str, Callable[[Numbers], str]] = {
    "policies": _summary,
    "value": _values,
    "initiation": _starts,
    "outcomes": _outcomes,
    "odds": _odds,
    "subgroups": _groups,
}
