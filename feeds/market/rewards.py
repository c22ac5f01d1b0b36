"""What a step is worth to the agent. Wealth itself is always reported beside it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from feeds.backend import Backend
from feeds.market.config import Reward

Array = Any

_FLAT = 1e-10  # variance of returns below which a Sharpe ratio has no derivative


class Outcome(NamedTuple):
    """Of one step, each `[B]`."""

    log_return: Array  # net, over the step
    drawdown: Array  # after the step, a fraction of the peak
    drawdown_before: Array
    turnover: Array


Rewarder = Callable[[Outcome, Array], tuple[Array, Array]]  # (outcome, moments) -> reward [B] float64, moments


def num_moments(settings: Reward) -> int:
    """How many running numbers a stream carries for its reward."""
    return 3 if settings.kind == "differential_sharpe" else 0


def make_rewarder(settings: Reward, backend: Backend) -> Rewarder:
    """The reward of a feed, penalties taken off where there are any."""
    xp = backend.xp
    if settings.kind == "log_wealth" and not (settings.drawdown_penalty or settings.turnover_penalty):
        return lambda outcome, moments: (backend.copy(outcome.log_return), moments)  # infos hold the original

    def reward(outcome: Outcome, moments: Array) -> tuple[Array, Array]:
        if settings.kind == "differential_sharpe":
            value, moments = differential_sharpe(xp, outcome.log_return, moments, settings.sharpe_decay)
        else:
            value = outcome.log_return
        if settings.drawdown_penalty:
            growth = xp.maximum(outcome.drawdown - outcome.drawdown_before, 0.0)
            value = value - settings.drawdown_penalty * growth
        if settings.turnover_penalty:
            value = value - settings.turnover_penalty * outcome.turnover
        return value, moments

    return reward


def differential_sharpe(xp: Any, log_return: Array, moments: Array, decay: float) -> tuple[Array, Array]:
    """Derivative of the exponentially weighted Sharpe ratio by its decay; 0 while returns have shown no variance.

    `moments` [B, 3] are the running means of the simple return and of its square, and how many returns are in them:
    plain means while these are fewer than 1 / decay, or the first variances would be of almost nothing. Moody and
    Saffell (2001), "Learning to trade via direct reinforcement", equation 12.
    """
    simple = xp.exp(log_return) - 1.0
    mean, square, count = moments[:, 0], moments[:, 1], moments[:, 2]
    to_mean, to_square = simple - mean, simple * simple - square
    variance = square - mean * mean
    known = variance > _FLAT
    spread = xp.where(known, variance, 1.0) ** 1.5
    value = xp.where(known, (square * to_mean - 0.5 * mean * to_square) / spread, 0.0)
    rate = xp.maximum(1.0 / (count + 1.0), decay)
    return value, xp.stack((mean + rate * to_mean, square + rate * to_square, count + 1.0), axis=1)
