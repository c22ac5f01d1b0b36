"""The rules that patient tables must keep, and what "quarantine" leaves out where one is broken.

rule                    breaks it                                                       left out
missing_key             no patient, stay or time                                        the row
unsorted                a row earlier than its stay's row before                        nothing: it is sorted
duplicate               time and stay of an earlier row                                 the later row
two_patients            one stay in two patients                                        the stay
not_a_number            text or infinity where a number should stand                    the value
out_of_range            a state value outside its plausible range                       the value
unseen_category         a category that the schema does not list                        nothing: it counts as unknown
missing_value           a state value is missing, under feed.states.missing=error       the stay
action_range            an action outside its range                                     the stay
missing_action          no action in a row that is not the stay's last                  the stay
propensity              a probability outside (0, 1], or missing where it counts        the stay
unit                    a stay whose values are so far off that the unit is another     the stay
contradictory_outcome   two outcomes in one stay                                        the stay
missing_outcome         no outcome and no end reason in a stay                          the stay
end_reason              a word that is no end reason                                    the stay
contradictory_end       two end reasons in one stay, or one against the outcome         the stay
static                  a static value or the site changes within a stay                the stay
empty_stay              no state value in any row                                       the stay

A whole table in another unit is refused whatever the policy: nothing would be left of it.
"""

from dataclasses import dataclass

import numpy as np

from feeds.clinical.config import ClinicalConfig
from feeds.clinical.disclosure import LEAST
from feeds.clinical.findings import Findings
from feeds.clinical.records import DEATH, DISCHARGE, REASONS, Coded
from feeds.clinical.schema import Column, Schema
from feeds.clinical.vocabulary import usual_median
from feeds.errors import FeedError

_PURE = ("", "1", "z", "points")  # units of pure numbers


@dataclass(repr=False)
class Draft:
    """A table as arrays [N], sorted by stay and time, while it is checked."""

    schema: Schema
    row: np.ndarray
    patient: np.ndarray
    stay: np.ndarray
    hours: np.ndarray
    values: dict[str, np.ndarray]
    wrong: dict[str, np.ndarray]  # where text stands that is no number, of columns that have any
    coded: dict[str, Coded]
    identities: np.ndarray
    drop_row: np.ndarray
    drop_stay: np.ndarray  # [S]

    @property
    def starts(self) -> np.ndarray:
        return np.flatnonzero(np.diff(self.stay, prepend=-1))

    @property
    def last(self) -> np.ndarray:
        """The last row of each stay."""
        return np.append(self.starts[1:], len(self.stay)) - 1

    def tell(self, findings: Findings, rule: str, broken: np.ndarray, detail: str, *, stay: bool) -> None:
        """Rows [N] bool that broke a rule; where it is of stays, one row of each is told and the stay is left out."""
        rows = np.flatnonzero(broken)
        if stay and len(rows):
            rows = rows[np.unique(self.stay[rows], return_index=True)[1]]
            self.drop_stay[self.stay[rows]] = True
        findings.rows(rule, self.row[rows], self.patient[rows], detail)


def check_keys(
    row: np.ndarray, patient: np.ndarray, stay: np.ndarray, hours: np.ndarray, findings: Findings
) -> np.ndarray:
    """Which rows belong to a patient, a stay and a time."""
    for broken, what in ((patient < 0, "patient"), (stay < 0, "stay"), (np.isnan(hours), "time")):
        findings.rows("missing_key", row[broken], patient[broken], f"the {what} is missing or cannot be read")
    return (patient >= 0) & (stay >= 0) & ~np.isnan(hours)


def check_order(row: np.ndarray, patient: np.ndarray, stay: np.ndarray, hours: np.ndarray, findings: Findings) -> None:
    """Rows in the order of the table."""
    order = np.argsort(stay, kind="stable")
    back = (np.diff(hours[order]) < 0) & (np.diff(stay[order]) == 0)
    broken = np.sort(order[1:][back])
    findings.rows("unsorted", row[broken], patient[broken], "its time lies before that of the stay's row before")


def check(draft: Draft, config: ClinicalConfig, findings: Findings) -> None:
    """All rules but those of keys and order, in the order of the table above."""
    if config.unit_factor is not None:
        _whole_units(draft, findings.source)
    same = np.diff(draft.stay, prepend=-1) == 0
    duplicate = same & (np.diff(draft.hours, prepend=np.nan) == 0)
    draft.tell(findings, "duplicate", duplicate, "another row has this stay and time", stay=False)
    draft.drop_row |= duplicate
    other = same & (np.diff(draft.patient, prepend=-1) != 0)
    draft.tell(findings, "two_patients", other, "its stay belongs to another patient too", stay=True)
    _state(draft, config, findings)
    _actions(draft, config, findings)
    _units(draft, config.unit_factor, findings)
    _outcomes(draft, config, findings)
    _constants(draft, findings)
    _empty(draft, findings)


