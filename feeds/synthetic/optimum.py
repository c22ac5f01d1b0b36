"""The best policy of the mean-reverting world, by dynamic programming over its deviation and the weight held.

The clock is that of the market feed: what is decided at the close of t fills at the close of t+1, so the weight held
through bar t+1 is the old one, drifted, and the new weight earns from t+1 to t+2. Growth of log wealth per bar is
maximised in the long run (relative value iteration; Puterman 1994, section 8.5).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from feeds.errors import FeedError
from feeds.market.config import MarketConfig
from feeds.synthetic.worlds import REVERSION, MeanReversion

_REACH = 4.5  # long-run standard deviations that the grid spans
_TOLERANCE = 1e-9  # log wealth per bar
_SWEEPS = 2_000


@dataclass(frozen=True)
class Grid:
    """How finely the problem is cut."""

    deviations: int = 181
    weights: int = 41
    nodes: int = 31  # of Gauss-Hermite quadrature


@dataclass(frozen=True)
class BestPolicy:
    """Target weights by deviation and by the weight held, and what they earn."""

    deviation: Float[np.ndarray, " d"]
    weight: Float[np.ndarray, " w"]
    target: Float[np.ndarray, "d w"]
    reward: float  # expected log wealth per bar, net of costs

    def targets(self, deviation: Float[np.ndarray, " b"], weight: Float[np.ndarray, " b"]) -> Float[np.ndarray, " b"]:
        """The weights to trade to, of the grid point that is nearest."""
        rows = np.abs(np.asarray(deviation)[:, None] - self.deviation).argmin(1)
        columns = np.abs(np.asarray(weight)[:, None] - self.weight).argmin(1)
        return self.target[rows, columns]


def best_policy(config: MarketConfig, law: MeanReversion = REVERSION, grid: Grid | None = None) -> BestPolicy:
    """The optimum for the costs and caps of a market feed on that world, in a few seconds.

    Raises FeedError for settings that it does not cover: other fills, tranches, impact, fees, interest.
    """
    grid = grid or Grid()
    rate = _cost_rate(config)
    spread = law.deviation
    deviation = np.linspace(-_REACH * spread, _REACH * spread, grid.deviations)
    cap = min(config.actions.gross_cap, config.actions.net_cap)
    weight = np.linspace(0.0 if config.actions.long_only else -cap, cap, grid.weights)
    immediate, ahead = _step_values(law, rate, deviation, weight, grid.nodes)
    value = np.zeros((len(deviation), len(weight)))
    for _ in range(_SWEEPS):
        outcome = immediate + (ahead @ value)[:, None, :]  # [d, held, wanted]
        better = outcome.max(2)
        gain = better - value
        value = better - better[len(deviation) // 2, 0]
        if np.ptp(gain) < _TOLERANCE:
            break
    return BestPolicy(deviation, weight, weight[outcome.argmax(2)], float(gain.mean()))


def _step_values(
    law: MeanReversion, rate: float, deviation: np.ndarray, weight: np.ndarray, nodes: int
) -> tuple[Float[np.ndarray, "d w w"], Float[np.ndarray, "d d"]]:
    """Expected log growth of a bar by (deviation, weight held, weight wanted), and the law of the next deviation."""
    points, mass = np.polynomial.hermite_e.hermegauss(nodes)
    immediate = np.zeros((len(deviation), len(weight), len(weight)))
    ahead = np.zeros((len(deviation), len(deviation)))
    for point, share in zip(points, mass / mass.sum(), strict=True):
        following = law.rho * deviation + law.volatility * point
        simple = np.expm1(following - deviation)[:, None]
        growth = 1.0 + simple * weight
        drifted = weight * (1.0 + simple) / growth
        immediate += share * (np.log(growth)[:, :, None] + np.log(left_after_costs(drifted[:, :, None], weight, rate)))
        ahead += share * _interpolation(deviation, following)
    return immediate, ahead


def left_after_costs(held: np.ndarray, wanted: np.ndarray, rate: float) -> np.ndarray:
    """Share mu of wealth left when an asset is traded from `held` h to `wanted` w: mu = 1 - rate |mu w - h|."""
    buys = (1.0 + rate * held) / (1.0 + rate * wanted)
    sells = (1.0 - rate * held) / (1.0 - rate * wanted)
    return np.where(wanted > held, np.minimum(buys, 1.0), np.minimum(sells, 1.0))


def _interpolation(grid: Float[np.ndarray, " d"], at: Float[np.ndarray, " d"]) -> Float[np.ndarray, "d d"]:
    """Rows that weigh the values on an even grid to their linear interpolation at the points; flat beyond its ends."""
    step = grid[1] - grid[0]
    place = np.clip((at - grid[0]) / step, 0.0, len(grid) - 1.0)
    low = np.minimum(place.astype(int), len(grid) - 2)
    rows = np.zeros((len(at), len(grid)))
    rows[np.arange(len(at)), low] = 1.0 - (place - low)
    rows[np.arange(len(at)), low + 1] += place - low
    return rows


def _cost_rate(config: MarketConfig) -> float:
    costs = config.costs
    beyond = costs.linear_impact, costs.sqrt_impact, costs.minimum_fee, costs.cash_rate, costs.loan_rate
    if (
        any(beyond)
        or costs.borrow_rate
        or config.fill != "next_bar"
        or config.holding > 1
        or config.rebalance_every > 1
    ):
        raise FeedError("the best policy is known for commission and half spread, next_bar fills and daily decisions")
    return costs.commission + costs.half_spread
