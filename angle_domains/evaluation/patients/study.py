"""All that a report tells of patients beside the value of a policy."""

from dataclasses import dataclass

import numpy as np

from angle_domains.evaluation import Terms
from angle_domains.evaluation.cohort import OUT, Intended
from angle_domains.evaluation.patients.association import Association, association, inputs_of
from angle_domains.evaluation.patients.curve import Curve, curve
from angle_domains.evaluation.patients.decided import Decided, decided
from angle_domains.evaluation.patients.flow import Flow, flow_of
from angle_domains.evaluation.patients.practice import Practice, practice
from angle_domains.evaluation.patients.subgroups import Group, subgroups
from angle_domains.ope.episodes import Episodes
from feeds.base import Rows
from feeds.clinical.feed import ClinicalFeed


@dataclass(frozen=True)
class OwnBelief:
    """What the agent itself holds decisions worth, on average over those it values: never a value of the policy."""

    meant: float  # of its own decision
    given: float  # of the recorded one; the difference cannot be negative for a greedy policy, and so shows nothing


@dataclass(frozen=True)
class Study:
    """Of one part."""

    flow: Flow
    practices: tuple[Practice, ...]
    curves: tuple[Curve, ...]
    associations: tuple[Association, ...]
    groups: tuple[Group, ...]
    labels: tuple[str, ...]  # of numbered actions, in words
    belief: OwnBelief | None
    columns: dict[str, str]  # kind and unit of each
    digest: str  # of the records

    @property
    def outcomes_told(self) -> bool:
        """Whether enough patients of the judged part died and lived for their number to be told."""
        return any(part.judged and part.deaths is not None for part in self.flow.parts)


def study_of(
    feed: ClinicalFeed, split: str, rows: Rows, intent: Intended, episodes: Episodes | None, terms: Terms
) -> Study:  # fmt: skip
    """Of the rows of one part, and what the policy would have decided in them, drawn where it draws."""
    flow, said = flow_of(feed, split), feed.describe()
    secret = any(part.judged and part.deaths is None for part in flow.parts)
    found = decided(feed, split, rows, intent.drawn(rows, terms.seed), secret=secret)
    return Study(
        flow=flow,
        practices=tuple(practice(found, component) for component in found.components),
        curves=tuple(curve(found, component) for component in found.components),
        associations=_associations(found, rows, terms.seed),
        groups=subgroups(feed, split, episodes, terms.judging, secret=secret),
        labels=tuple(label.replace("ug/", "µg/") for label in feed.codec.labels),
        belief=_belief(found, rows, intent),
        columns=said["schema"],
        digest=said["digest"],
    )


def _associations(found: Decided, rows: Rows, seed: int) -> tuple[Association, ...]:
    seen = inputs_of(rows.observation[found.row], found.components)
    alike = {component.name: component.alike for component in found.components}
    if len(alike) > 1:
        alike["all"] = np.all(list(alike.values()), axis=0)
    return tuple(association(name, found, values, seen, seed) for name, values in alike.items())


def _belief(found: Decided, rows: Rows, intent: Intended) -> OwnBelief | None:
    if intent.q is None:
        return None
    meant, given = (intent.q[found.row, action[found.row].astype(np.int64)] for action in (intent.action, rows.action))
    known = np.minimum(meant, given) > OUT
    return OwnBelief(float(meant[known].mean()), float(given[known].mean())) if known.any() else None
