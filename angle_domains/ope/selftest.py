"""The estimators against exact truth, before anybody's data: bias, coverage and refusal where all can be solved.

Patients are sampled by the process's own behaviour policy, over and over. Three policies are valued: the behaviour
policy, one near it (the optimum mixed in), and the deterministic optimum, which nobody can value from so few patients
and which therefore has to be refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from angle_domains.ope import marginal, tabular
from angle_domains.ope.episodes import from_rows, places
from angle_domains.ope.estimators import MODELS
from angle_domains.ope.intervals import Method
from angle_domains.ope.process import Process, best_policy, random_patients, sample, value
from angle_domains.ope.selftest_learned import Check, checks
from angle_domains.ope.value import Estimate, OpeConfig, evaluate
from feeds.base import Rows

GATED = ("WIS", "DR", "DM")  # must be unbiased and cover on the near policy
COVERAGE = 0.88  # least share of intervals that hold the truth, of 95 % ones
ERRORS = 3.0  # standard errors that the bias may be


class SelfTestConfig(BaseModel):
    """How much is tried."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patients: PositiveInt = 1_000
    replicates: int = Field(default=100, ge=20)
    draws: PositiveInt = 400
    estimators: tuple[str, ...] = ("IS", "WIS", "CWPDIS", "MIS", "DM", "DR", "WDR", "MAGIC")
    interval: Method = "t"
    mix: float = Field(default=0.2, gt=0.0, lt=1.0)  # of the optimum, in the near policy
    folds: int = Field(default=5, ge=2)  # of patients, for the fitted values
    learned: bool = True  # networks too, on one sample of a ward of their own
    gamma: float = Field(default=1.0, gt=0.0, le=1.0)  # per hour
    seed: int = 0


@dataclass(frozen=True)
class Line:
    """One estimator on one policy, over all replicates."""

    policy: str
    estimator: str
    truth: float
    bias: float
    error: float  # standard error of the bias
    rmse: float
    coverage: float  # NaN for an estimator without intervals
    refused: float  # share of the replicates in which the number would have been withheld
    effective: float  # mean effective sample size

    @property
    def unbiased(self) -> bool:
        return abs(self.bias) < ERRORS * self.error


