"""Whether patients whose clinicians did as the policy would have died less often: an association, no effect.

A marginal structural model (Robins, Hernán and Brumback 2000): a logistic regression of death on the share of a
patient's decisions in which clinicians and policy agreed, each patient weighted by the inverse of the probability of
the agreements that were, given the state, the policy's decision, the hour and the agreement before. Weights are
stabilised by the same probabilities without state and decision, and cut at their 99th percentile once they have been
judged as they are. The share runs over the whole stay, what was done late included. Probabilities are
those of logistic regressions cross-fitted by patient; the interval is the sandwich's, which counts patients.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import expit, ndtri
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from angle_domains.evaluation.patients.decided import Component, Decided
from angle_domains.interval import LEVEL, limited
from angle_domains.ope.diagnostics import NOTHING
from angle_domains.ope.folds import folds
from angle_domains.ope.refusal import Limits
from feeds.clinical.disclosure import LEAST

STEP = 0.10  # of agreement: what the odds ratio is for
_FOLDS = 3
_CUT = 0.99  # quantile at which weights are cut
_STEPS = 50  # of Newton's method


@dataclass(frozen=True)
class Association:
    """Odds ratio of death for ten points more of agreement, or why there is none."""

    name: str  # the component, or "all" where agreement is in all of them at once
    odds_ratio: float | None
    low: float | None
    high: float | None
    effective: float | None  # sample size of the weights
    mean_weight: float | None
    reason: str = ""  # why it is not told


def association(
    name: str, found: Decided, alike: Bool[np.ndarray, " d"], seen: Float[np.ndarray, "d f"], seed: int
) -> Association:
    """Of agreement `alike` in decisions taken at what was `seen`."""
    died = found.died
    if min(died.sum(), (~died).sum()) < LEAST:
        return _none(name, f"fewer than {LEAST} patients died, or fewer lived")
    if found.secret:
        return _none(name, "not told: few patients of another part died, or few lived, and it would tell of them")
    share = np.bincount(found.patient, alike, len(died)) / np.bincount(found.patient, minlength=len(died))
    if share.std() < 1e-6:
        return _none(name, "clinicians and policy agree as often in every patient")
    weight = stabilised(found, alike, seen, seed)
    effective, mean = float(weight.sum() ** 2 / (weight**2).sum()), float(weight.mean())
    if told := _beyond(weight, effective, mean):
        return Association(name, None, None, None, effective, mean, f"not estimable: {told}")
    slope, error = weighted_logistic(share / STEP, died, np.minimum(weight, np.quantile(weight, _CUT)))
    if not np.isfinite(error):
        parted = share[died].max() <= share[~died].min() or share[died].min() >= share[~died].max()
        why = "agreement tells those who died from those who lived" if parted else "the regression does not converge"
        return Association(name, None, None, None, effective, mean, f"not estimable: {why}")
    reach = float(ndtri((1.0 + LEVEL) / 2)) * error
    ratio, low, high = (float(np.exp(slope + way * reach)) for way in (0.0, -1.0, 1.0))
    return Association(name, ratio, low, high, effective, mean)


def _none(name: str, reason: str) -> Association:
    return Association(name, None, None, None, None, None, reason)


def _beyond(weight: Float[np.ndarray, " p"], effective: float, mean: float) -> str:
    """By what estimates of value are refused, and of weights before any cut too: why these say nothing, if so."""
    limits, top, zero = Limits(), float(weight.max() / weight.sum()), float((weight < NOTHING).mean())
    fit = (
        effective >= limits.effective
        and limits.mean_low <= mean <= limits.mean_high
        and top <= limits.top_share
        and zero <= limits.zero_share
    )
    if fit:
        return ""
    told = f"weights average {limited(mean, 3)} (1 is right), effective sample size {effective:.0f}"
    return f"{told}, one patient holds {top:.0%} of the weight, {zero:.0%} have none"


def stabilised(
    found: Decided, alike: Bool[np.ndarray, " d"], seen: Float[np.ndarray, "d f"], seed: int
) -> Float[np.ndarray, " p"]:
    """The weight of each patient, not cut."""
    first = np.diff(found.stay, prepend=-1) != 0
    before = np.where(first, 0.0, np.roll(alike, 1))
    past = np.stack([before, 1.0 * first, found.hour], 1)
    fold = folds(found.patient, _FOLDS, seed)
    under, over = (_log_probability(inputs, alike, fold) for inputs in (np.hstack([seen, past]), past))
    total = np.bincount(found.patient, over - under, len(found.died))
    return np.asarray(np.exp(np.minimum(total, 300.0)))


def _log_probability(
    inputs: Float[np.ndarray, "d f"], alike: Bool[np.ndarray, " d"], fold: Int[np.ndarray, " d"]
) -> Float[np.ndarray, " d"]:
    """Of what was, by models that saw other patients alone."""
    chance = np.empty(len(alike))
    for number in range(_FOLDS):
        away = fold == number
        if alike[~away].all() or not alike[~away].any():
            chance[away] = (alike[~away].sum() + 0.5) / ((~away).sum() + 1.0)
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
        chance[away] = model.fit(inputs[~away], alike[~away]).predict_proba(inputs[away])[:, 1]
    return np.asarray(np.log(np.maximum(np.where(alike, chance, 1.0 - chance), 1e-12)))


def weighted_logistic(
    share: Float[np.ndarray, " p"], died: Bool[np.ndarray, " p"], weight: Float[np.ndarray, " p"]
) -> tuple[float, float]:
    """The slope of the log odds and its standard error (Huber's sandwich); NaN where there is no finite one."""
    inputs, outcome = np.stack([np.ones(len(share)), share], 1), died.astype(np.float64)
    slopes = np.zeros(2)
    for _ in range(_STEPS):
        chance = expit(inputs @ slopes)
        bread = inputs.T @ (inputs * (weight * chance * (1.0 - chance))[:, None])
        if np.linalg.cond(bread) > 1e12:
            return float("nan"), float("nan")
        step = np.linalg.solve(bread, inputs.T @ (weight * (outcome - chance)))
        slopes = slopes + step
        if np.abs(step).max() < 1e-10:
            break
    else:
        return float("nan"), float("nan")
    meat = inputs.T @ (inputs * np.square(weight * (outcome - chance))[:, None])
    inverse = np.linalg.inv(bread)
    return float(slopes[1]), float(np.sqrt((inverse @ meat @ inverse)[1, 1]))


def inputs_of(observation: Float[np.ndarray, "d f"], components: tuple[Component, ...]) -> Float[np.ndarray, "d g"]:
    """What agreement may hang on: the state and what the policy would do, levels one by one."""
    parts = [observation.reshape(len(observation), -1).astype(np.float64)]
    for component in components:
        parts.append(component.meant[:, None])
        if component.kind == "level":
            parts.append(1.0 * (component.meant[:, None] == np.unique(component.meant)[None]))
    return np.hstack(parts)
