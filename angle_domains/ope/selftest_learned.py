"""What is learned by networks, against exact truth: fitted Q, a recurrent behaviour policy, a model of patients.

These take too long for many samples, so each is held to one: a ward on a line of health, where networks can be right.
Treatment moves patients up, the sicker are treated more often, and the value of any policy is a linear solve away.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from angle_domains.networks.config import NetworkConfig
from angle_domains.ope import behaviour, fqe
from angle_domains.ope.episodes import from_rows, returns
from angle_domains.ope.process import Tables, sample, value
from angle_domains.ope.settings import BehaviourConfig
from angle_domains.ope.value import OpeConfig, evaluate
from feeds.base import FeedSpec, Rows
from metalearn.foresight import Scene, World, play_out
from metalearn.patient_model import PatientModel
from metalearn.settings import PatientModelConfig

_ERRORS = 3.0  # standard errors of the sample by which each may be off,
_SLACK = 0.02  # and what a network may be off beside that
_FQE = fqe.FqeConfig(
    network=NetworkConfig(hidden=(64, 64), activation="relu"),
    updates=4_000,
    tolerance=0.1,
    batch=128,
    learning_rate=1e-3,
    copy_every=25,
    check_every=250,
)
_RECURRENT = BehaviourConfig(kind="recurrent", folds=2, hidden=16, epochs=6, learning_rate=1e-2)
_MODEL = PatientModelConfig(members=3, hidden=(32, 32), updates=400, batch=128, learning_rate=3e-3, pessimism=0.0)


@dataclass(frozen=True)
class Check:
    """One number against the truth."""

    name: str
    truth: float
    found: float | None  # None: it did not converge
    allowed: float  # that it may be off

    @property
    def passed(self) -> bool:
        return self.found is not None and abs(self.found - self.truth) <= self.allowed

    def words(self) -> str:
        found = "no value" if self.found is None else f"{self.found:.4f}"
        return f"{self.name:<34} {self.truth:>7.4f} {found:>9} ± {self.allowed:.4f} {'' if self.passed else 'FAILED'}"


def line_of_health(levels: int = 5) -> Tables:
    """Levels from the sickest to the healthiest, then death and discharge, which earns 1."""
    states = levels + 2
    transition = np.zeros((states, 2, states))
    moves = {0: (0.6, 0.1, 0.3), 1: (0.3, 0.1, 0.6)}  # down, stay, up; untreated and treated
    for level in range(levels):
        for action, chances in moves.items():
            for step, chance in zip((-1, 0, 1), chances, strict=True):
                after = level + step
                transition[level, action, levels if after < 0 else levels + 1 if after >= levels else after] += chance
    transition[levels:, :, :] = np.eye(states)[levels:, None, :]
    treated = np.append(np.linspace(0.7, 0.3, levels), [0.5, 0.5])
    start = np.zeros(states)
    start[levels // 3 : 2 * levels // 3] = 1.0 / (2 * levels // 3 - levels // 3)
    place = np.arange(states)
    return Tables(
        start, transition, (place == levels + 1) * 1.0, place >= levels, np.stack([1.0 - treated, treated], 1)
    )


def checks(patients: int = 600, seed: int = 0) -> tuple[Check, ...]:
    """Each on one sample, for a policy that treats a little more than the clinicians do."""
    process = line_of_health()
    policy = 0.9 * process.behaviour + 0.1 * np.array([0.0, 1.0])
    truth = value(process, policy, 1.0)
    numbered = sample(process, process.behaviour, patients, np.random.default_rng(seed))
    rows = replace(numbered, observation=_shown(numbered.observation, process))
    target = policy[numbered.observation[:, 0]]
    fitted = fqe.cross_fit(rows, target, 1.0, _FQE, count=2, seed=seed)
    known = evaluate(from_rows(rows, target, q=fitted.q), 1.0, OpeConfig(estimators=("WIS", "DR", "DM"), override=True))
    chances = behaviour.estimate(rows, 2, _RECURRENT, seed=seed).probability
    guessed = from_rows(rows, target, behaviour=chances)
    estimated = evaluate(guessed, 1.0, OpeConfig(estimators=("WIS",), override=True))["WIS"]
    error = known["DR"].standard_error or float("nan")
    found = known if fitted.converged else {}
    foreseen = _foreseen(rows, policy, process, seed)
    earned = float(returns(guessed, 1.0).std() / np.sqrt(patients))
    return (
        Check("DM, network across patients", truth, found["DM"].value if found else None, _ERRORS * error + _SLACK),
        Check("DR, network across patients", truth, found["DR"].value if found else None, _ERRORS * error),
        Check(
            "WIS, recurrent behaviour policy",
            truth,
            estimated.value,
            _ERRORS * (estimated.standard_error or 0.0) + _SLACK,
        ),
        Check("MODEL, stays played out", truth, foreseen, _ERRORS * earned + _SLACK),
    )


def _shown(state: np.ndarray, process: Tables) -> np.ndarray:
    """Health as one number between about -1 and 1: what networks read."""
    levels = int((~process.terminal).sum())
    health = np.append(np.arange(levels), [-1, levels])  # death lies below, discharge above
    return (2.0 * health[state[:, 0]] / (levels - 1) - 1.0)[:, None].astype(np.float32)


@dataclass
class _Ward:
    """Records as a feed, all parts alike."""

    spec: FeedSpec
    rows: Rows

    def episodes(self, split: str) -> Rows:
        return self.rows

    def describe(self) -> dict[str, object]:
        return {"name": self.spec.name}


def _foreseen(rows: Rows, policy: np.ndarray, process: Tables, seed: int) -> float:
    spec = FeedSpec("ward", spaces.Box(-9.0, 9.0, (1,), np.float32), spaces.Discrete(2))
    model = PatientModel(_Ward(spec, rows), _MODEL)
    states = torch.as_tensor(_shown(np.arange(len(policy))[:, None], process))
    inner, generator = states[~process.terminal], torch.Generator().manual_seed(seed)
    chances = torch.as_tensor(policy)

    def choose(scene: Scene) -> Tensor:
        level = torch.cdist(scene.obs, inner).argmin(1)
        return torch.multinomial(chances[level], 1, generator=generator)[:, 0]

    world = World(model, known=inner.double())
    return float(play_out(world, model.starts["test"], choose, 1.0, seed=seed).returns.mean())
