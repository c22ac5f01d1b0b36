"""Synthetic prices, each world a law that is known: nothing to find, something to find, and something to forecast."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from feeds.errors import FeedError, nearest
from feeds.market.bars import Bars
from feeds.market.panel import digest

_START = np.datetime64("2000-01-03T21:00", "us")


@dataclass(frozen=True)
class MeanReversion:
    """The log price is a fair value plus a deviation d that decays: d' = rho d + volatility e, e standard normal."""

    fair_price: float = 100.0
    rho: float = 0.8
    volatility: float = 0.015  # of a bar

    @property
    def deviation(self) -> float:
        """Standard deviation of d in the long run."""
        return self.volatility / float(np.sqrt(1.0 - self.rho**2))


@dataclass(frozen=True)
class Regime:
    """Log returns of one state of the market; `stays` is the chance that the next bar is of the same state."""

    drift: float
    volatility: float
    stays: float


@dataclass(frozen=True)
class Garch:
    """The next bar's variance is h' = omega + alpha r^2 + beta h, r the return of this one (Bollerslev 1986)."""

    omega: float = 2e-6
    alpha: float = 0.08
    beta: float = 0.90

    @property
    def variance(self) -> float:
        """Of a bar in the long run."""
        return self.omega / (1.0 - self.alpha - self.beta)


REVERSION = MeanReversion()
BULL, BEAR = Regime(0.0008, 0.008, 0.99), Regime(-0.0012, 0.02, 0.97)
GARCH = Garch()


def brownian(generator: np.random.Generator) -> Bars:
    """Five independent assets of which each price is a martingale: nothing to find, and costs to lose."""
    volatility = np.array([0.008, 0.010, 0.012, 0.015, 0.020])
    noise = generator.standard_normal((5_000, 5))
    # the drift of the log price makes up for its convexity, so that the expected simple return is 0
    return _bars(
        noise * volatility - volatility**2 / 2, "prices are martingales: no policy earns anything before costs"
    )


def mean_reverting(generator: np.random.Generator, law: MeanReversion = REVERSION) -> Bars:
    """One asset around a known fair value; `extras["deviation"]` is by how much the log price stands above it."""
    deviation = autoregression(generator.standard_normal(40_000), law)
    bars = _bars(np.diff(deviation, prepend=0.0)[:, None], "the best policy is known: feeds.synthetic.optimum")
    return replace(bars, close=law.fair_price * np.exp(deviation)[:, None], extras={"deviation": deviation[:, None]})


def regimes(generator: np.random.Generator) -> Bars:
    """Five assets under one hidden state of the market, bull or bear, which nothing but the prices tells."""
    length, assets = 5_000, 5
    chance = generator.random(length)
    state, states = 0, np.empty(length, np.int64)
    for bar in range(length):
        states[bar] = state
        if chance[bar] > (BULL, BEAR)[state].stays:
            state = 1 - state
    drift = np.array([BULL.drift, BEAR.drift])[states]
    volatility = np.array([BULL.volatility, BEAR.volatility])[states]
    common, own = generator.standard_normal((length, 1)), generator.standard_normal((length, assets))
    noise = np.sqrt(0.5) * (common + own)
    return _bars(drift[:, None] + volatility[:, None] * noise, "a hidden Markov chain switches drift and volatility")


def volatility(generator: np.random.Generator, law: Garch = GARCH) -> Bars:
    """Five independent GARCH(1,1) assets without drift: variance can be forecast, returns cannot."""
    length, assets = 5_000, 5
    noise = generator.standard_normal((length, assets))
    returns, variance = np.empty((length, assets)), np.full(assets, law.variance)
    for bar in range(length):
        returns[bar] = np.sqrt(variance) * noise[bar]
        variance = law.omega + law.alpha * returns[bar] ** 2 + law.beta * variance
    return _bars(returns, "GARCH(1,1) variance, no drift")


WORLDS: dict[str, Callable[[np.random.Generator], Bars]] = {
    "synthetic-brownian": brownian,
    "synthetic-mean-reverting": mean_reverting,
    "synthetic-regimes": regimes,
    "synthetic-volatility": volatility,
}


def world_bars(name: str, seed: int) -> Bars:
    """The prices of a world, a path for each seed; FeedError, with the nearest name, where there is none."""
    if name not in WORLDS:
        raise FeedError(f"no synthetic world is called '{name}': {nearest(name, WORLDS)}")
    bars = replace(WORLDS[name](np.random.default_rng(seed)), source=name)
    return replace(bars, digest=digest(bars))


def autoregression(noise: Float[np.ndarray, " t"], law: MeanReversion) -> Float[np.ndarray, " t"]:
    """The deviations that the noise drives, from one that is drawn from their long-run distribution."""
    deviation = np.empty_like(noise)
    deviation[0] = law.deviation * noise[0]
    for bar in range(1, len(noise)):
        deviation[bar] = law.rho * deviation[bar - 1] + law.volatility * noise[bar]
    return deviation


def _bars(log_returns: Float[np.ndarray, "t n"], note: str) -> Bars:
    """A bar a day, weekends included: only the order of bars means anything."""
    length, assets = log_returns.shape
    everywhere = np.ones((length, assets), bool)
    return Bars(
        timestamp=_START + np.arange(length) * np.timedelta64(1, "D"),
        symbols=tuple(f"S{index}" for index in range(assets)),
        close=100.0 * np.exp(np.cumsum(log_returns, 0)),
        listed=everywhere,
        tradable=everywhere.copy(),
        notes=(f"synthetic: {note}",),
    )
