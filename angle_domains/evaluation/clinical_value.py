"""What recorded patients tell of a policy, as a value for a page, for a store and for a terminal."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from angle_domains.evaluation.cohort import Intended
from angle_domains.evaluation.drugs import drug_lines
from angle_domains.evaluation.foreseen import Foreseen
from angle_domains.evaluation.patients.study import Study
from angle_domains.evaluation.robust import Robust
from angle_domains.evaluation.words import BANNER, count
from angle_domains.ope.estimators import ESTIMATORS
from angle_domains.ope.settings import JudgingConfig
from angle_domains.ope.value import Estimate
from feeds.base import FeedSpec, Rows
from feeds.clinical.synth_vaso import Value

KEPT = ("IS", "WIS", "MIS", "DM", "MODEL", "DR")  # estimators that a store is told of; all stand on the page
METHODS = {
    "influence": "the influence of each patient",
    "percentile": "resampled patients (percentile)",
    "bca": "resampled patients (BCa)",
}
OVERRIDDEN = "overridden_"  # before the metric of a number that should have been refused


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
    agreement: float  # share of decisions, expected where the policy draws them; of doses, mean difference
    truth: float | None  # exact value of the policy that is valued, where the process behind the records is known
    source: dict[str, Any]
    truth_in_use: float | None = None  # likewise of its likeliest actions, where that is another policy
    judging: JudgingConfig = field(default_factory=JudgingConfig)  # how it was valued
    behaviour: str = "known"  # whence propensities come
    fitted: str = ""  # whence fitted values come, or why there are none; empty where none were wanted
    foreseen: Foreseen | None = None  # by a model of patients
    robust: Robust | None = None  # guarantees, hidden confounding, balance; None where actions are continuous
    study: Study | None = None  # of the patients behind it, where the feed knows them
    drugs: dict[str, float] = field(default_factory=dict)  # how the policy uses each; see evaluation.drugs
    ward: Value | None = None  # share of new patients who survive under it, where patients can be made up
    openings: int = 0  # of test parts in this experiment, this one included; 0: not told

    @property
    def level(self) -> str:
        """Of its intervals, "95%"."""
        return f"{100.0 * self.judging.level:.3g}%"

    @property
    def discounting(self) -> str:
        gamma = self.judging.gamma
        return "undiscounted" if gamma == 1.0 else f"discounted by {gamma:g} an hour"

    @property
    def valued(self) -> str:
        """Which policy the values are of, and the tables of its decisions."""
        if self.intent.sampled:
            return "sampled: drawn from its probabilities; in use it takes its likeliest action, another policy"
        return "mode: its likeliest action, as in use"

    @property
    def refused(self) -> bool:
        return all(estimate.refused for estimate in self.estimates.values())

    @property
    def observed_told(self) -> float | None:
        """None where few patients are judged, or few of them died or lived: it would tell of those."""
        return self.observed if self.study is None or self.study.outcomes_told else None

    @property
    def overridden(self) -> bool:
        """Numbers are shown that should have been refused."""
        return any(estimate.overridden for estimate in self.estimates.values())

    @property
    def headline(self) -> Estimate | None:
        """The one estimate that stands for all, named beforehand: WIS. None where nothing is estimated."""
        return self.estimates.get("WIS", next(iter(self.estimates.values()), None))


def metrics(found: ClinicalValue) -> dict[str, float]:
    """Stable keys; what was refused has none, and what was overridden has others."""
    told = {"agreement": found.agreement, "refused": float(found.refused)}
    if found.observed_told is not None:
        told["observed"] = found.observed_told
    for name in (name for name in KEPT if name in found.estimates):
        told |= _numbers(name, found.estimates[name])
    if found.overridden:
        told["overridden"] = 1.0
    if found.robust is not None and found.robust.guarantee.best is not None:
        told["lower_bound"] = found.robust.guarantee.best
    if found.q_self is not None:
        told["q_self"] = found.q_self
    if found.ward is not None:
        told |= {"true_survival": found.ward.survival, "true_survival_error": found.ward.error}
        if found.spec.units.get("reward") == "survival" and found.judging.gamma == 1.0:
            told |= {"true_paid": found.ward.paid, "true_paid_error": found.ward.paid_error}
    told |= found.drugs
    return told | _truths(found)


def _truths(found: ClinicalValue) -> dict[str, float]:
    """By the names that the judge of the process itself has for them: "true_value" is of the likeliest actions."""
    if found.truth is None:
        return {}
    if found.truth_in_use is None:
        return {"true_value": found.truth}
    return {"true_value": found.truth_in_use, "sampled_value": found.truth}


def _numbers(name: str, estimate: Estimate) -> dict[str, float]:
    if estimate.value is None:
        return {}
    key = f"{OVERRIDDEN if estimate.overridden else ''}{name.lower()}"
    told = {key: estimate.value}
    if estimate.interval is not None and name in ("WIS", "DR"):
        told |= {f"{key}_low": estimate.interval.low, f"{key}_high": estimate.interval.high}
    return told


def tags(found: ClinicalValue) -> dict[str, str]:
    """What a store is told in words."""
    chosen = found.headline
    if chosen is None:
        return {"ope.verdict": "not estimable: actions are continuous"}
    mark = "OVERRIDDEN, " if chosen.overridden else ""
    told = {"ope.verdict": mark + chosen.judgement.words()}
    return told | {"ope.overridden": "true"} if found.overridden else told  # it is set once, and nothing takes it back


def lines(found: ClinicalValue) -> Iterator[str]:
    """For a terminal."""
    patients, stays = len(np.unique(found.rows.entity)), len(found.rows.starts)
    yield f"{found.split} part of {found.name}: {count(patients, 'patient')}, {count(stays, 'stay')}"
    if found.observed_told is None:
        yield "observed: not told, few patients died or few lived"
    else:
        yield f"observed: {found.observed_told:.4g} a stay, what the recorded decisions earned"
    yield f"policy valued: {found.valued}"
    if not found.estimates:
        yield "value: not estimable: off-policy evaluation of continuous doses is not offered"
        yield f"doses differ from the recorded ones by {found.agreement:.4g} on average"
    else:
        yield from _values(found)
    if found.q_self is not None:
        yield f"q_self: {found.q_self:.4g}, what the agent itself believes; no estimate of its value"
    yield from drug_lines(found.drugs)
    if found.ward is not None:
        lived = f"{found.ward.survival:.4f} (standard error {found.ward.error:.4f})"
        yield f"truth: {lived} of patients survive under it, as it is valued: new ones were made up and treated by it"
        if found.spec.units.get("reward") == "survival" and found.judging.gamma == 1.0:
            paid = f"{found.ward.paid:.4f} (standard error {found.ward.paid_error:.4f})"
            yield f"truth of what is estimated: {paid} end alive; who lives but whose record is cut earns nothing"
    if found.truth is not None:
        yield f"truth: {found.truth:.4f}, exact: the process behind these records is known"
    if found.truth_in_use is not None:
        yield f"truth in use: {found.truth_in_use:.4f}, exact, of its likeliest actions"
    if found.split == "test" and found.openings > 1:
        yield (
            f"test patients were opened {found.openings} times in this experiment, this time included: "
            "the best of several looks is too good"
        )
    yield BANNER


def _values(found: ClinicalValue) -> Iterator[str]:
    first = next(iter(found.estimates.values()))
    if found.refused:
        yield f"value: {first.judgement.words()} (so say all of {', '.join(ESTIMATORS)})"
    else:
        yield (
            f"values are {found.discounting}; {found.level} intervals by {METHODS[found.judging.interval]}, "
            f"{found.judging.draws:,} resamples"
        )
        yield from (estimate.words() for estimate in found.estimates.values())
    if found.fitted:
        yield f"values: {found.fitted}"
    if found.foreseen is not None and not found.foreseen.credible:
        yield f"MODEL: no estimate; {found.foreseen.words()}"
    yield from first.diagnostics.lines()
    if found.behaviour != "known":
        yield f"propensities: none were recorded; a {found.behaviour} model stands in, fitted across patients"
    if found.robust is not None:
        yield from found.robust.lines()
    yield f"agreement with the recorded decisions: {found.agreement:.1%}"
    if not found.refused:
        told = dict.fromkeys(line for each in found.estimates.values() for line in each.assumptions)
        yield f"assumed: {'; '.join(told)}"
