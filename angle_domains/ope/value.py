"""Estimates as they may be shown: number, interval, diagnostics and assumptions together, or a refusal with reasons."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, PositiveInt

from angle_domains.errors import ConfigError, nearest
from angle_domains.interval import LEVEL, Interval, limited
from angle_domains.ope.assumptions import assumptions
from angle_domains.ope.diagnostics import Calibration, Diagnostics, diagnose
from angle_domains.ope.episodes import Episodes, returns
from angle_domains.ope.estimators import APART, ESTIMATORS, MODELS, Ratios
from angle_domains.ope.intervals import Method, difference, interval, percentile, resample, standard_error
from angle_domains.ope.refusal import Judgement, Limits, judge
from angle_domains.ope.settings import JudgingConfig
from angle_domains.ope.weights import Truncation, log_weights, truncation

OBSERVED = "observed"  # the mean of what was recorded: what the clinicians' own decisions earned
_UNWEIGHTED = ("DM", "MODEL", "MIS")  # no weights of histories go into these: cutting them moves nothing
# Of the self-test's near policy (400 samples of 1,000 patients) 95 % intervals of IS held the truth in .89, those of
# CWPDIS in .90, and in .87 of 240 others; on ICU-Sepsis (60 logs) those of MIS did in .87 and those of DM in .88.
_COVERED = {"IS": 0.89, "PDIS": 0.89, "CWPDIS": 0.87, "MIS": 0.87, "DM": 0.88}
_NO_INTERVAL = "no interval: it rests on fitted values, and how much these err is unknown"


class OpeConfig(BaseModel):
    """How estimates are made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimators: tuple[str, ...] = ()  # none named: all that the episodes allow
    draws: PositiveInt = 1_000  # resamples of patients
    interval: Method = "t"  # see `intervals`: with skewed weights it holds the truth most often
    level: float = LEVEL
    cut: float | None = None  # level at which weights are cut; None: they are not
    override: bool = False  # gives numbers where they should be refused; the mark stays
    seed: int = 0

    @classmethod
    def of(cls, settings: JudgingConfig, *, seed: int = 0) -> "OpeConfig":
        """As the settings of a run have it."""
        method: Method = "t" if settings.interval == "influence" else settings.interval
        return cls(
            draws=settings.draws,
            interval=method,
            level=settings.level,
            cut=settings.cut,
            override=settings.override,
            seed=seed,
        )


@dataclass(frozen=True)
class Estimate:
    """What one estimator says of one policy. `value` is None where it is refused or does not exist."""

    estimator: str
    value: float | None
    interval: Interval | None
    gain: Interval | None  # over what was observed, paired by patient
    standard_error: float | None  # by the influence function
    diagnostics: Diagnostics
    judgement: Judgement
    assumptions: tuple[str, ...]
    truncation: Truncation | None
    overridden: bool  # a number that should have been refused
    notes: tuple[str, ...] = ()
    resampled: Interval | None = None  # the percentile interval, where `interval` is another

    @property
    def refused(self) -> bool:
        return not self.judgement.estimable and not self.overridden

    def words(self) -> str:
        """One line: the number and its interval, or why there is none."""
        if self.refused:
            return f"{self.estimator}: {self.judgement.words()}"
        if self.value is None:
            return f"{self.estimator}: no estimate{''.join(f'; {note}' for note in self.notes)}"
        between = "" if self.interval is None else f" {self.interval.words()}"
        between += "" if self.resampled is None else f", percentile {self.resampled.words()}"
        mark = f" (OVERRIDDEN, {self.judgement.words()})" if self.overridden else ""
        notes = "".join(f"; {note}" for note in (*self.notes, *self.judgement.warnings))
        return f"{self.estimator}: {limited(self.value)}{between}{mark}{notes}"

    def plain(self) -> dict[str, Any]:
        """JSON-ready, nothing left out."""
        return asdict(self) | {"refused": self.refused, "verdict": self.judgement.words()}