def _outside(values: np.ndarray, column: Column) -> np.ndarray:
    if column.kind == "binary":
        return ~np.isnan(values) & (values != 0) & (values != 1)
    broken = np.zeros(len(values), bool)
    if column.low is not None:
        broken |= values < column.low
    if column.high is not None:
        broken |= values > column.high
    return broken


def _range(column: Column) -> str:
    if column.kind == "binary":
        return "0 or 1"
    low, high = ("" if bound is None else f"{bound:g}" for bound in (column.low, column.high))
    return f"{low} … {high} {column.unit}".strip()


def _state(draft: Draft, config: ClinicalConfig, findings: Findings) -> None:
    schema, roles = draft.schema, (draft.schema.outcome, draft.schema.end_reason, *draft.schema.action)
    for name, wrong in draft.wrong.items():
        if name not in roles:
            draft.tell(findings, "not_a_number", wrong, f"{name} is no number", stay=False)
    for name, column in schema.state.items():
        if name in draft.coded:
            _categories(draft, name, column, findings)
            missing = draft.coded[name].codes < 0
        else:
            values = draft.values[name]
            broken = _outside(values, column)
            detail = f"{name} lies outside its plausible range, {_range(column)}"
            if name not in schema.action:
                draft.tell(findings, "out_of_range", broken, detail, stay=False)
                draft.values[name] = values = np.where(broken, np.nan, values)
            missing = np.isnan(values)
        if config.states.missing == "error":
            draft.tell(findings, "missing_value", missing, f"{name} is missing", stay=True)


def _categories(draft: Draft, name: str, column: Column, findings: Findings) -> None:
    coded = draft.coded[name]
    if not column.categories:
        return
    strange = np.array([text not in column.categories for text in coded.names], bool)
    broken = (coded.codes >= 0) & strange[coded.codes] if len(strange) else np.zeros(len(coded.codes), bool)
    draft.tell(
        findings, "unseen_category", broken, f"{name} is of a category that the schema does not list", stay=False
    )
    draft.coded[name] = Coded(np.where(broken, -1, coded.codes), coded.names)


def _actions(draft: Draft, config: ClinicalConfig, findings: Findings) -> None:
    taken = np.ones(len(draft.row), bool)
    if config.ends.last_action == "ignored":
        taken[draft.last] = False
    for name, column in draft.schema.action.items():
        if config.actions.columns and name not in config.actions.columns:
            continue
        values = draft.values[name]
        wrong = draft.wrong.get(name, np.zeros(len(values), bool))
        draft.tell(findings, "not_a_number", wrong, f"{name} is no number", stay=True)
        broken = _outside(values, column)
        if column.kind == "categorical":
            broken |= values != np.round(np.nan_to_num(values, nan=0.0), 0)
            broken &= ~np.isnan(values)
        draft.tell(findings, "action_range", broken, f"{name} lies outside its range, {_range(column)}", stay=True)
        missing = np.isnan(values) & taken & ~wrong & ~draft.drop_row
        draft.tell(findings, "missing_action", missing, f"{name} is missing where a decision was taken", stay=True)
    if draft.schema.propensity:
        values = draft.values[draft.schema.propensity]
        broken = taken & ~((values > 0) & (values <= 1))
        draft.tell(findings, "propensity", broken, "the propensity lies outside (0, 1] or is missing", stay=True)


def _whole_units(draft: Draft, source: str) -> None:
    """FeedError where the median of a column is none that patients have in its unit.

    Stays that are all wrong alike are not off each other. Of few patients nothing is said: they may be unusual.
    """
    for name, column in {**draft.schema.state, **draft.schema.action}.items():
        values, usual = draft.values.get(name), usual_median(name, column.unit)
        if values is None or usual is None or column.kind != "numeric":
            continue
        given = values > 0
        if len(np.unique(draft.patient[given])) < LEAST:
            continue
        found = float(np.median(values[given]))
        if not usual[0] <= found <= usual[1]:
            raise FeedError(
                f"{source}: the median of {name} above 0 is {found:.2g}, where {usual[0]:g} to {usual[1]:g} "
                f"{column.unit} was expected: is the whole column in another unit? Convert it; "
                "feed.unit_factor=null leaves units unchecked"
            )


