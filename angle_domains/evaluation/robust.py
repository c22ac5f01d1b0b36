"""How much an estimate bears: guarantees at any sample size, hidden confounding, and balance after weighting."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from angle_domains.errors import AngleError
from angle_domains.evaluation import Terms
from angle_domains.evaluation.evidence import Propensities
from angle_domains.ope import balance, bounds, sensitivity
from angle_domains.ope.episodes import Episodes, returns
from angle_domains.ope.settings import JudgingConfig
from angle_domains.ope.value import Estimate
from angle_domains.ope.weights import log_weights
from feeds.base import FeedSpec, Rows

FACTORS = (1.1, 1.25, 1.5, 2.0)  # of confounding
_BOUNDS = {
    "survival": (0.0, 1.0),
    "mortality": (-1.0, 0.0),
    "mortality_only": (0.0, 1.0),
    "oviss_mortality": (-20.0, 0.0),
}
# share of deaths that a mean return stands for
_DEATHS: dict[str, Callable[[float], float]] = {
    "survival": lambda value: 1.0 - value,
    "mortality": lambda value: -value,
    "mortality_only": lambda value: value,
}


@dataclass(frozen=True)
class Guarantee:
    """Lower bounds on the value, or why there are none. They hold where an estimate is refused, too."""

    found: bounds.LowerBounds | None
    why: str  # there are none; empty where there are
    low: float = float("nan")  # returns are known to lie between these
    high: float = float("nan")
    cut: float = float("nan")  # level of the weights

    @property
    def best(self) -> float | None:
        """By Anderson's band, which is named beforehand: the best of three would hold less often."""
        return None if self.found is None else self.found.anderson

    def words(self) -> str:
        if self.found is None:
            return f"lower bound: none, {self.why}"
        found = self.found
        return (
            f"lower bound: at least {found.anderson:.4g} with {found.level:.0%} confidence (Anderson; Hoeffding "
            f"{found.hoeffding:.4g}, empirical Bernstein {found.bernstein:.4g}), returns within "
            f"{self.low:g} to {self.high:g}, weights cut at {self.cut:g}"
        )


@dataclass(frozen=True)
class Sensitivity:
    """Of the WIS estimate to confounding that was not recorded."""

    bounds: tuple[tuple[float, float, float], ...]  # factor, least, greatest value
    tipping: float  # factor at which what was observed is among the values; 1: at once, infinity: beyond 1,000
    e_value: float | None  # of the ratio of deaths to those observed; None where the return does not tell deaths
    e_limit: float | None  # likewise of the end of the gain's interval nearer to none; 1 where it holds none
    decisions: float  # T, of the median stay: a factor Γ in a stay's weight is Γ^(1/T) in each of its decisions
    by_decision: float  # the tipping factor as one of each decision in such a stay
    why: str = ""  # there is no E-value

    def words(self) -> str:
        spans = ", ".join(f"{low:.3g} to {high:.3g} at Γ {factor:g}" for factor, low, high in self.bounds)
        told = f"hidden confounding: {spans}; the difference to what was observed is gone at Γ {self.tipping:.3g}"
        told += (
            f" (Γ is of a stay's weight, Γ^(1/T) a decision: {self.by_decision:.3g} for the median stay of "
            f"{self.decisions:g} decisions; it is not Rosenbaum's Γ of one decision)"
        )
        if self.e_value is None:
            return f"{told}; no E-value: {self.why}" if self.why else told
        return f"{told}; E-value {self.e_value:.2f}, of the interval {self.e_limit:.2f}"


@dataclass(frozen=True)
class Robust:
    """All of it; None where there is no number to bear anything."""

    guarantee: Guarantee
    sensitivity: Sensitivity | None
    at_the_start: balance.Balance | None  # of patients weighted by their stays
    by_action: balance.Balance | None  # of decisions weighted by their propensities

    def lines(self) -> tuple[str, ...]:
        told = [self.guarantee.words()]
        if self.sensitivity is not None:
            told.append(self.sensitivity.words())
        if self.at_the_start is not None:
            told.append(self.at_the_start.words("first states, stays weighted"))
        if self.by_action is not None:
            told.append(self.by_action.words("states by action, decisions weighted"))
        return tuple(told)


