"""From a table to checked records. See `feeds.clinical.rules` for what is checked."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from feeds.clinical import cast
from feeds.clinical.config import ClinicalConfig, Ends
from feeds.clinical.disclosure import LEAST
from feeds.clinical.episodes import with_end_rows
from feeds.clinical.findings import Findings
from feeds.clinical.meds import given_parts
from feeds.clinical.read import ROW, Table, is_meds, read_table
from feeds.clinical.records import DEATH, DISCHARGE, HOUR_CAP, TRANSFER, Coded, Records
from feeds.clinical.rules import Draft, check, check_keys, check_order
from feeds.errors import FeedError
from feeds.findings import CheckReport, count

_INSTANTS = 3e5  # hours since 1970, which text may hold: so many are no time within a stay
_CAPPED = 0.05  # share of the stays that end alive: so many do not end in the same last hour by themselves


def read_records(config: ClinicalConfig, frame: Any = None) -> tuple[Records, CheckReport]:
    """Reads what the config names, or takes the frame. Under the policy "error" FeedError at the first broken rule."""
    table = read_table(config, frame)
    if not len(table.frame):
        raise FeedError(f"{table.name}: the table has no rows")
    draft, findings = _draft(table)
    check(draft, config, findings)
    if config.policy == "error":
        findings.stop()
    records = _records(draft, table, config)
    if frame is None:
        records = _parted(records, config)
    if not len(records.patient):
        raise FeedError(
            f"{table.name}: no stay is left that holds a decision; of rules broken: {findings.tally.counts}"
        )
    report = CheckReport(
        source=table.name,
        facts={
            "rows": len(table.frame),
            "stays": len(draft.drop_stay),
            "patients": len(draft.identities),
        },
        policy=config.policy,
        findings=tuple(findings.tally.kept),
        counts=findings.tally.counts,
        notes=records.notes,
    )
    return records, report


def _draft(table: Table) -> tuple[Draft, Findings]:
    """The table as arrays, sorted by stay and time, without rows that belong to nobody or to no time."""
    frame, schema = table.frame, table.schema
    patient, people = cast.identities(frame[schema.subject])
    stay = patient if schema.stay is None else cast.identities(frame[schema.stay])[0]
    hours = cast.hours(frame[schema.time], schema.time_unit, schema.time)
    findings = Findings(table.name, people)
    row = frame[ROW].to_numpy()
    keyed = check_keys(row, patient, stay, hours, findings)
    check_order(row[keyed], patient[keyed], stay[keyed], hours[keyed], findings)
    order = np.flatnonzero(keyed)[np.lexsort((hours[keyed], stay[keyed]))]
    _, stays = np.unique(stay[order], return_inverse=True)
    starts = np.flatnonzero(np.diff(stays, prepend=-1))
    if frame[schema.time].dtype.is_temporal() or hours[order].min(initial=np.inf) > _INSTANTS:
        hours = hours.copy()
        hours[order] -= hours[order][starts][stays]
    values, wrong, coded = _columns(frame, table, order)
    draft = Draft(
        schema=schema,
        row=row[order],
        patient=patient[order],
        stay=stays,
        hours=hours[order],
        values=values,
        wrong=wrong,
        coded=coded,
        identities=people,
        drop_row=np.zeros(len(order), bool),
        drop_stay=np.zeros(len(starts), bool),
    )
    return draft, findings


def _columns(
    frame: pl.DataFrame, table: Table, order: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, Coded]]:
    schema = table.schema
    values: dict[str, np.ndarray] = {}
    wrong: dict[str, np.ndarray] = {}
    coded: dict[str, Coded] = {}
    single = [name for name in (schema.outcome, schema.propensity) if name]
    for name in dict.fromkeys([*schema.state, *schema.action, *schema.rewards, *single]):
        if name in schema.state and schema.state[name].kind == "categorical":
            codes, names = cast.labels(frame[name])
            coded[name] = Coded(codes[order], names)
        if name not in coded or name in schema.action:
            numbers, bad = cast.numbers(frame[name])
            values[name] = numbers[order]
            if bad.any():
                wrong[name] = bad[order]
    for name in [name for name in (*schema.static, schema.site) if name and name not in values and name not in coded]:
        codes, names = cast.labels(frame[name])
        coded[name] = Coded(codes[order], names)
    if schema.end_reason:
        found, bad = cast.reasons(frame[schema.end_reason])
        values[schema.end_reason] = np.where(found < 0, np.nan, found)[order]
        wrong[schema.end_reason] = bad[order]
    return values, wrong, coded


def _records(draft: Draft, table: Table, config: ClinicalConfig) -> Records:
    schema, values = draft.schema, dict(draft.values)
    starts = draft.starts
    notes = list(table.notes)
    died, reason = _ends(draft, config.ends)
    if not (schema.outcome or schema.end_reason):
        notes.append("no column says how stays end: each ends as a record that was cut off")
    elif not schema.end_reason:
        notes.append("no column says why stays end: whoever did not die counts as discharged, at an hour cap too")
        notes += _alike(draft, reason == DISCHARGE)
    site = np.zeros(len(starts), np.int64)
    sites: tuple[str, ...] = ("",)
    if schema.site:
        site, sites = draft.coded[schema.site].codes[starts].astype(np.int64), draft.coded[schema.site].names
    for role in (schema.outcome, schema.end_reason):
        if role:
            del values[role]
    records = Records(
        schema=schema,
        row=draft.row,
        stay=draft.stay,
        hours=draft.hours,
        patient=draft.patient[starts],
        reason=reason,
        died=died,
        values=values,
        coded=draft.coded,
        site=site,
        sites=sites,
        identities=draft.identities,
        source=table.name,
    )
    keep = ~draft.drop_row
    counts = {"stays that broke a rule": int(draft.drop_stay.sum()), "rows that broke a rule": int((~keep).sum())}
    if config.ends.max_hours is not None:
        records, keep = _capped(records, keep, config.ends)
    rows = np.bincount(records.stay[keep], minlength=len(starts))
    least = 1 if config.ends.last_action == "taken" else 2
    short = ~draft.drop_stay & (rows < least)
    counts["stays of one row, which hold no decision"] = int(short.sum())
    lost = {"in stays that broke a rule": draft.drop_stay, "in stays that hold no decision": short}
    deaths = {why: number for why, away in lost.items() if (number := int((away & (reason == DEATH)).sum()))}
    counts = {name: number for name, number in counts.items() if number}
    notes += [f"left out: {_counted(number, name)}" for name, number in counts.items()]
    records = replace(records, notes=tuple(notes), counts=counts, deaths_lost=deaths)
    records = records.stays(~draft.drop_stay & ~short, keep)
    if config.ends.last_action == "ignored":
        return records
    return with_end_rows(records, config.ends.single_hours)


def _alike(draft: Draft, alive: np.ndarray) -> list[str]:
    """A word where many of the stays [S] that count as discharged are equally long and none is longer: by a cap."""
    length = (draft.hours[draft.last] - draft.hours[draft.starts])[alive & ~draft.drop_stay]
    longest = float(length.max(initial=0.0))
    number = int((length == longest).sum())
    if number < max(LEAST, _CAPPED * len(length)):
        return []
    return [
        f"{number:,} of {len(length):,} stays that count as discharged end after {longest:g} h, and none later: where "
        "the record is cut there, feed.roles.end_reason or feed.ends.max_hours below it must say so"
    ]


def _parted(records: Records, config: ClinicalConfig) -> Records:
    """With the parts that MEDS data name, where they do and it is not asked for others."""
    place = Path(config.path).expanduser()
    if config.splits.by not in ("auto", "given") or not is_meds(place):
        return records
    given = given_parts(place, records.identities)
    told = () if given is None else ("patients are in the parts that the data name",)
    return replace(records, given=given, notes=records.notes + told)


def _counted(number: int, name: str) -> str:
    """ "1 stay that broke a rule", "2 stays that broke a rule"."""
    noun, _, rest = name.partition("s ")
    return f"{count(number, noun)} {rest.replace('hold ', 'holds ') if number == 1 else rest}"


def _ends(draft: Draft, ends: Ends) -> tuple[np.ndarray, np.ndarray]:
    """Outcome and end reason of each stay: what one column leaves open the other says."""
    schema, last = draft.schema, draft.last
    died = np.full(len(last), np.nan)
    if schema.outcome:
        died = np.maximum.reduceat(np.nan_to_num(draft.values[schema.outcome], nan=-1.0), draft.starts)
        if ends.outcome == "last_row":
            died = np.nan_to_num(draft.values[schema.outcome], nan=0.0)[last]
    reason = np.full(len(last), -1)
    if schema.end_reason:
        reason = np.fmax.reduceat(np.nan_to_num(draft.values[schema.end_reason], nan=-1.0), draft.starts).astype(int)
    dead = (died == 1) | (reason == DEATH)
    if schema.outcome or schema.end_reason:
        known = (reason >= 0) | (died >= 0)
        reason = np.where(reason >= 0, reason, np.where(dead, DEATH, np.where(known, DISCHARGE, HOUR_CAP)))
    else:
        reason = np.full(len(last), HOUR_CAP)
    if ends.late_death == "terminal":
        reason = np.where(dead & np.isin(reason, (TRANSFER, HOUR_CAP)), DEATH, reason)
    return dead, reason


def _capped(records: Records, keep: np.ndarray, ends: Ends) -> tuple[Records, np.ndarray]:
    """Leaves out what lies beyond the cap; stays that went on end by it."""
    since = records.hours - records.hours[records.starts][records.stay]
    beyond = since > (ends.max_hours or np.inf)
    cut = np.zeros(len(records.patient), bool)
    cut[records.stay[beyond]] = True
    end = np.where(records.died & (ends.late_death == "terminal"), DEATH, HOUR_CAP)
    return replace(records, reason=np.where(cut, end, records.reason)), keep & ~beyond