@dataclass(frozen=True)
class SelfTest:
    """All lines, and what failed; nothing where `passed`."""

    lines: tuple[Line, ...]
    replicates: int
    patients: int
    failures: tuple[str, ...]
    learned: tuple[Check, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.failures

    def line(self, policy: str, estimator: str) -> Line:
        return next(line for line in self.lines if (line.policy, line.estimator) == (policy, estimator))

    def table(self) -> tuple[str, ...]:
        """For a terminal."""
        head = f"{self.replicates} replicates of {self.patients:,} patients, truth by linear solve"
        names = f"{'policy':<10} {'':<7} {'truth':>7} {'bias':>8} {'±':>7} {'RMSE':>7}"
        columns = f"{names} {'cover':>6} {'refused':>8} {'ESS':>7}"
        verdict = "passed" if self.passed else f"FAILED: {'; '.join(self.failures)}"
        networks = [f"{'what is learned, on one sample':<34} {'truth':>7} {'found':>9}"] if self.learned else []
        networks += [check.words().rstrip() for check in self.learned]
        return head, columns, *(_told(line) for line in self.lines), *networks, f"self-test {verdict}"


def _told(line: Line) -> str:
    """Where nothing was given there is nothing to tell of it but that."""
    covered = f"{line.coverage:.2f}" if np.isfinite(line.coverage) else "none"
    found = f"{line.bias:>+8.4f} {line.error:>7.4f} {line.rmse:>7.4f} {covered:>6}"
    if not np.isfinite(line.bias):
        found = f"{'none':>8} {'':>7} {'':>7} {'':>6}"
    name = f"{line.policy:<10} {line.estimator:<7} {line.truth:>7.4f}"
    return f"{name} {found} {line.refused:>8.0%} {line.effective:>7.1f}"


def selftest(process: Process | None = None, config: SelfTestConfig | None = None) -> SelfTest:
    """On the process given, or on a small one of its own."""
    process, config = process or random_patients(), config or SelfTestConfig()
    policies = _policies(process, config)
    found: dict[str, list[dict[str, Estimate]]] = {name: [] for name in policies}
    for rows in _records(process, config):
        for name, policy in policies.items():
            found[name].append(_estimates(rows, policy, config))
    lines = tuple(
        _line(name, estimator, value(process, policy, config.gamma), [each.get(estimator) for each in found[name]])
        for name, policy in policies.items()
        for estimator in config.estimators
    )
    learned = checks(seed=config.seed) if config.learned else ()
    wrong = (f"{check.name}: {check.found} where {check.truth:.4f} is true" for check in learned if not check.passed)
    return SelfTest(lines, config.replicates, config.patients, (*_failures(lines), *wrong), learned)


def _policies(process: Process, config: SelfTestConfig) -> dict[str, Float[np.ndarray, "s a"]]:
    best = best_policy(process, config.gamma)
    near = (1.0 - config.mix) * process.behaviour + config.mix * best
    return {"behaviour": process.behaviour, "near": near, "optimum": best}


def _records(process: Process, config: SelfTestConfig) -> Iterator[Rows]:
    for child in np.random.SeedSequence(config.seed).spawn(config.replicates):
        yield sample(process, process.behaviour, config.patients, np.random.default_rng(child))


def _estimates(rows: Rows, policy: Float[np.ndarray, "s a"], config: SelfTestConfig) -> dict[str, Estimate]:
    """All of them as if nothing were refused; what is refused can be seen in each."""
    target = policy[rows.observation[:, 0]]
    states = len(policy)
    q = tabular.cross_fit(rows, target, config.gamma, states, count=config.folds, seed=config.seed)
    whole = tabular.fit(rows, target, config.gamma, states)
    fitted = q is not None and whole is not None  # else the far policy goes in circles in these records
    episodes = from_rows(rows, target, q=q if fitted else None, direct=whole.direct if fitted and whole else None)
    if "MIS" in config.estimators:
        at = places(rows)
        found = marginal.fit(episodes, at.padded(rows.observation[at.row, 0].astype(np.int64)), config.gamma)
        episodes = episodes._replace(marginal=found.direct)
    names = tuple(name for name in config.estimators if fitted or name not in MODELS)
    settings = OpeConfig(
        estimators=names, draws=config.draws, interval=config.interval, override=True, seed=config.seed
    )
    return evaluate(episodes, config.gamma, settings)


def _line(policy: str, estimator: str, truth: float, given: list[Estimate | None]) -> Line:
    """An estimate that does not exist is refused, and counts as an interval that misses."""
    found = [one for one in given if one is not None]
    off = np.array([one.value - truth for one in found if one.value is not None])
    held = [one.interval is not None and one.interval.low <= truth <= one.interval.high for one in found]
    enough = len(off) > 1
    return Line(
        policy,
        estimator,
        truth,
        bias=float(off.mean()) if enough else float("nan"),
        error=float(off.std(ddof=1) / np.sqrt(len(off))) if enough else float("nan"),
        rmse=float(np.sqrt(np.square(off).mean())) if enough else float("nan"),
        coverage=float(sum(held) / len(given)) if any(one.interval for one in found) else float("nan"),
        refused=1.0 - sum(one.judgement.estimable for one in found) / len(given),
        effective=float(np.mean([one.diagnostics.effective for one in found])) if found else 0.0,
    )


def _failures(lines: tuple[Line, ...]) -> Iterator[str]:
    for line in lines:
        name = f"{line.estimator} on the {line.policy} policy"
        if line.policy == "near" and line.estimator in GATED:
            if not line.unbiased:
                yield f"{name} is off by {line.bias:+.4f}, {abs(line.bias) / line.error:.1f} standard errors"
            if not line.coverage >= COVERAGE:
                yield f"{name}: {line.coverage:.0%} of the intervals hold the truth, fewer than {COVERAGE:.0%}"
            if line.refused > 0.1:
                yield f"{name} is refused in {line.refused:.0%} of the replicates"
        if line.policy == "optimum" and line.refused < 1.0:
            yield f"{name} is given in {1.0 - line.refused:.0%} of the replicates, where it cannot be known"