def _units(draft: Draft, factor: float | None, findings: Findings) -> None:
    """Stays whose typical value is many times off that of the others: milligrams among micrograms."""
    if factor is None:
        return
    for name, column in {**draft.schema.state, **draft.schema.action}.items():
        values = draft.values.get(name)
        if values is None or column.kind != "numeric" or column.unit in _PURE:
            continue
        told = np.where(values > 0, np.log(np.where(values > 0, values, 1.0)), np.nan)
        known = np.flatnonzero(~np.isnan(told))
        if not len(known):
            continue
        counts = np.bincount(draft.stay[known], minlength=len(draft.drop_stay))
        sums = np.bincount(draft.stay[known], weights=told[known], minlength=len(counts))
        mean = np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
        off = np.abs(mean - np.nanmedian(mean)) > np.log(factor)
        broken = np.zeros(len(values), bool)
        broken[known] = off[draft.stay[known]]
        detail = f"{name} is over {factor:g} times off other stays: is it in {column.unit}?"
        draft.tell(findings, "unit", broken, detail, stay=True)


def _differs(values: np.ndarray, draft: Draft) -> np.ndarray:
    """Where a value [N] is not the first that its stay knows; missing ones agree with any."""
    order = np.where(np.isnan(values), len(values), np.arange(len(values)))
    first = np.minimum.reduceat(order, draft.starts)[draft.stay]
    reference = np.where(first < len(values), values[np.minimum(first, len(values) - 1)], np.nan)
    return ~np.isnan(values) & (values != reference)


def _outcomes(draft: Draft, config: ClinicalConfig, findings: Findings) -> None:
    schema, last = draft.schema, draft.last
    outcome = draft.values[schema.outcome] if schema.outcome else np.full(len(draft.row), np.nan)
    reason = draft.values[schema.end_reason] if schema.end_reason else np.full(len(draft.row), np.nan)
    if schema.outcome:
        wrong = draft.wrong.get(schema.outcome, np.zeros(len(outcome), bool))
        broken = wrong | (~np.isnan(outcome) & (outcome != 0) & (outcome != 1))
        draft.tell(findings, "out_of_range", broken, f"{schema.outcome} is neither 0 nor 1", stay=True)
        if config.ends.outcome == "stay":
            broken, hint = _differs(outcome, draft), "; if only the last row counts, set feed.ends.outcome=last_row"
        else:
            same = np.diff(draft.stay, prepend=-1) == 0
            broken, hint = same & (np.diff(outcome, prepend=0.0) < 0), ""
        draft.tell(findings, "contradictory_outcome", broken, f"the stay has two outcomes{hint}", stay=True)
    if schema.end_reason:
        words = f"the end reason is none of {', '.join(REASONS)}"
        draft.tell(findings, "end_reason", draft.wrong[schema.end_reason], words, stay=True)
        draft.tell(findings, "contradictory_end", _differs(reason, draft), "the stay has two end reasons", stay=True)
    if not (schema.outcome or schema.end_reason):
        return
    most, end = (np.fmax.reduceat(values, draft.starts) for values in (outcome, reason))
    at_last = np.zeros(len(outcome), bool)
    if config.ends.outcome == "last_row":
        most = outcome[last]
    at_last[last] = ((end == DEATH) & (most == 0)) | ((end == DISCHARGE) & (most == 1))
    draft.tell(findings, "contradictory_end", at_last, "the end reason contradicts the outcome", stay=True)
    silent = np.zeros(len(outcome), bool)
    silent[last] = np.isnan(most) & np.isnan(end)
    draft.tell(findings, "missing_outcome", silent, "neither outcome nor end reason is known", stay=True)


def _constants(draft: Draft, findings: Findings) -> None:
    for name in dict.fromkeys(name for name in (*draft.schema.static, draft.schema.site) if name):
        if name in draft.coded:
            codes = draft.coded[name].codes
            values = np.where(codes < 0, np.nan, codes.astype(float))
        else:
            values = draft.values[name]
        draft.tell(findings, "static", _differs(values, draft), f"{name} changes within the stay", stay=True)


def _empty(draft: Draft, findings: Findings) -> None:
    told = np.zeros(len(draft.row), bool)
    names = [name for name in draft.schema.state if name not in draft.schema.action and name != draft.schema.time]
    if not names:
        return
    for name in names:
        told |= draft.coded[name].codes >= 0 if name in draft.coded else ~np.isnan(draft.values[name])
    hollow = np.zeros(len(told), bool)
    hollow[draft.starts] = ~np.logical_or.reduceat(told, draft.starts)
    draft.tell(findings, "empty_stay", hollow, "no state value stands in any row of the stay", stay=True)
