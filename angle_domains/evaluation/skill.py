"""How probable it is that a Sharpe ratio is more than luck, the number of trials counted.

Bailey and Lopez de Prado, "The Sharpe ratio efficient frontier" (2012) and "The deflated Sharpe ratio" (2014);
the formulas are skfolio's.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from skfolio.measures import expected_max_sharpe_ratio, probabilistic_sharpe_ratio

from angle_domains.errors import ConfigError

_ENOUGH = 5  # fewer known Sharpe ratios say too little about their spread


@dataclass(frozen=True)
class Trials:
    """How many runs were tried before this one was believed, itself counted, and what they reached."""

    count: int
    sharpes: tuple[float, ...] = ()  # annualised, of as many trials as are known

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigError(f"the number of trials counts the run itself and is at least 1, got {self.count}")

    @property
    def known(self) -> tuple[float, ...]:
        """The Sharpe ratios that tell the spread; empty where there are too few."""
        finite = tuple(value for value in self.sharpes if np.isfinite(value))
        return finite if len(finite) >= _ENOUGH else ()

    @classmethod
    def of(cls, trials: "Trials | int | None") -> "Trials | None":
        return cls(trials) if isinstance(trials, int) else trials


def probabilistic_sharpe(excess: Float[np.ndarray, " t"]) -> float:
    """Probability that the true Sharpe ratio is above zero; NaN for a portfolio without risk."""
    return float(probabilistic_sharpe_ratio(excess))


def deflated_sharpe(excess: Float[np.ndarray, " t"], trials: Trials, periods: float) -> float:
    """Probability that the true Sharpe ratio is above what the best of so many lucky trials would show."""
    return float(probabilistic_sharpe_ratio(excess, benchmark_sharpe_ratio=lucky_sharpe(len(excess), trials, periods)))


def lucky_sharpe(bars: int, trials: Trials, periods: float) -> float:
    """Expected best Sharpe ratio per bar (not annualised) of trials that have no skill.

    The spread between trials is that of their known Sharpe ratios. Where fewer than five are known it is the
    standard error that a skill-less Sharpe ratio of so many bars has, which is what independent trials would show.
    """
    spread = np.std(trials.known, ddof=1) / np.sqrt(periods) if trials.known else 1.0 / np.sqrt(bars - 1)
    return float(expected_max_sharpe_ratio(trials.count, float(spread)))
