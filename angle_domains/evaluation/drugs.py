"""How a policy uses each drug beside how it was used: the columns of published tables of vasopressor policies.

metric                        of the decisions of one part
use_<drug>                    patients whom the policy would give the drug at least once, and recorded_use_<drug>
concordance_<drug>            decisions in which its level is the recorded one; of a dose its bin or step
q_self_per_decision           what the agent holds its own actions worth (Q/t); no value
q_self_gain                   that, less what it holds the recorded actions worth (delta Q), where it holds them worth
                              anything; never negative, no gain
"""

from collections.abc import Iterator

import numpy as np

from angle_domains.evaluation.cohort import OUT, Intended
from feeds.base import Rows
from feeds.clinical.feed import ClinicalFeed

_FEWEST = 11  # patients in a share that is told


def drug_metrics(feed: ClinicalFeed, split: str, rows: Rows, intent: Intended) -> dict[str, float]:
    """Shares between 0 and 1, by the codec: whom the policy would treat given what was in force before."""
    found = _values(rows, intent)
    records, decided = feed.part(split), ~rows.last
    if len(records) != len(rows):
        return found
    before = feed.doses(records).before
    ours, theirs = (feed.codec.decode(action, before) for action in (intent.action, rows.action))
    for k, name in enumerate(feed.codec.columns):
        if feed.records.schema.kind(name) == "categorical":  # a coded pair of doses is no drug: 0 need not mean none
            continue
        same = np.isclose(ours[decided, k], theirs[decided, k])
        found[f"concordance_{name}"] = float(same.mean())
        for told, doses in ((f"use_{name}", ours), (f"recorded_use_{name}", theirs)):
            users, patients = len(np.unique(rows.entity[decided & (doses[:, k] > 0)])), len(np.unique(rows.entity))
            if min(users or _FEWEST, patients - users or _FEWEST) >= _FEWEST:
                found[told] = users / patients
    return found


def drug_lines(found: dict[str, float]) -> Iterator[str]:
    """For a terminal, a line a drug."""
    for name in (key.removeprefix("concordance_") for key in found if key.startswith("concordance_")):
        ours, theirs = (found.get(f"{key}_{name}") for key in ("use", "recorded_use"))
        shares = ["too few to tell" if share is None else f"{share:.1%}" for share in (ours, theirs)]
        alike = found[f"concordance_{name}"]
        yield f"{name}: {shares[0]} of patients, recorded {shares[1]}; the same in {alike:.1%} of decisions"
    if "q_self_gain" in found:
        yield (
            f"q_self a decision: {found['q_self_per_decision']:.4g}, {found['q_self_gain']:.4g} above what the agent "
            "holds the recorded decisions worth; neither is a value"
        )


def _values(rows: Rows, intent: Intended) -> dict[str, float]:
    if intent.q is None or intent.action.ndim > 1:
        return {}
    decided = np.flatnonzero(~rows.last)
    ours, theirs = (intent.q[decided, action[decided].astype(np.int64)] for action in (intent.action, rows.action))
    believed = theirs > OUT
    gain = {"q_self_gain": float((ours - theirs)[believed].mean())} if believed.any() else {}
    return {"q_self_per_decision": float(ours.mean())} | gain
