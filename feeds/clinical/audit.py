"""The whole report on patient tables, leaks above all: `angle-domains feeds check PATH --feed clinical`."""

import re
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from feeds.base import Rows
from feeds.clinical.border import read_records
from feeds.clinical.config import ClinicalConfig
from feeds.clinical.disclosure import HIDDEN, LEAST, small
from feeds.clinical.episodes import deaths, doses_of
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.outcomes import ends_untold
from feeds.clinical.records import DEATH, REASONS, Records
from feeds.clinical.split import SPLITS
from feeds.findings import CheckReport, count

TELLS = 0.98  # AUROC of one feature against the outcome that gives a leak away
ACTS = 0.95  # correlation of one feature with the dose of its own row, likewise; what is lagged may be as near
LOST = 0.05  # share of the table's deaths that may reach nobody
_ZEROS = re.compile(r"(?<![\d.])0+(?=\d)")
_CUTS = (0.25, 0.5, 0.75)  # shares of a stay's length after which the future is changed


class Audit(NamedTuple):
    """The report as text, and whether training on these data would start and look nowhere ahead."""

    text: str
    accepted: bool


class Leak(NamedTuple):
    """One thing that the audit looked for: what it is called, what it found, and whether that is a leak."""

    name: str
    told: str
    passed: bool
    missed: str = ""  # what could not be looked for, where these data do not allow it


def check(path: str, config: ClinicalConfig) -> Audit:
    """What was read, every finding, parts, features, and what leaks.

    Rows that break a rule do not stop the report: under the policy "error" it goes on without them and says so. What
    makes a table unreadable (missing columns, truncated files, …) is a FeedError all the same.
    """
    config = config.model_copy(update={"path": path})
    return audit(config, *_read(config))


def _read(config: ClinicalConfig) -> tuple[Records, CheckReport]:
    return read_records(config.model_copy(update={"policy": "quarantine"}))


def audit(config: ClinicalConfig, records: Records, report: CheckReport) -> Audit:
    """The report on records that were read under the policy "quarantine"."""
    strict = config.policy == "error"
    feed = ClinicalFeed(config, records=(records, report))
    found = sum(report.counts.values())
    lines = [replace(report, policy=config.policy).text()]
    if strict and found:
        said = f"refused: {count(found, 'finding')} under feed.policy=error; what follows leaves them out"
    else:
        said = f"accepted with {count(found, 'finding')}" if found else "accepted"
    lines.append(f"verdict   {said}")
    rows = {split: feed.episodes(split) for split in SPLITS}
    leaks = [*future(feed), ids(feed), *own_action(feed), *telling(feed, rows["train"]), terminal(feed, rows)]
    lines += [*_parts(feed, rows), *_features(feed), *_reward(feed)]
    lines += [f"{leak.name:<10}{_standing(leak)}{leak.told}" for leak in leaks]
    passed = all(leak.passed for leak in leaks)
    missed = ", ".join(leak.missed for leak in leaks if leak.missed)
    said = "nothing leaks that was looked for" if passed else "FAILED: see above"
    lines.append(f"proof     {said}{f'; not looked for: {missed}' if missed else ''}")
    return Audit("\n".join(lines), passed and not (strict and found))


def _standing(leak: Leak) -> str:
    return "not looked for: " if leak.missed else "" if leak.passed else "FAILED: "


def future(feed: ClinicalFeed) -> list[Leak]:
    """Every value and dose after some row of each stay changed: states, masks and actions up to it, and rewards."""
    leaks = []
    records = feed.records
    length = (records.stops - records.starts)[records.stay]
    place = np.arange(len(records)) - records.starts[records.stay]
    for share in _CUTS:
        before = place <= np.floor(share * (length - 1))
        cut = np.maximum.reduceat(np.where(before, records.hours, -np.inf), records.starts)[records.stay]
        changed = _spoiled(records, ~before)
        one, two = (feed.rows_of(told) for told in (records, changed))
        reach = np.maximum(records.hours, np.where(one.first, -np.inf, np.roll(records.hours, 1)) + feed.term.horizon)
        moved = {"observations": _differ(one.observation, two.observation, before)}
        if one.mask is not None and two.mask is not None:
            moved["masks"] = _differ(one.mask, two.mask, before)
        if feed.config.actions.timing == "same_row":
            moved["actions"] = _differ(one.action, two.action, before & ~one.last)
        moved["rewards"] = _differ(one.reward, two.reward, before & (reach <= cut))
        told = ", ".join(f"{number:,} {name}" for name, number in moved.items() if number)
        said = f"DIFFER in {told}" if told else "equal to the bit"
        text = (
            f"everything after {share:.0%} of each stay changed: {count(int(before.sum()), 'row')} up to there {said}"
        )
        leaks.append(Leak("future", text, not told))
    return leaks