def evaluate(
    episodes: Episodes,
    gamma: float,
    config: OpeConfig | None = None,
    *,
    calibration: Calibration | None = None,
    limits: Limits | None = None,
    remarks: Mapping[str, tuple[str, ...]] | None = None,
) -> dict[str, Estimate]:
    """Every estimate by name, from one set of resamples, so that differences between them are paired.

    `calibration` is given where the behaviour policy was estimated; `remarks` are told with the number of an estimator.
    ConfigError names an estimator that there is not, or that needs fitted values these episodes do not have.
    """
    config = config or OpeConfig()
    names = _names(config.estimators, episodes)
    weight, uncut = log_weights(episodes, config.cut), log_weights(episodes)
    observed = Ratios(returns(episodes, gamma)[:, None], np.ones((episodes.size, 1)))
    parts = {name: ESTIMATORS[name](episodes, gamma, weight) for name in names} | {OBSERVED: observed}
    drawn = resample(parts, episodes.patient, count=config.draws, generator=np.random.default_rng(config.seed))
    diagnostics = diagnose(episodes, calibration)
    judgement = judge(diagnostics, limits)
    lost = None if config.cut is None else truncation(episodes, config.cut)
    found = {}
    for name in names:
        moved = None
        if lost is not None and name not in _UNWEIGHTED:
            moved = lost.moved(parts[name].value() - ESTIMATORS[name](episodes, gamma, uncut).value())
        base = Estimate(
            name, None, None, None, None, diagnostics, judgement,
            assumptions(name, diagnostics), moved, config.override and not judgement.estimable,
        )  # fmt: skip
        found[name] = base if base.refused else _filled(base, parts, drawn, episodes, config)
        if remarks and name in remarks and not base.refused:
            found[name] = replace(found[name], notes=(*found[name].notes, *remarks[name]))
    return found


def _filled(
    base: Estimate, parts: dict[str, Ratios], drawn: dict[str, np.ndarray], episodes: Episodes, config: OpeConfig
) -> Estimate:
    """With its numbers; there are none where nobody has weight, and no interval where a fit's error is unknown.

    MAGIC leans on the fit wherever that varies less than the records do, which a fit always does: resamples that hold
    it fixed would give intervals that are far too narrow (on the self-test's process they held the truth once in ten).
    MODEL is nothing but a fit, foreseen for each stay.
    """
    name, ratios, patient = base.estimator, parts[base.estimator], episodes.patient
    value = ratios.value()
    if not np.isfinite(value):
        return replace(base, notes=("no episode has weight",))
    if name in ("MAGIC", "MODEL") or (name == "DM" and episodes.direct is None):
        return replace(base, value=value, notes=(_NO_INTERVAL,))
    gain = difference(value - parts[OBSERVED].value(), drawn[name] - drawn[OBSERVED], config.level)
    missing = float((~np.isfinite(drawn[name])).mean())
    made = interval(ratios, patient, drawn[name], method=config.interval, level=config.level)
    beside = percentile(value, drawn[name], config.level) if config.interval != "percentile" else None
    notes = [f"{missing:.1%} of the resamples have no estimate and were left out"] if missing else []
    if name in _COVERED:
        notes.append(f"its interval covers less than it says: {_COVERED[name]} of simulations in place of .95")
    return replace(
        base,
        value=value,
        interval=made,
        resampled=beside if config.draws > 1 else None,
        gain=gain,
        standard_error=standard_error(ratios, patient),
        notes=tuple(notes),
    )


def _names(wanted: Sequence[str], episodes: Episodes) -> tuple[str, ...]:
    for name in wanted:
        if name not in ESTIMATORS:
            raise ConfigError(f"there is no estimator '{name}': {nearest(name, ESTIMATORS)}")
        if name in MODELS and episodes.q is None and not (name == "DM" and episodes.direct is not None):
            raise ConfigError(f"{name} needs fitted values of the target policy, and there are none")
        if name in APART and getattr(episodes, APART[name]) is None:
            raise ConfigError(f"{name} needs '{APART[name]}' of these episodes, and there is none")
    return tuple(wanted) or tuple(name for name in ESTIMATORS if _there(name, episodes))


def _there(name: str, episodes: Episodes) -> bool:
    if name in APART:
        return getattr(episodes, APART[name]) is not None
    return name not in MODELS or episodes.q is not None
