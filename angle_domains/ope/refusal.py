"""When an estimate must not be given. The thresholds concern records and policy, so they hold for all estimators.

They hold for the direct method too: where weights vanish, the fit behind it extrapolates, and nothing shows how well.
"""

from dataclasses import dataclass

from angle_domains.interval import limited
from angle_domains.ope.diagnostics import Diagnostics

NOT_ESTIMABLE = "not estimable"
NOT_TOLD = "not told: few patients died or few lived"


@dataclass(frozen=True)
class Limits:
    """Beyond these an estimate is refused; half way to them it comes with a warning."""

    mean_low: float = 0.7  # of weights, whose average should be 1
    mean_high: float = 1.4
    zero_share: float = 0.5
    effective: float = 30.0
    top_share: float = 0.25

    @property
    def halfway(self) -> "Limits":
        return Limits(
            (1.0 + self.mean_low) / 2,
            (1.0 + self.mean_high) / 2,
            self.zero_share / 2,
            self.effective * 2,
            self.top_share / 2,
        )


@dataclass(frozen=True)
class Judgement:
    """Reasons to refuse, and reasons to be careful."""

    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    withheld: bool = False  # there is an estimate, and it would tell of few patients

    @property
    def estimable(self) -> bool:
        return not self.reasons

    def words(self) -> str:
        """ "estimable", or that it is not, and why."""
        if self.withheld:
            return "; ".join(self.reasons)
        return "estimable" if self.estimable else f"{NOT_ESTIMABLE}: {'; '.join(self.reasons)}"


def judge(found: Diagnostics, limits: Limits | None = None) -> Judgement:
    """By the diagnostics of weights before any cut, so that cutting them does not talk a refusal away."""
    limits = limits or Limits()
    reasons = _beyond(found, limits)
    warnings = {key: told for key, told in _beyond(found, limits.halfway).items() if key not in reasons}
    return Judgement(tuple(reasons.values()), (*warnings.values(), *_cautions(found)))


def _beyond(found: Diagnostics, limits: Limits) -> dict[str, str]:
    told: dict[str, str] = {}
    if not limits.mean_low <= found.mean_weight <= limits.mean_high:
        between = f"not between {limits.mean_low:g} and {limits.mean_high:g}"
        told["mean"] = f"weights average {limited(found.mean_weight, 3)}, {between}, where 1 is right"
    if found.zero_share > limits.zero_share:
        told["zero"] = f"{found.zero_share:.0%} of episodes have no weight, more than {limits.zero_share:.0%}"
    if not found.effective >= limits.effective:
        told["effective"] = f"the effective sample size is {found.effective:.1f}, below {limits.effective:g}"
    if found.top_share > limits.top_share:
        told["top"] = f"one patient holds {found.top_share:.0%} of the weight, more than {limits.top_share:.1%}"
    return told


_OUTSIDE, _MISCALIBRATED = 0.05, 0.05  # where a word of caution is due; nothing is refused for these


def _cautions(found: Diagnostics) -> tuple[str, ...]:
    told = []
    if found.outside_mass is not None and found.outside_mass > _OUTSIDE:
        told.append(f"{found.outside_mass:.0%} of the target's decisions are hardly ever taken in the records")
    if found.calibration is not None and found.calibration.error > _MISCALIBRATED:
        told.append(f"the estimated behaviour policy is off by {found.calibration.error:.2f} (calibration error)")
    if found.cut_share > 0.0:
        told.append(f"{found.cut_share:.0%} of the records stop before their end")
    return tuple(told)
