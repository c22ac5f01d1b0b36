"""The judge of policies for patients: what records can tell of them, and that they cannot where they cannot."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from angle_domains.evaluation import Terms, Verdict
from angle_domains.evaluation.cohort import Intended, intended, policy_at
from angle_domains.evaluation.patients.study import Study, study_of
from angle_domains.evaluation.words import count
from angle_domains.ope import behaviour, fqe, tabular
from angle_domains.ope.diagnostics import Calibration
from angle_domains.ope.episodes import Episodes, from_rows, places
from angle_domains.ope.estimators import ESTIMATORS
from angle_domains.ope.value import Estimate, OpeConfig, evaluate
from angle_domains.showing import Showing
from angle_domains.types import Agent
from feeds.base import FeedSpec, Rows
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.truth import known_states, true_value

GAMMA = 1.0  # values are undiscounted: what is earned over a whole stay
_FOLDS = 5  # of patients, across which a behaviour policy is estimated
BANNER = "Research, not for care."
_VISITS = 5  # rows for each distinct observation, from which on values are counted
_QUICK = OpeConfig(estimators=("WIS",), draws=1, interval="percentile", override=True)


@dataclass(frozen=True)
class ClinicalValue:
    """What was found on one part, for a page."""

    split: str
    name: str
    rows: Rows
    spec: FeedSpec
    intent: Intended
    observed: float  # mean return of the records
    estimates: dict[str, Estimate]  # empty where actions are continuous
    q_self: float | None  # what the agent itself holds the first decisions worth: never a value
    agreement: float  # of decisions, in which the likeliest action is the recorded one; of doses, mean difference
    truth: float | None  # the policy's exact value where the process behind the records is known
    source: dict[str, Any]
    study: Study | None = None  # of the patients behind it, where the feed knows them

    @property
    def refused(self) -> bool:
        return all(estimate.refused for estimate in self.estimates.values())

    @property
    def observed_told(self) -> float | None:
        """None where few patients are judged, or few of them died or lived: it would tell of those."""
        return self.observed if self.study is None or self.study.outcomes_told else None


def judge(feed: Any, agent: Agent, terms: Terms) -> Verdict:
    """What the recorded patients of one part tell of a policy.

    The score by which checkpoints are chosen is the weighted importance sampling estimate, however weak; where there
    is none, because actions are continuous, all checkpoints are alike and the first of them stays.
    """
    rows = feed.episodes(terms.split)
    intent = intended(agent, rows, feed.spec, terms.epsilon)
    if intent.policy is None:
        return _unvalued(feed, rows, intent, terms)
    chances, calibration = _behaviour(feed, rows, terms.seed)
    if not terms.full:
        found = evaluate(from_rows(rows, intent.policy, behaviour=chances), GAMMA, _QUICK, calibration=calibration)
        metrics = {"agreement": _agreement(rows, intent), "refused": float(found["WIS"].overridden)}
        told = f"{terms.split}: {found['WIS'].words()}; agreement {metrics['agreement']:.1%}"
        return Verdict(terms.split, _score(found["WIS"], rows), metrics, (told,))
    config = OpeConfig(seed=terms.seed)
    episodes = from_rows(rows, intent.policy, behaviour=chances)
    found = evaluate(episodes, GAMMA, config, calibration=calibration)
    if not all(estimate.refused for estimate in found.values()):  # else no fit would make the records reach further
        episodes = _with_values(rows, intent.policy, chances, terms.seed)
        found = evaluate(episodes, GAMMA, config, calibration=calibration)
    value = _value(feed, rows, intent, terms, found, _truth(feed, agent, terms.epsilon))
    value = replace(value, study=_study(feed, rows, intent, terms, episodes))
    return Verdict(terms.split, _score(found["WIS"], rows), _metrics(value), tuple(_table(value)), value)


def _score(found: Estimate, rows: Rows) -> float:
    """What the estimate says; where it says nothing, less than any mean of the recorded returns."""
    if found.value is not None:
        return found.value
    at = places(rows)
    return float(np.bincount(at.episode, rows.reward[at.row + 1]).min()) - 1.0


def _unvalued(feed: Any, rows: Rows, intent: Intended, terms: Terms) -> Verdict:
    """Of continuous doses: how far they are from the recorded ones, and no value."""
    value = _value(feed, rows, intent, terms, {}, None)
    value = replace(value, study=_study(feed, rows, intent, terms, None)) if terms.full else value
    return Verdict(terms.split, 0.0, _metrics(value), tuple(_table(value)), value if terms.full else None)


def _value(
    feed: Any, rows: Rows, intent: Intended, terms: Terms, found: dict[str, Estimate], truth: float | None
) -> ClinicalValue:
    at, said = places(rows), feed.describe()
    observed = float(np.bincount(at.episode, rows.reward[at.row + 1]).mean())
    agreement = _agreement(rows, intent)
    first = at.row[at.step == 0]
    own = None if intent.q is None else float(intent.q[first, intent.action[first].astype(np.int64)].mean())
    return ClinicalValue(
        terms.split, said["name"], rows, feed.spec, intent, observed, found, own, agreement, truth, said["profile"]
    )


def _study(feed: Any, rows: Rows, intent: Intended, terms: Terms, episodes: Episodes | None) -> Study | None:
    if not isinstance(feed, ClinicalFeed):
        return None
    return study_of(feed, terms.split, rows, intent, episodes, gamma=GAMMA, seed=terms.seed)


def _truth(feed: Any, agent: Agent, epsilon: float) -> float | None:
    """Of the policy, where the process behind the records is known and shown as it is."""
    known = known_states(feed) if isinstance(feed, ClinicalFeed) else None
    policy = None if known is None else policy_at(agent, known, feed.spec, epsilon)
    return None if policy is None else true_value(policy)


def _behaviour(feed: Any, rows: Rows, seed: int) -> tuple[np.ndarray | None, Calibration | None]:
    """The recorded propensities (None: they stand in the rows), else probabilities estimated across patients."""
    if rows.propensity is not None:
        return None, None
    folds = max(2, min(_FOLDS, len(np.unique(rows.entity)) // 2))
    config = behaviour.BehaviourConfig(folds=folds)
    found = behaviour.estimate(rows, int(feed.spec.action_space.n), config, seed=seed)
    return found.probability, found.calibration


def _with_values(rows: Rows, policy: Float[np.ndarray, "n a"], chances: np.ndarray | None, seed: int) -> Episodes:
    """Episodes with fitted values: counted where states come back, else by a network.

    Estimators that need them are left out where the fit does not converge.
    """
    seen, state = np.unique(rows.observation.reshape(len(rows), -1), axis=0, return_inverse=True)
    if len(seen) * _VISITS <= len(rows):
        numbered = replace(rows, observation=state.reshape(-1, 1).astype(np.float32))
        q = tabular.cross_fit(numbered, policy, GAMMA, len(seen), seed=seed)
        whole = tabular.fit(numbered, policy, GAMMA, len(seen))
        return from_rows(rows, policy, behaviour=chances, q=q, direct=None if whole is None else whole.direct)
    fitted = fqe.fit(rows, policy, GAMMA, seed=seed)
    return from_rows(rows, policy, behaviour=chances, q=fitted.q if fitted.converged else None)


def _agreement(rows: Rows, intent: Intended) -> float:
    """The share of decisions alike; of continuous doses the mean absolute difference."""
    decided = ~rows.last
    ours, theirs = intent.action[decided], rows.action[decided]
    if intent.policy is not None:
        return float((ours == theirs).mean())
    return float(np.abs(ours - theirs).mean())


def _metrics(found: ClinicalValue) -> dict[str, float]:
    """Stable keys; what was refused has none."""
    metrics = {"agreement": found.agreement, "refused": float(found.refused)}
    if found.observed_told is not None:
        metrics["observed"] = found.observed_told
    for name, estimate in found.estimates.items():
        if estimate.value is not None:
            metrics[name.lower()] = estimate.value
        if estimate.value is not None and estimate.interval is not None and name in ("WIS", "DR"):
            metrics |= {f"{name.lower()}_low": estimate.interval.low, f"{name.lower()}_high": estimate.interval.high}
    if found.q_self is not None:
        metrics["q_self"] = found.q_self
    return metrics if found.truth is None else metrics | {"true_value": found.truth}


def _table(found: ClinicalValue) -> Iterator[str]:
    patients, stays = len(np.unique(found.rows.entity)), len(found.rows.starts)
    yield f"{found.split} part of {found.name}: {count(patients, 'patient')}, {count(stays, 'stay')}"
    if found.observed_told is None:
        yield "observed: not told, few patients died or few lived"
    else:
        yield f"observed: {found.observed_told:.4g} a stay, what the recorded decisions earned"
    if not found.estimates:
        yield "value: not estimable: off-policy evaluation of continuous doses is not offered"
        yield f"doses differ from the recorded ones by {found.agreement:.4g} on average"
    else:
        first = next(iter(found.estimates.values()))
        if found.refused:
            yield f"value: {first.judgement.words()} (so say all of {', '.join(ESTIMATORS)})"
        else:
            yield from (estimate.words() for estimate in found.estimates.values())
        yield from first.diagnostics.lines()
        yield f"agreement with the recorded decisions: {found.agreement:.1%}"
        if not found.refused:
            told = dict.fromkeys(line for each in found.estimates.values() for line in each.assumptions)
            yield f"assumed: {'; '.join(told)}"
    if found.q_self is not None:
        yield f"q_self: {found.q_self:.4g}, what the agent itself believes; no estimate of its value"
    if found.truth is not None:
        yield f"truth: {found.truth:.4f}, exact: the process behind these records is known"
    yield BANNER


def play(feed: Any, agent: Agent, showing: Showing) -> Iterator[str]:
    """Stays of one part, decision by decision: what was done, and what the policy would have done."""
    rows = feed.episodes(showing.split)
    intent = intended(agent, rows, feed.spec)
    chosen = np.random.default_rng(showing.seed).permutation(len(rows.starts))[: showing.episodes]
    for number, stay in enumerate(chosen):
        hours = 0.0
        for row in range(rows.starts[stay], min(rows.stops[stay] - 1, rows.starts[stay] + showing.longest)):
            hours += float(rows.elapsed[row])
            done, meant = _named(rows.action[row]), _named(intent.action[row])
            yield f"stay {number + 1}, hour {hours:g}: recorded {done}, policy {meant}"
        end = "the task ended" if rows.terminated[rows.stops[stay] - 1] else "the record was cut"
        earned = rows.reward[rows.starts[stay] : rows.stops[stay]].sum()
        yield f"stay {number + 1}: {end}, return {earned:.4g}"
    yield BANNER


def _named(action: np.ndarray) -> str:
    return " ".join(f"{number:.3g}" for number in np.atleast_1d(action))
