"""The model card: the report as a page of Markdown, from the numbers of its JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from angle_domains.report.patients.shown import (
    NONE,
    between,
    estimated,
    interval_head,
    number,
    precise,
    share,
    size,
    why,
)

Numbers = Mapping[str, Any]


def write_card(content: Numbers, path: Path) -> Path:
    path.write_text(card(content), encoding="utf-8")
    return path


def card(found: Numbers) -> str:
    """All of it; every item of the guidelines stands in it, covered or not."""
    run, records = found["run"], found["records"]
    parts = [
        f"# {run['name']}: {run['agent']} on {records['name']}",
        f"**{found['banner']}**",
        f"On the {found['part']} part. {found['verdict']}",
        *_cohort(found["cohort"]),
        *_value(found["value"]),
        *_practice(found["practice"]),
        *_groups(found),
        *_guidelines(found["guidelines"]),
        "## Provenance",
        "\n".join(f"- {name}: {text}" for name, text in {**_facts(found), **run["provenance"]}.items()),
    ]
    return "\n\n".join(parts) + "\n"


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _facts(found: Numbers) -> dict[str, str]:
    run, records = found["run"], found["records"]
    seeds = ", ".join(map(str, run["seeds"]))
    return {
        "SHA-256 of the records": str(records["digest"]),
        "seed": seeds,
        "test part opened": str(run["test_openings"]),
    }


def _cohort(flow: Numbers | None) -> list[str]:
    if flow is None:
        return []
    rows = [
        [part["name"], size(part["patients"]), size(part["stays"]), size(part["decisions"]), size(part["deaths"])]
        for part in flow["parts"]
    ]
    read = f"Read: {flow['patients_read']:,} patients, {flow['stays_read']:,} stays, {flow['rows_read']:,} rows."
    used = f"Used: {flow['patients']:,} patients, {flow['stays']:,} stays, {flow['rows']:,} rows."
    left = "; ".join(f"{count:,} {why}" for why, count in flow["left_out"].items()) or "nothing"
    table = grid(["part", "patients", "stays", "decisions", "deaths"], rows)
    return ["## Who was studied", f"{read} Left out: {left}. {used}", table]


def _value(value: Numbers) -> list[str]:
    rows = []
    for name, each in value["estimates"].items():
        interval, error = each["interval"], each["standard_error"]
        ends = between((interval["low"], interval["high"]), error) if interval else NONE
        rows.append([name, estimated(each), ends])
    rows.append(["observed", precise(value["observed"]), NONE])
    rows += [["truth", f"{value['truth']:.4f}", NONE]] if value["truth"] is not None else []
    parts = [
        "## What it is worth",
        f"The policy valued is {value['policy_valued']}.",
        grid(["estimator", "value", interval_head(value)], rows),
    ]
    judgement = value["judgement"]
    parts += [why(value)] if judgement and (value["refused"] or value["overridden"]) else []
    told = dict.fromkeys(line for each in value["estimates"].values() for line in each["assumptions"])
    return [*parts, "It holds where all of this does:\n\n" + "\n".join(f"- {line}" for line in told)] if told else parts


def _practice(found: Sequence[Numbers]) -> list[str]:
    if not found:
        return []
    rows = []
    for each in found:
        given, meant = each["all"]["given"], each["all"]["meant"]
        name = f"{each['name']}, {each['unit']}" if each["unit"] else each["name"]
        starts = [number(each[key]["median"]) for key in ("starts_given", "starts_meant")]
        rows.append([name, _ever(given), _ever(meant), share(each["alike"]), *starts])
    head = [
        "",
        "clinicians: patients",
        "policy: patients",
        "concordance",
        "clinicians: median h to the first",
        "policy",
    ]
    return ["## What it would do", grid(head, rows)]


def _ever(use: Numbers) -> str:
    if use["bounds"] is None:
        return share(use["ever"])
    low, high = use["bounds"]
    return f"under {high:.1%}" if low == 0.0 else f"over {low:.1%}"


def _groups(content: Numbers) -> list[str]:
    found = content["subgroups"]
    if not found:
        return ["## For whom", "Subgroups: not reported."]
    rows = [
        [f"{each['column']}: {each['label']}", size(each["patients"]), size(each["deaths"]), precise(each["value"]),
         between(each["interval"]), each["verdict"]]
        for each in found
    ]  # fmt: skip
    head = ["group", "patients", "deaths", "value (WIS)", interval_head(content["value"]), "remarks"]
    return ["## For whom", grid(head, rows)]


def _guidelines(found: Sequence[Numbers]) -> list[str]:
    rows = [[each["guideline"], each["number"], each["name"], each["status"], each["where"]] for each in found]
    return ["## Reporting guidelines", grid(["guideline", "item", "what it asks", "status", "where"], rows)]
