"""How much unmeasured confounding an estimate bears: clinicians saw more of the patient than the records do.

If what is not recorded changes an episode's true weight by at most a factor Γ either way, the weighted mean lies
between two bounds, found exactly by sorting (Zhao, Small and Bhattacharya 2019; Aronow and Lee 2013). Γ = 1 is no
confounding. Γ is of a whole stay: over T decisions it allows each propensity a factor Γ^(1/T) if all are off alike,
which is far less than Rosenbaum's Γ of a single decision. The E-value is VanderWeele and Ding's
(2017): the association, as a risk ratio, that a confounder must have with both decision and outcome to explain a ratio.
"""

import numpy as np

from angle_domains.errors import ConfigError
from angle_domains.ope.episodes import Episodes, returns
from angle_domains.ope.weights import log_weights, shifted

_MOST = 1e3


def bounds(episodes: Episodes, gamma: float, factor: float, cut: float | None = None) -> tuple[float, float]:
    """Least and greatest weighted mean of returns (WIS) under confounding of that factor; NaN without any weight."""
    if not factor >= 1.0:
        raise ConfigError(f"a factor of confounding is at least 1, got {factor:g}")
    weight, gained = shifted(log_weights(episodes, cut)[:, -1:])[:, 0], returns(episodes, gamma)
    if not weight.any():
        return float("nan"), float("nan")
    order = np.argsort(gained)
    return _least(weight[order], gained[order], factor), -_least(weight[order][::-1], -gained[order][::-1], factor)


def _least(weight: np.ndarray, gained: np.ndarray, factor: float) -> float:
    """Returns in ascending order: the least mean raises the weights of the first so many and lowers all others."""
    up, down = np.cumsum(np.append(0.0, weight)), np.cumsum(np.append(0.0, weight * gained))
    mass = factor * up + (up[-1] - up) / factor
    return float(((factor * down + (down[-1] - down) / factor) / mass).min())


def tipping_factor(episodes: Episodes, gamma: float, reference: float, cut: float | None = None) -> float:
    """The least factor at which the bounds include `reference`; 1 where they do so at once, infinity beyond 1,000."""
    low, high = 1.0, _MOST
    if _includes(episodes, gamma, low, reference, cut):
        return 1.0
    if not _includes(episodes, gamma, high, reference, cut):
        return float("inf")
    while high / low > 1.0 + 1e-4:
        middle = np.sqrt(low * high)
        low, high = (low, middle) if _includes(episodes, gamma, middle, reference, cut) else (middle, high)
    return float(high)


def _includes(episodes: Episodes, gamma: float, factor: float, reference: float, cut: float | None) -> bool:
    low, high = bounds(episodes, gamma, factor, cut)
    return low <= reference <= high


def e_value(ratio: float) -> float:
    """Of a risk ratio; one below 1 counts as its inverse."""
    if not ratio > 0.0:
        raise ConfigError(f"a risk ratio is above 0, got {ratio:g}")
    above = max(ratio, 1.0 / ratio)
    return float(above + np.sqrt(above * (above - 1.0)))
