"""Which items of reporting guidelines a report covers, and where; the names of items are in our own words.

TRIPOD+AI: Collins et al. (2024), BMJ 385:e078378, 27 items. DECIDE-AI: Vasey et al. (2022), BMJ 377:e070904, 17 items
of its own and 10 generic ones, for early trials at the bedside: of such a trial a study of records reports little.
An item counts as covered where all that it asks for stands in the report, as covered in part where some of it does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from angle_domains.evaluation.clinical import ClinicalValue
from angle_domains.report import RunSummary

Status = Literal["covered", "in part", "not reported"]


@dataclass(frozen=True)
class Item:
    """One item of a guideline, as far as the report has it."""

    guideline: str
    number: str
    name: str
    status: Status
    where: str  # section or number of the report; what is missing, where it is covered in part


@dataclass(frozen=True)
class _Facts:
    """What a report has."""

    studied: bool  # flow and practice
    grouped: bool
    estimated: bool  # there are estimates, or refusals with reasons
    configured: bool
    code: bool  # a commit is known


_Covers = Callable[[_Facts], tuple[Status, str]]


def _full(holds: Callable[[_Facts], bool], where: str) -> _Covers:
    return lambda facts: ("covered", where) if holds(facts) else ("not reported", "")


def _part(holds: Callable[[_Facts], bool], where: str) -> _Covers:
    return lambda facts: ("in part", where) if holds(facts) else ("not reported", "")


def _no(_: _Facts) -> tuple[Status, str]:
    return "not reported", ""


_Rows = tuple[tuple[str, str, _Covers], ...]
_TRIPOD: _Rows = (
    (
        "1",
        "Title says what was made or judged, for whom",
        _part(lambda _: True, "heading: policy and records, not the condition"),
    ),
    ("2", "Abstract", _no),
    ("3", "Background: setting, target patients, known inequalities", _no),
    ("4", "Objectives", _no),
    (
        "5",
        "Data: sources and dates",
        _part(lambda _: True, "Provenance: source and digest; dates are left out on purpose"),
    ),
    (
        "6",
        "Participants: setting, eligibility, treatments",
        _part(lambda f: f.studied, "Who was studied: who was left out; What would it do: treatments"),
    ),
    (
        "7",
        "Preparation of data",
        _part(lambda f: f.configured, "Provenance, Configuration: filling, scaling, categories, splits; not by group"),
    ),
    (
        "8",
        "Outcome: definition, assessment, blinding",
        _part(lambda f: f.configured, "Provenance, Configuration: reward and ends; not how they were assessed"),
    ),
    (
        "9",
        "Predictors: choice, definition, assessment",
        _part(lambda f: f.studied, "Provenance, Columns: kinds and units, not their choice"),
    ),
    ("10", "Sample size", _part(lambda f: f.studied, "Who was studied: sizes as they were, none was planned")),
    (
        "11",
        "Missing data",
        _part(lambda f: f.configured, "Configuration: states.max_age, states.missing; not how much was missing"),
    ),
    (
        "12",
        "Analysis: use of data, type of model, measures, how outputs are made",
        _part(
            lambda f: f.configured and f.estimated,
            "Configuration: agent; What is it worth; What must be true for it; no clusters, no updating",
        ),
    ),
    ("13", "Class imbalance", _no),
    (
        "14",
        "Fairness: how it was addressed",
        _part(lambda f: f.grouped, "For whom: measured by group, nothing was done about it"),
    ),
    ("15", "Output of the model", _full(lambda f: f.studied, "What would it do: decisions in words and units")),
    (
        "16",
        "Differences between training and evaluation data",
        _part(lambda f: f.studied, "Who was studied: parts with deaths, no other characteristics"),
    ),
    ("17", "Ethical approval", _no),
    (
        "18",
        "Open science: funding, conflicts, protocol, registration, data, code",
        _part(lambda f: f.code, "Provenance: commit of the code and digest of the data"),
    ),
    ("19", "Involvement of patients and public", _no),
    (
        "20",
        "Participants: flow, characteristics, comparison of parts",
        _part(lambda f: f.studied, "Who was studied: flow; no table of characteristics"),
    ),
    (
        "21",
        "Development: participants and events in each analysis",
        _full(lambda f: f.studied, "Who was studied: patients and deaths of each part, where enough"),
    ),
    (
        "22",
        "Full specification of the model",
        _full(lambda f: f.configured, "Provenance, Configuration; the checkpoint of the run holds the parameters"),
    ),
    (
        "23",
        "Performance with intervals, in groups, and its spread",
        _part(lambda f: f.estimated, "What is it worth; groups only where For whom has them; no spread over clusters"),
    ),
    ("24", "Results of updating the model", _no),
    ("25", "Interpretation", _part(lambda _: True, "verdict beneath the heading, no discussion of other studies")),
    ("26", "Limitations", _part(lambda f: f.estimated, "What must be true for it; How far do the records reach")),
    ("27", "Use in care: poor input, interaction, next steps", _no),
)
_DECIDE: _Rows = (
    ("1", "Title names an early clinical evaluation of AI", _no),
    ("2", "Intended use: condition, patients, users, place in care", _no),
    (
        "3",
        "Participants: recruitment of patients and users, training of users",
        _part(lambda f: f.studied, "Who was studied: patients of the records alone; there are no users"),
    ),
    (
        "4",
        "The AI system: version, algorithm, inputs, outputs",
        _part(
            lambda f: f.configured and f.code and f.studied, "Provenance; What would it do; not how a user would see it"
        ),
    ),
    ("5", "Implementation: setting and workflow", _no),
    ("6", "Safety and errors: how they were looked for", _no),
    ("7", "Human factors: tools and methods", _no),
    ("8", "Ethics, and fairness", _part(lambda f: f.grouped, "For whom: by group; no other method")),
    (
        "9",
        "Participants: characteristics of patients and users",
        _part(lambda f: f.grouped, "For whom: sizes of groups; there are no users"),
    ),
    ("10", "Implementation: exposure, adherence, change of workflow", _no),
    ("11", "Modifications during the study", _no),
    (
        "12",
        "Agreement of humans and computer",
        _part(lambda f: f.studied, "What would it do: concordance with recorded decisions, not with users who saw it"),
    ),
    ("13", "Safety and errors: what was found", _no),
    ("14", "Human factors: usability, learning curves", _no),
    ("15", "Support for the intended use", _no),
    ("16", "Safety and errors: what they mean", _no),
    ("17", "Availability of data and code", _part(lambda f: f.code, "Provenance: commit and digest, no statement")),
    ("I", "Abstract", _no),
    ("II", "Objectives", _no),
    ("III", "Research governance", _no),
    (
        "IV",
        "Outcomes: primary and secondary",
        _part(lambda f: f.configured, "Configuration: reward; none was registered"),
    ),
    (
        "V",
        "Analysis",
        _part(lambda f: f.estimated, "What is it worth; What must be true for it; nothing was registered before"),
    ),
    ("VI", "Involvement of patients", _no),
    ("VII", "Main results", _full(lambda f: f.estimated, "What is it worth: estimates with intervals, or refusals")),
    ("VIII", "Analysis of subgroups", _full(lambda f: f.grouped, "For whom")),
    (
        "IX",
        "Strengths and limitations",
        _part(lambda f: f.estimated, "What must be true for it; How far do the records reach; no strengths"),
    ),
    ("X", "Conflicts of interest", _no),
)


def items(found: ClinicalValue, run: RunSummary) -> tuple[Item, ...]:
    """All of them, in their order."""
    study = found.study
    facts = _Facts(
        studied=study is not None,
        grouped=study is not None and bool(study.groups),
        estimated=bool(found.estimates),
        configured=bool(run.config),
        code=run.provenance.get("git.commit", "unknown") != "unknown",
    )
    return tuple(
        Item(guideline, number, name, *covers(facts))
        for guideline, rows in (("TRIPOD+AI", _TRIPOD), ("DECIDE-AI", _DECIDE))
        for number, name, covers in rows
    )
