"""How often each numbered action was taken, and how often the policy takes it."""

from dataclasses import dataclass

import numpy as np

from angle_domains.evaluation.clinical import ClinicalValue
from angle_domains.report.page import Row, paragraph, section, table
from angle_domains.report.patients.shown import NONE, share
from feeds.clinical.disclosure import LEAST, hidden

_MOST = 40  # of the table


@dataclass(frozen=True)
class Decision:
    """One action as a share of all decisions; None where few patients had it, or it would tell of another's few."""

    label: str
    recorded: float | None
    policy: float  # mean probability
    agrees: float | None  # the policy's mean probability where it was taken


def decision_rows(found: ClinicalValue) -> list[Decision]:
    """The most frequent first, those that are not told last; none where doses are continuous."""
    rows, policy = found.rows, found.intent.policy
    if policy is None:
        return []
    decided = ~rows.last
    taken, patient, chances = rows.action[decided].reshape(-1).astype(np.int64), rows.entity[decided], policy[decided]
    times = np.bincount(taken, minlength=policy.shape[1])
    secret = hidden(np.array([len(np.unique(patient[taken == action])) for action in range(len(times))]))
    labels = found.study.labels if found.study and found.study.labels else [str(action) for action in range(len(times))]
    told = []
    for action in np.lexsort((-chances.mean(0), np.where(secret, 0, -times))):
        where, away = taken == action, bool(secret[action])
        agrees = float(chances[where, action].mean()) if where.any() and not away else None
        told.append(
            Decision(labels[action], None if away else float(where.mean()), float(chances[:, action].mean()), agrees)
        )
    return told


def decisions(found: ClinicalValue) -> str:
    """The table, in words."""
    rows = decision_rows(found)
    if not rows:
        return ""
    shown: list[Row] = [
        [each.label, share(each.recorded), share(each.policy), NONE if each.agrees is None else f"{each.agrees:.0%}"]
        for each in rows[:_MOST]
    ]
    more = f" The {_MOST} most frequent of {len(rows)}." if len(rows) > _MOST else ""
    text = (
        f"Shares of all decisions. Cells of fewer than {LEAST} patients are not shown, nor what would give them away "
        f"({NONE}).{more}"
    )
    head = ("action", "recorded", "policy", "policy agrees, where it was taken")
    return section("Which decisions?", paragraph(text), table(head, shown, own=2), name="decisions")
