"""The judge of policies for patients: what records can tell of them, and that they cannot where they cannot."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from angle_domains.errors import ConfigError
from angle_domains.evaluation import Terms, Verdict
from angle_domains.evaluation.clinical_value import BANNER, ClinicalValue, lines, metrics, tags
from angle_domains.evaluation.cohort import Intended, intended, policy_at
from angle_domains.evaluation.drugs import drug_metrics
from angle_domains.evaluation.evidence import Evidence, Propensities, counted, gather, numbered, propensities
from angle_domains.evaluation.patients.flow import outcomes_told
from angle_domains.evaluation.patients.study import study_of
from angle_domains.evaluation.robust import examine
from angle_domains.evaluation.skill import Trials
from angle_domains.evaluation.ward import treated
from angle_domains.ope.episodes import Episodes, from_rows, places, returns
from angle_domains.ope.policies import greedy
from angle_domains.ope.refusal import NOT_TOLD, Judgement
from angle_domains.ope.value import Estimate, OpeConfig, evaluate
from angle_domains.showing import Showing
from angle_domains.types import Agent
from feeds.base import Rows
from feeds.clinical.disclosure import told_profile
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.truth import known_states, true_value

__all__ = ["BANNER", "ClinicalValue", "judge", "play", "under"]


def judge(feed: Any, agent: Agent, terms: Terms) -> Verdict:
    """What the recorded patients of one part tell of a policy.

    A quick verdict is for choosing checkpoints: by DR where states can be counted, else by WIS; by nothing where the
    estimate is refused or actions are continuous, so that no number that means nothing decides what is kept.
    """
    rows = feed.episodes(terms.split)
    intent = intended(agent, rows, feed.spec, terms.epsilon)
    if intent.policy is None:
        return _unvalued(feed, agent, rows, intent, terms)
    known = propensities(feed, rows, terms)
    if not terms.full:
        return _quick(feed, rows, intent, known, terms)
    settings = terms.judging
    config = OpeConfig.of(settings, seed=terms.seed)
    episodes = from_rows(rows, intent.policy, behaviour=known.chances)
    evidence = Evidence(episodes, "")
    found = evaluate(episodes, settings.gamma, config, calibration=known.calibration)
    if not all(estimate.refused for estimate in found.values()):  # else no fit would make the records reach further
        evidence = gather(feed, agent, rows, intent.policy, known, terms)
        found = evaluate(
            evidence.episodes, settings.gamma, config, calibration=known.calibration, remarks=evidence.remarks
        )
    value = _value(feed, rows, intent, terms, found, _truths(feed, agent, intent, terms), evidence, known)
    value = _withheld(_about_patients(feed, agent, value, evidence.episodes, terms))
    return _verdict(value, _chosen(value.headline))


def under(feed: Any, agent: Agent, terms: Terms) -> Episodes:
    """The stays of a part as a policy is valued by them; ConfigError where it cannot be valued."""
    rows = feed.episodes(terms.split)
    intent = intended(agent, rows, feed.spec, terms.epsilon)
    if intent.policy is None:
        raise ConfigError("policies of continuous doses are not valued, so none of them can be selected")
    if _secret(feed, terms.split):
        raise ConfigError(
            f"of the {terms.split} part few patients died or few lived, so no estimate is told and none can select: "
            "give that part more patients by feed.splits"
        )
    return from_rows(rows, intent.policy, behaviour=propensities(feed, rows, terms).chances)


def _quick(feed: Any, rows: Rows, intent: Intended, known: Propensities, terms: Terms) -> Verdict:
    told, policy = {"agreement": _agreement(rows, intent)}, intent.policy
    assert policy is not None
    if terms.judging.checkpoint == "last":
        return _unranked(terms, told, "training.judging.checkpoint is 'last'")
    if _secret(feed, terms.split):
        return _unranked(terms, told, NOT_TOLD)
    states = numbered(rows, terms)
    episodes = from_rows(rows, policy, behaviour=known.chances)
    found = _estimate(episodes, "WIS", known, terms)
    told["refused"] = float(found.refused)
    if found.value is None:
        return _unranked(terms, told, found.judgement.words() if found.refused else found.words())
    if states is not None:
        episodes = counted(rows, policy, known, terms, states)
        if episodes.q is None:  # another estimator would not compare with that of the other looks
            return _unranked(terms, told, "the policy goes in circles in these records")
        found = _estimate(episodes, "DR", known, terms)
    assert found.value is not None
    line = f"{terms.split}: {found.words()}; agreement {told['agreement']:.1%}"
    return Verdict(terms.split, found.value, told, (line,), by=f"{found.estimator} on the {terms.split} part")


def _secret(feed: Any, split: str) -> bool:
    """Whether what patients of a part came to would follow from an estimate, and must not."""
    return isinstance(feed, ClinicalFeed) and not outcomes_told(feed, split)


def _estimate(episodes: Episodes, name: str, known: Propensities, terms: Terms) -> Estimate:
    config = OpeConfig(estimators=(name,), draws=1, cut=terms.judging.cut)
    return evaluate(episodes, terms.judging.gamma, config, calibration=known.calibration)[name]


def _unranked(terms: Terms, told: dict[str, float], why: str) -> Verdict:
    return Verdict(terms.split, 0.0, told, (f"{terms.split}: {why}",), ranked=False, by=why)


def _chosen(found: Estimate | None) -> float | None:
    """What a verdict is scored by: an overridden number is shown and scores nothing."""
    return None if found is None or found.overridden else found.value


def _verdict(value: ClinicalValue, score: float | None) -> Verdict:
    return Verdict(
        value.split, 0.0 if score is None else score, metrics(value), tuple(lines(value)), value,
        ranked=score is not None, by="continuous doses are not valued" if not value.estimates else "", tags=tags(value),
    )  # fmt: skip


def _unvalued(feed: Any, agent: Agent, rows: Rows, intent: Intended, terms: Terms) -> Verdict:
    """Of continuous doses: how far they are from the recorded ones, and no value."""
    if not terms.full:
        told = {"agreement": _agreement(rows, intent), "refused": 1.0}
        return _unranked(terms, told, "continuous doses are not valued")
    value = _value(feed, rows, intent, terms, {}, (None, None))
    return _verdict(_withheld(_about_patients(feed, agent, value, None, terms)), None)


def _value(
    feed: Any, rows: Rows, intent: Intended, terms: Terms, found: dict[str, Estimate],
    truths: tuple[float | None, float | None],
    evidence: Evidence | None = None, known: Propensities | None = None,
) -> ClinicalValue:  # fmt: skip
    at, said = places(rows), feed.describe()
    first = at.row[at.step == 0]
    own = None if intent.q is None else float(intent.q[first, intent.action[first].astype(np.int64)].mean())
    reward = said["profile"].get("reward", {}).get("kind")
    robust = None
    if evidence is not None and known is not None:
        robust = examine(rows, evidence.episodes, known, found, feed.spec, reward, terms)
    return ClinicalValue(
        split=terms.split,
        name=said["name"],
        rows=rows,
        spec=feed.spec,
        intent=intent,
        observed=_earned(rows, terms.judging.gamma),
        judging=terms.judging,
        estimates=found,
        q_self=own,
        agreement=_agreement(rows, intent),
        truth=truths[0],
        truth_in_use=truths[1],
        source=told_profile(said["profile"]),
        behaviour="known" if known is None else known.kind,
        fitted="" if evidence is None else evidence.fitted,
        foreseen=None if evidence is None else evidence.foreseen,
        robust=robust,
        openings=terms.trials.count if isinstance(terms.trials, Trials) else terms.trials or 0,
    )


def _about_patients(
    feed: Any, agent: Agent, value: ClinicalValue, episodes: Episodes | None, terms: Terms
) -> ClinicalValue:
    """The same, with who the patients are, how each drug would be used, and who would live where they are made up."""
    if not isinstance(feed, ClinicalFeed):
        return value
    study = study_of(feed, value.split, value.rows, value.intent, episodes, terms)  # fmt: skip
    return replace(value, study=study, drugs=drug_metrics(study), ward=treated(feed, agent, epsilon=terms.epsilon))


def _withheld(value: ClinicalValue) -> ClinicalValue:
    """Without all that outcomes went into, where what was observed is not told: it would follow from an estimate."""
    if value.observed_told is not None:
        return value
    secret = Judgement((NOT_TOLD,), (), withheld=True)
    estimates = {
        name: replace(
            each, value=None, interval=None, resampled=None, gain=None, standard_error=None, truncation=None,
            overridden=False, notes=(), judgement=secret, diagnostics=replace(each.diagnostics, cut_share=float("nan")),
        )
        for name, each in value.estimates.items()
    }  # fmt: skip
    return replace(value, observed=float("nan"), estimates=estimates, robust=None, foreseen=None)


def _earned(rows: Rows, gamma: float) -> float:
    """The mean return of the records."""
    ones = np.ones(len(rows))
    return float(returns(from_rows(rows, ones, behaviour=ones), gamma).mean())


def _truths(feed: Any, agent: Agent, intent: Intended, terms: Terms) -> tuple[float | None, float | None]:
    """Of the policy that is valued and, where that draws, of its likeliest actions; where the process behind the
    records is known and shown as it is."""
    known = known_states(feed) if isinstance(feed, ClinicalFeed) else None
    policy = None if known is None else policy_at(agent, known, feed.spec, terms.epsilon)
    if policy is None:
        return None, None
    gamma, likeliest = terms.judging.gamma, greedy(policy, epsilon=terms.epsilon)
    return true_value(policy, gamma), true_value(likeliest, gamma) if intent.sampled else None


def _agreement(rows: Rows, intent: Intended) -> float:
    """The share of decisions alike, of a policy that draws the expected one; of continuous doses the mean absolute
    difference."""
    decided = ~rows.last
    ours, theirs = intent.action[decided], rows.action[decided]
    if intent.policy is not None and intent.sampled:
        taken = theirs.reshape(len(theirs), 1).astype(np.int64)
        return float(np.take_along_axis(intent.policy[decided], taken, 1).mean())
    if intent.policy is not None:
        return float((ours == theirs).mean())
    return float(np.abs(ours - theirs).mean())


def play(feed: Any, agent: Agent, showing: Showing) -> Iterator[str]:
    """Stays of one part, decision by decision: what was done, and what the policy would have done."""
    rows, secret = feed.episodes(showing.split), _secret(feed, showing.split)
    intent = intended(agent, rows, feed.spec)
    chosen = np.random.default_rng(showing.seed).permutation(len(rows.starts))[: showing.episodes]
    for number, stay in enumerate(chosen):
        hours = 0.0
        for row in range(rows.starts[stay], min(rows.stops[stay] - 1, rows.starts[stay] + showing.longest)):
            hours += float(rows.elapsed[row])
            done, meant = _named(rows.action[row]), _named(intent.action[row])
            yield f"stay {number + 1}, hour {hours:g}: recorded {done}, policy {meant}"
        if secret:
            yield f"stay {number + 1}: its end and return are {NOT_TOLD}"
            continue
        end = "the task ended" if rows.terminated[rows.stops[stay] - 1] else "the record was cut"
        earned = rows.reward[rows.starts[stay] : rows.stops[stay]].sum()
        yield f"stay {number + 1}: {end}, return {earned:.4g}"
    yield BANNER


def _named(action: np.ndarray) -> str:
    return " ".join(f"{number:.3g}" for number in np.atleast_1d(action))