def _spoiled(records: Records, later: np.ndarray) -> Records:
    """Other values in some rows: numbers mirrored within their range and moved, what is missing there, what was not."""
    values = {}
    for name, column in records.values.items():
        known = column[~np.isnan(column)]
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
        other = np.where(np.isnan(column), high, low + high - column + (0.0 if name in records.schema.action else 0.5))
        values[name] = np.where(later, other, column)
    if records.schema.propensity:
        values[records.schema.propensity] = records.values[records.schema.propensity]
    coded = {
        name: replace(c, codes=np.where(later, (c.codes + 1) % max(1, len(c.names)), c.codes))
        for name, c in records.coded.items()
    }
    return replace(records, values=values, coded=coded)


def _differ(one: np.ndarray, two: np.ndarray, where: np.ndarray) -> int:
    return int((one[where] != two[where]).reshape(int(where.sum()), -1).any(axis=1).sum())


def ids(feed: ClinicalFeed) -> Leak:
    """Patients that stand in two parts, be it under names that differ in case, blanks or leading zeros alone."""
    parts = [{_folded(name) for name in feed.part(split).identities.tolist()} for split in SPLITS]
    shared = sum(len(one & two) for at, one in enumerate(parts) for two in parts[at + 1 :])
    alike = ", maybe under names that differ in case, blanks or leading zeros" if shared else ""
    return Leak("ids", f"{count(shared, 'patient')} in two parts{alike}", not shared)


def _folded(name: str) -> str:
    """What is left of an identity where case, blanks and leading zeros of its numbers do not count."""
    return _ZEROS.sub("", "".join(name.split()).casefold())


def own_action(feed: ClinicalFeed) -> list[Leak]:
    """Features that rise and fall with the dose of their own row: the decision stands in the state."""
    records = feed.part("train")
    doses = doses_of(records, feed.codec, feed.config).decided
    taken = np.diff(records.stay, append=-1) == 0
    observation, names = feed.coder.encode(records)[taken], feed.coder.blocks()[0].features
    lagged = {f"{name}_before" for name in feed.coder.lagged}
    found = [
        (_alike(observation[:, at], doses[taken, k]), name, column)
        for k, column in enumerate(feed.codec.columns)
        for at, name in enumerate(names)
        if name.split("=")[0] not in lagged
    ]
    leaks = [
        Leak("action", f"{name} tells the {column} of its own row ({alike:.3f}); lag or drop it (feed.states)", False)
        for alike, name, column in found
        if alike > ACTS
    ]
    alike, name, column = max(found, default=(0.0, "none", "any"))
    told = f"no feature tells the decision of its own row; the nearest is {name} of {column} ({alike:.3f})"
    return leaks or [Leak("action", told, True)]


def _alike(feature: np.ndarray, dose: np.ndarray) -> float:
    """How well the dose tells the feature: by a line, by ranks, or by its levels where they are codes."""
    straight = (abs(_correlation(feature, other)) for other in (dose, _ranks(dose)))
    return max(*straight, _explained(feature, dose))


def _explained(feature: np.ndarray, dose: np.ndarray) -> float:
    """Root of the share of the feature's variance that the levels of a coded dose explain."""
    levels, level = np.unique(dose, return_inverse=True)
    total = float(feature.astype(np.float64).var())
    if len(levels) > 50 or total == 0:
        return 0.0
    counts = np.bincount(level)
    means = np.bincount(level, weights=feature) / counts
    return float(np.sqrt(np.sum(counts * (means - feature.mean(dtype=np.float64)) ** 2) / len(feature) / total))


def _correlation(one: np.ndarray, two: np.ndarray) -> float:
    if one.std() < 1e-9 or two.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(one, two)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Mean ranks from 1, alike for ties."""
    levels, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    assert len(levels) == len(counts)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive scores above a negative, ties counted by half; one half where there are no two."""
    many, few = int(positive.sum()), int((~positive).sum())
    if not many or not few:
        return 0.5
    return float((_ranks(score)[positive].sum() - many * (many + 1) / 2) / (many * few))