def examine(
    rows: Rows, episodes: Episodes, known: Propensities, found: dict[str, Estimate],
    spec: FeedSpec, reward: str | None, terms: Terms,
) -> Robust:  # fmt: skip
    decided, names = ~rows.last, _names(spec)
    seen = rows.observation.reshape(len(rows), -1)
    action = rows.action.reshape(len(rows))[decided].astype(np.int64)
    if known.chances is None:
        assert rows.propensity is not None
        taken = rows.propensity[decided]
    else:
        taken = known.chances[decided, action]
    first = seen[rows.starts[rows.stops - rows.starts > 1]]
    return Robust(
        guarantee(episodes, known, reward, terms),
        confounded(episodes, found["WIS"], reward, terms.judging) if "WIS" in found else None,
        balance.at_the_start(first, log_weights(episodes, terms.judging.cut)[:, -1], names),
        balance.by_action(seen[decided], action, taken, names),
    )


def guarantee(episodes: Episodes, known: Propensities, reward: str | None, terms: Terms) -> Guarantee:
    """By importance sampling under recorded propensities and bounds of the return that were known beforehand."""
    settings = terms.judging
    given = (settings.low, settings.high)
    low, high = _BOUNDS.get(reward or "", (None, None)) if given == (None, None) else given
    if terms.split != "test":
        return Guarantee(None, "the policy was chosen by these patients")
    if known.chances is not None:
        return Guarantee(None, "the propensities are estimated, and no bound counts their errors")
    if low is None or high is None:
        return Guarantee(None, "it is not known what a return lies between: set training.judging.low and .high")
    try:
        found = bounds.lower_bounds(
            episodes, settings.gamma, low=low, high=high, cut=settings.bound_cut, level=settings.level
        )
    except AngleError as error:
        return Guarantee(None, str(error))
    return Guarantee(found, "", low, high, settings.bound_cut)


def confounded(
    episodes: Episodes, found: Estimate, reward: str | None, settings: JudgingConfig | None = None
) -> Sensitivity | None:
    """None where there is no estimate. Neither returns of records that stop before their end nor discounted ones tell
    who died."""
    settings = settings or JudgingConfig()
    gamma, cut = settings.gamma, settings.cut
    if found.value is None:
        return None
    observed = float(returns(episodes, gamma).mean())
    spans = tuple((factor, *sensitivity.bounds(episodes, gamma, factor, cut)) for factor in FACTORS)
    tipping = sensitivity.tipping_factor(episodes, gamma, observed, cut)
    decisions = float(np.median(episodes.real.sum(1)))
    scale = (decisions, float(tipping ** (1.0 / max(decisions, 1.0))))
    if found.diagnostics.cut_share > 0.0:
        why = f"{found.diagnostics.cut_share:.1%} of the stays were cut, and who died is not known"
        return Sensitivity(spans, tipping, None, None, *scale, why)
    if gamma < 1.0:
        return Sensitivity(spans, tipping, None, None, *scale, "returns are discounted, and do not tell who died")
    deaths = _DEATHS.get(reward or "")
    if deaths is None or not min(deaths(found.value), deaths(observed)) > 0.0:
        return Sensitivity(spans, tipping, None, None, *scale)
    ratio = deaths(found.value) / deaths(observed)
    return Sensitivity(spans, tipping, sensitivity.e_value(ratio), _limit(found, deaths, observed), *scale)


def _limit(found: Estimate, deaths: Callable[[float], float], observed: float) -> float:
    """The E-value of the interval of the gain, in which both are of the same patients: 1 where it holds none."""
    if found.gain is None:
        return 1.0
    ends = sorted(deaths(observed + end) / deaths(observed) for end in (found.gain.low, found.gain.high))
    if ends[0] <= 1.0 <= ends[1]:
        return 1.0
    return sensitivity.e_value(max(ends[0] if ends[0] > 1.0 else ends[1], 1e-9))


def _names(spec: FeedSpec) -> Sequence[str]:
    """Of the entries of an observation, block by block."""
    names: list[str] = []
    for block in spec.blocks:
        size = block.stop - block.start
        own = block.features if len(block.features) == size else tuple(f"{block.name} {k}" for k in range(size))
        names += [name if block.name == "values" else f"{block.name}: {name}" for name in own]
    return names
