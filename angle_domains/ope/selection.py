"""Choosing among K policies by their estimates, and what luck alone would have made of so many.

The best of many estimates is too high: it was chosen for its errors, too. So a selection says how many were tried,
and what the best of so many gains by chance; its lower bound holds for all of them at once. An honest number comes only
from patients that had no part in the choice, who are opened once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from angle_domains.errors import ConfigError
from angle_domains.interval import LEVEL
from angle_domains.ope.diagnostics import diagnose
from angle_domains.ope.episodes import Episodes, returns
from angle_domains.ope.estimators import ESTIMATORS, Ratios
from angle_domains.ope.intervals import resample
from angle_domains.ope.refusal import judge
from angle_domains.ope.weights import log_weights


@dataclass(frozen=True)
class Selection:
    """The best of `count` policies by one estimator; None where all were refused."""

    best: str | None
    value: float | None  # what it seems to be worth: too high, for it was chosen by this
    count: int  # policies tried, those refused included
    refused: int
    luck: float | None  # by which the best of so many is expected to seem better than it is
    low: float | None  # of its value; holds for all policies at once, with probability `level`
    gain: float | None  # over what was observed of the same patients
    gain_low: float | None  # likewise
    level: float = LEVEL

    def words(self) -> str:
        tried = f"best of {self.count:,}" if self.count > 1 else "the only one tried"
        if self.best is None:
            return f"none of {self.count:,} policies is estimable"
        assert self.value is not None
        assert self.luck is not None
        withheld = f", {self.refused:,} of them not estimable" if self.refused else ""
        sure = f"with {self.level:.0%} confidence for all at once"
        return (
            f"{self.best}: {self.value:.4g} where it was chosen ({tried}{withheld}), of which luck explains up to "
            f"{self.luck:.4g}; at least {self.low:.4g}, a gain of {self.gain_low:+.4g}, {sure}"
        )


def select(
    policies: Mapping[str, Episodes],
    gamma: float,
    *,
    estimator: str = "WIS",
    draws: int = 1_000,
    level: float = LEVEL,
    seed: int = 0,
) -> Selection:
    """Of the same patients' episodes under each policy; those that cannot be estimated are not chosen, but counted."""
    first = _same_patients(policies)
    parts: dict[str, Ratios] = {}
    for name, episodes in policies.items():
        if judge(diagnose(episodes)).estimable:
            parts[name] = ESTIMATORS[estimator](episodes, gamma, log_weights(episodes))
    count, names = len(policies), list(parts)
    if not names:
        return Selection(None, None, count, count, None, None, None, None, level)
    seen = Ratios(returns(first, gamma)[:, None], np.ones((first.size, 1)))
    drawn = resample(parts | {"": seen}, first.patient, count=draws, generator=np.random.default_rng(seed))
    observed, moved = seen.value(), drawn.pop("") - seen.value()
    estimate = np.array([parts[name].value() for name in names])
    excess = np.stack([drawn[name] for name in names]) - estimate[:, None]  # [K, R]
    best, top = int(estimate.argmax()), excess.max(0)
    reach, gain_reach = (float(np.nanquantile(over, level)) for over in (top, top - moved))
    value = float(estimate[best])
    gain = value - observed
    luck = float(np.nanmean(top))
    return Selection(names[best], value, count, count - len(names), luck, value - reach, gain, gain - gain_reach, level)


def _same_patients(policies: Mapping[str, Episodes]) -> Episodes:
    if not policies:
        raise ConfigError("there is no policy to select among")
    first = next(iter(policies.values()))
    for name, episodes in policies.items():
        if not np.array_equal(episodes.patient, first.patient):
            raise ConfigError(f"'{name}' is judged by other patients than the first policy: their luck differs")
    return first
