"""What a policy would have earned, from records of another: ten estimators of one form.

Each is a sum of ratios of sums over episodes, `sum_k N_k / D_k`, where D_k counts episodes or sums their weights. This
form gives the value, its influence function and all bootstrap resamples by matrix products (`intervals`).

IS, PDIS, WIS: Precup, Sutton and Singh (2000). CWPDIS: Thomas (2015), section 3.10, weights normalised at each step
over all episodes, those that are over included. DR: Jiang and Li (2016). WDR, MAGIC: Thomas and Brunskill (2016). DM is
the mean fitted value of the first states, MIS that of `marginal`, MODEL the mean return of stays that a model of
patients foresees. All discount by hours (`episodes.discounts`); a record that was cut is
continued by the fitted value of its last state in DM, DR, WDR and MAGIC, and by nothing in the others.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls

from angle_domains.errors import ConfigError
from angle_domains.ope.episodes import Episodes, discounts, earned, paid, returns
from angle_domains.ope.weights import shifted

LogWeights = Float[np.ndarray, "e t"]
_HORIZONS = 10  # lengths of partial returns that MAGIC blends, the two extremes beside
_RESAMPLES = 200  # by which MAGIC judges bias
_CERTAIN = 0.9  # level of the interval around WDR outside of which a partial return is biased


@dataclass(frozen=True)
class Ratios:
    """Parts of an estimate by episode, or by patient: `value` is the sum over k of sum(numerator) / sum(denominator).

    Columns may have any common factor in both parts. A column without weight has no ratio: it counts `empty`.
    """

    numerator: Float[np.ndarray, "n k"]
    denominator: Float[np.ndarray, "n k"]
    empty: float = np.nan

    def value(self) -> float:
        return float(self.of(self.numerator.sum(0), self.denominator.sum(0)))

    def of(self, numerator: Float[np.ndarray, "*r k"], denominator: Float[np.ndarray, "*r k"]) -> np.ndarray:
        """The estimates `[*r]` that such sums make."""
        there = denominator > 0.0
        ratio = np.divide(numerator, denominator, out=np.full(numerator.shape, self.empty), where=there)
        return np.asarray(ratio.sum(-1))

    def influence(self) -> Float[np.ndarray, " n"]:
        """What each row moves the value, to first order, times the number of rows: they sum to 0."""
        below, total = self.denominator.sum(0), self.numerator.sum(0)
        there = below > 0.0
        safe = np.where(there, below, 1.0)
        moved = (self.numerator - self.denominator * (total / safe)) / safe
        return len(moved) * np.where(there, moved, 0.0).sum(1)

    def by(self, group: np.ndarray) -> "Ratios":
        """The same with the rows of each group summed, in the order of the sorted groups."""
        order = np.argsort(group, kind="stable")
        starts = np.flatnonzero(np.diff(group[order], prepend=group[order][0] - 1))
        numerator = np.add.reduceat(self.numerator[order], starts, 0)
        return Ratios(numerator, np.add.reduceat(self.denominator[order], starts, 0), self.empty)


Estimator = Callable[[Episodes, float, LogWeights], Ratios]


def importance(episodes: Episodes, gamma: float, log_weight: LogWeights) -> Ratios:
    """IS: the mean of weighted returns."""
    return _mean(np.exp(log_weight[:, -1]) * returns(episodes, gamma))


def weighted(episodes: Episodes, gamma: float, log_weight: LogWeights) -> Ratios:
    """WIS: the weighted mean of returns."""
    weight = shifted(log_weight[:, -1:])
    return Ratios(weight * returns(episodes, gamma)[:, None], weight)


def per_decision(episodes: Episodes, gamma: float, log_weight: LogWeights) -> Ratios:
    """PDIS: every reward weighted by what led to it alone."""
    return _mean((np.exp(log_weight) * earned(episodes, gamma)).sum(1))


def weighted_per_decision(episodes: Episodes, gamma: float, log_weight: LogWeights) -> Ratios:
    """CWPDIS: at each step the weighted mean of the rewards; a step where nobody has weight counts 0."""
    weight = shifted(log_weight)
    return Ratios(weight * earned(episodes, gamma), weight, 0.0)


def direct(episodes: Episodes, gamma: float, log_weight: LogWeights) -> Ratios:
    """DM: the mean fitted value of first states."""
    return _mean(_fitted(episodes)[1][:, 0] if episodes.direct is None else episodes.direct)


def marginalised(episodes: Episodes, gamma: float, log_weight: LogWeights) -> Ratios:
    """MIS: by weights of states (`marginal.fit`), which any level for the weights was told to."""
    if episodes.marginal is None:
        raise ConfigError("MIS needs marginalised estimates of these episodes: it is for states that can be counted")
    return _mean(episodes.marginal)


def foreseen(episodes: Episodes, gamma: float, log_weight: LogWeights) -> Ratios:
    """MODEL: the mean return that a model of patients foresees for stays that begin as these did."""
    if episodes.foreseen is None:
        raise ConfigError("MODEL needs returns that a model of patients foresees for these episodes")
    return _mean(episodes.foreseen)


def doubly_robust(episodes: Episodes, gamma: float, log_weight: LogWeights) -> Ratios:
    """DR: the fitted value, corrected by weighted surprises."""
    first, surprise = _surprises(episodes, gamma)
    return _mean(first + (np.exp(log_weight) * surprise).sum(1))


def weighted_doubly_robust(episodes: Episodes, gamma: float, log_weight: LogWeights) -> Ratios:
    """WDR: likewise, with weights normalised at each step; where nobody has weight the fit stands uncorrected."""
    first, surprise = _surprises(episodes, gamma)
    weight = shifted(log_weight)
    numerator = np.concatenate([first[:, None], weight * surprise], 1)
    return Ratios(numerator, np.concatenate([np.ones((len(first), 1)), weight], 1), 0.0)


def magic(episodes: Episodes, gamma: float, log_weight: LogWeights) -> Ratios:
    """MAGIC: partial returns of WDR, which follow the records for a while and then the fit, blended for small error.

    The blend is found once, for these episodes; resamples and the influence function hold it as it is.
    """
    parts = weighted_doubly_robust(episodes, gamma, log_weight).by(episodes.patient)
    steps = parts.numerator.shape[1] - 1
    horizons = np.unique(np.linspace(0, steps, _HORIZONS + 2).round().astype(int))  # 0: the fit alone; steps: WDR
    upto = (np.arange(steps + 1)[:, None] <= horizons).astype(float)  # [steps + 1, J] the columns of each return
    blend = _blend(parts, upto)
    whole = weighted_doubly_robust(episodes, gamma, log_weight)
    return Ratios(whole.numerator * (upto @ blend), whole.denominator, 0.0)


def _blend(parts: Ratios, upto: Float[np.ndarray, "k j"]) -> Float[np.ndarray, " j"]:
    """Shares that make variance plus squared bias of the blended partial returns least (their eq. 9 and 10).

    The bias of a partial return is its distance from a bootstrap interval around WDR. On the simplex the least of
    `|A x|²` points where the least of `|A x|² + (1 - sum x)²` over x >= 0 does, as the first is homogeneous.
    """
    count = len(parts.numerator)
    below = parts.denominator.sum(0)
    safe = np.where(below > 0.0, below, 1.0)
    ratio = np.where(below > 0.0, parts.numerator.sum(0) / safe, 0.0)
    moved = np.where(below > 0.0, (parts.numerator - parts.denominator * ratio) / safe, 0.0) @ upto  # [n, j]
    partial = ratio @ upto
    index = np.random.default_rng(0).multinomial(count, np.full(count, 1.0 / count), _RESAMPLES).astype(float)
    drawn = parts.of(index @ parts.numerator, index @ parts.denominator)
    low, high = np.quantile(drawn, [(1.0 - _CERTAIN) / 2, (1.0 + _CERTAIN) / 2])
    low, high = min(low, partial[-1]), max(high, partial[-1])
    bias = np.maximum(np.maximum(low - partial, partial - high), 0.0)
    error = np.concatenate([moved * np.sqrt(count / max(count - 1, 1)), bias[None]])
    scale = np.sqrt(np.square(error).sum(0).max())
    if not scale > 0.0:
        return np.eye(len(partial))[-1]
    share, _ = nnls(np.concatenate([error / scale, np.ones((1, len(partial)))]), np.append(np.zeros(len(error)), 1.0))
    return share / share.sum()


def _mean(values: Float[np.ndarray, " e"]) -> Ratios:
    return Ratios(values[:, None], np.ones((len(values), 1)))


def _fitted(episodes: Episodes) -> tuple[Float[np.ndarray, "e t"], Float[np.ndarray, "e t"], Float[np.ndarray, " e"]]:
    if episodes.q is None or episodes.v is None or episodes.final is None:
        raise ConfigError("DM, DR, WDR and MAGIC need fitted values q, v and final of these episodes")
    return episodes.q, episodes.v, episodes.final


def _surprises(episodes: Episodes, gamma: float) -> tuple[Float[np.ndarray, " e"], Float[np.ndarray, "e t"]]:
    """The fitted value at the start, and by step the discounted reward and next value less what was expected."""
    q, v, final = _fitted(episodes)
    discount = discounts(episodes, gamma)
    after = np.concatenate([v[:, 1:], np.zeros((len(v), 1))], 1)
    after[np.arange(len(v)), episodes.length - 1] = np.where(episodes.terminated, 0.0, final)
    reward = paid(episodes.elapsed, gamma) * episodes.reward
    surprise = discount[:, :-1] * (reward - q) + discount[:, 1:] * after
    return v[:, 0], np.where(episodes.real, surprise, 0.0)


ESTIMATORS: dict[str, Estimator] = {
    "IS": importance,
    "WIS": weighted,
    "PDIS": per_decision,
    "CWPDIS": weighted_per_decision,
    "MIS": marginalised,
    "DM": direct,
    "MODEL": foreseen,
    "DR": doubly_robust,
    "WDR": weighted_doubly_robust,
    "MAGIC": magic,
}
MODELS = ("DM", "DR", "WDR", "MAGIC")  # that need fitted values
APART = {"MIS": "marginal", "MODEL": "foreseen"}  # that need a column of the episodes, found beforehand
WEIGHTED = ("WIS", "CWPDIS", "WDR", "MAGIC")  # that a common factor of the weights leaves as they are
