"""Whether weighting makes groups alike, covariate by covariate: what propensities that are right must do.

Two looks (Austin and Stuart 2015). Patients weighted by their whole stay must begin as all patients do, for no decision
changes how a stay began. And decisions weighted by one over their propensity must be taken in the same states, whatever
was decided. Differences of means are in standard deviations of all (SMD); .1 is a common level of concern.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

CONCERN = 0.1
_FEWEST = 30  # decisions of an action, below which chance alone unbalances


@dataclass(frozen=True)
class Balance:
    """The largest absolute differences before and after weighting, and where they are."""

    groups: int  # compared with all: one of weighted patients, or one for each action
    before: float
    after: float
    worst: str  # covariate with the largest difference after weighting
    concerned: float  # share of covariates, over all groups, with a difference above .1 after weighting

    def words(self, what: str) -> str:
        return (
            f"balance of {what}: largest difference {self.after:.2f} SD after weighting ({self.worst}), "
            f"{self.before:.2f} before; {self.concerned:.0%} above {CONCERN:g}"
        )


def at_the_start(
    first: Float[np.ndarray, "e d"], log_weight: Float[np.ndarray, " e"], names: Sequence[str] = ()
) -> Balance | None:
    """Of what is seen when stays begin, weighted by whole stays; None where nobody has weight or nothing varies."""
    if np.isneginf(log_weight).all():
        return None
    weight = np.exp(log_weight - log_weight.max())
    return _balance(first, [weight], [np.ones(len(first))], names)


def by_action(
    seen: Float[np.ndarray, "d k"],
    action: Int[np.ndarray, " d"],
    propensity: Float[np.ndarray, " d"],
    names: Sequence[str] = (),
) -> Balance | None:
    """Of what is seen in decisions, each action's weighted by one over its propensity; rare actions are left out."""
    often = [one for one in np.unique(action) if (action == one).sum() >= _FEWEST]
    taken = [(action == one) * 1.0 for one in often]
    return _balance(seen, [each / propensity for each in taken], taken, names) if len(often) > 1 else None


def _balance(
    seen: Float[np.ndarray, "n d"], weights: Sequence[np.ndarray], plain: Sequence[np.ndarray], names: Sequence[str]
) -> Balance | None:
    seen = np.asarray(seen, np.float64)
    spread = seen.std(0)
    varies = np.flatnonzero(spread > 1e-9)
    if not len(varies):
        return None
    scaled = (seen[:, varies] - seen[:, varies].mean(0)) / spread[varies]
    after, before = (np.abs([each @ scaled / each.sum() for each in group]) for group in (weights, plain))
    place = int(varies[after.max(0).argmax()])
    name = names[place] if place < len(names) else f"entry {place}"
    return Balance(len(weights), float(before.max()), float(after.max()), name, float((after > CONCERN).mean()))