def telling(feed: ClinicalFeed, rows: Rows) -> list[Leak]:
    """Features that tell who dies all by themselves, at the first decision or at the last."""
    records = feed.part("train")
    died = records.died
    if min(died.sum(), (~died).sum()) < LEAST:
        told = f"fewer than {LEAST} deaths or survivors in training: no feature can be judged"
        return [Leak("outcome", told, True, missed="features that tell who dies")]
    names = [f"{name} ({block.name})" for block in feed.spec.blocks for name in block.features]
    leaks, strongest = [], (0.5, "")
    for at, name in enumerate(names):
        for row in (rows.starts, rows.stops - 2):
            area = auroc(rows.observation[row, at], died)
            area = max(area, 1 - area)
            strongest = max(strongest, (area, name))
            if area > TELLS:
                leaks.append(Leak("outcome", f"{name} tells who dies, AUROC {area:.4f}: is it known in time?", False))
                break
    told = f"no feature tells who dies by itself; the nearest is {strongest[1]}, AUROC {strongest[0]:.3f}"
    return leaks or [Leak("outcome", told, True)]


def terminal(feed: ClinicalFeed, rows: dict[str, Rows]) -> Leak:
    """The share of the table's deaths, of stays left out too, whose terminal step an agent or a judge can be given.

    It is a leak of another kind: who never sees a death learns that there are none. Deaths that come after the end of
    a record are no steps of it, by the settings of `feed.ends`.
    """
    found = [deaths(part, feed.part(split)) for split, part in rows.items()]
    lost = dict(feed.records.deaths_lost)
    died, reached = sum(there for there, _ in found) + sum(lost.values()), sum(drawn for _, drawn in found)
    if missing := died - reached - sum(lost.values()):
        lost["whose stay does not end as a task"] = missing
    late = "; some died after their record ended, which counts by feed.ends" if _late(feed.records) else ""
    if not died:
        return Leak("terminal", f"nobody dies in these records{late}", True)
    if not lost:
        return Leak("terminal", f"100% of the deaths of the table reach training and judging{late}", True)
    few = small(reached) or small(died - reached)
    share = "not all (of few patients it is not told how many)" if few else f"{reached / died:.0%}"
    told = f"{share} of the deaths of the table reach training and judging; lost are some {' and some '.join(lost)}"
    return Leak("terminal", told + late, (died - reached) / died <= LOST)


def _late(records: Records) -> bool:
    return bool((records.died & (records.reason != DEATH)).any())


def _parts(feed: ClinicalFeed, rows: dict[str, Rows]) -> list[str]:
    lines = []
    parts = [feed.part(split) for split in rows]
    ends = np.stack([np.bincount(records.reason, minlength=len(REASONS)) for records in parts])
    for (split, part), records, counts, hide in zip(rows.items(), parts, ends, ends_untold(parts), strict=True):
        told = ", ".join(f"{n:,} {name}" for name, n in zip(REASONS, counts.tolist(), strict=True) if n)
        told = HIDDEN if hide else told
        lines.append(
            f"split     {split}: {count(len(records.identities), 'patient')}, {count(len(records.patient), 'stay')}, "
            f"{count(int((~part.last).sum()), 'decision')}; ends: {told}"
        )
    return lines


def _features(feed: ClinicalFeed) -> list[str]:
    fitted, train = feed.coder.fitted, feed.part("train")
    assert fitted is not None
    lines = [f"features  {feed.spec.blocks[-1].stop}; scaler {fitted.scaler.digest()[:16]}"]
    for name, mean, scale in zip(fitted.scaler.names, fitted.scaler.mean, fitted.scaler.scale, strict=True):
        known = f", measured in {np.mean(~np.isnan(train.values[name])):.1%}" if name in train.values else ""
        lines.append(f"            {name}: train mean {mean:.4g}, deviation {scale:.4g}{known}")
    lagged = sorted(feed.coder.lagged & set(feed.coder.columns))
    return lines + ([f"            of the row before: {', '.join(lagged)}"] if lagged else [])


def _reward(feed: ClinicalFeed) -> list[str]:
    profile = feed.describe()["profile"]
    actions, reward = profile["actions"], profile["reward"]
    held = f", {actions['held_on']:,} held on" if actions["held_on"] else ""
    return [
        f"actions   {actions['codec']} of {', '.join(actions['columns'])}: {count(actions['decisions'], 'decision')}, "
        f"{actions['clipped']:,} moved into what can be expressed{held}",
        f"reward    {reward['kind']}{': ' + reward['flag'] if reward['flag'] else ''}",
        f"digest    sha256 {feed.records.digest()}",
    ]
