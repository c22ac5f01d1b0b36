"""Decision processes whose policies have values that a linear solve gives: the truth to hold estimates against."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from feeds.base import Rows


@runtime_checkable
class Process(Protocol):
    """States and actions that can be counted. A reward is gained on arrival in a state."""

    @property
    def start(self) -> Float[np.ndarray, " s"]: ...  # probability of the first state
    @property
    def transition(self) -> Float[np.ndarray, "s a s"]: ...
    @property
    def reward(self) -> Float[np.ndarray, " s"]: ...
    @property
    def terminal(self) -> Bool[np.ndarray, " s"]: ...  # the task ends on arrival
    @property
    def behaviour(self) -> Float[np.ndarray, "s a"]: ...  # the policy that records are of
    @property
    def hours(self) -> float: ...  # between decisions


class Tables(NamedTuple):
    """A process as plain arrays."""

    start: Float[np.ndarray, " s"]
    transition: Float[np.ndarray, "s a s"]
    reward: Float[np.ndarray, " s"]
    terminal: Bool[np.ndarray, " s"]
    behaviour: Float[np.ndarray, "s a"]
    hours: float = 1.0


def random_patients(seed: int = 0, states: int = 20, actions: int = 4) -> Tables:
    """A ward by chance: some states and actions are deadlier than others, and clinicians know it, roughly.

    The last state but one is death and the last is discharge, which earns 1; a stay lasts some nine decisions.
    """
    rng = np.random.default_rng(seed)
    inner = states - 2
    next_state = rng.dirichlet(np.full(inner, 0.3), size=(inner, actions))
    danger = 0.05 * rng.uniform(0.2, 1.0, (inner, 1)) * rng.uniform(0.2, 3.0, (inner, actions))
    leave = np.full((inner, actions), 0.08)
    transition = np.zeros((states, actions, states))
    transition[:inner, :, :inner] = (1.0 - danger - leave)[..., None] * next_state
    transition[:inner, :, -2], transition[:inner, :, -1] = danger, leave
    transition[-2:, :, :] = np.eye(states)[-2:, None, :]
    preference = -12.0 * danger + rng.normal(0.0, 0.7, (inner, actions))
    behaviour = np.full((states, actions), 1.0 / actions)
    behaviour[:inner] = np.exp(preference) / np.exp(preference).sum(1, keepdims=True)
    start = np.append(rng.dirichlet(np.ones(inner)), [0.0, 0.0])
    end = np.arange(states)
    return Tables(start, transition, (end == states - 1) * 1.0, end >= inner, behaviour)


def values(process: Process, policy: Float[np.ndarray, "s a"], gamma: float) -> Float[np.ndarray, " s"]:
    """Of every state under a policy, exactly; 0 in terminal states."""
    going = ~process.terminal
    chain = np.einsum("sa,sat->st", policy, process.transition)
    carried = gamma**process.hours * chain * going
    system = np.eye(len(chain)) - np.where(going[:, None], carried, 0.0)
    return np.linalg.solve(system, np.where(going, gamma ** (process.hours - 1.0) * chain @ process.reward, 0.0))


def value(process: Process, policy: Float[np.ndarray, "s a"], gamma: float) -> float:
    """Of a policy from the first state on."""
    return float(process.start @ values(process, policy, gamma))


def best_policy(process: Process, gamma: float) -> Float[np.ndarray, "s a"]:
    """The deterministic optimum, by policy iteration; ties fall to the first action."""
    actions = process.transition.shape[1]
    policy = np.full((len(process.start), actions), 1.0 / actions)
    for _ in range(1_000):
        further = gamma**process.hours * np.where(process.terminal, 0.0, values(process, policy, gamma))
        after = gamma ** (process.hours - 1.0) * process.reward + further
        q = process.transition @ after
        better = np.eye(actions)[(q >= q.max(1, keepdims=True) - 1e-12).argmax(1)]
        if (better == policy).all():
            break
        policy = better
    return policy


def sample(
    process: Process,
    policy: Float[np.ndarray, "s a"],
    patients: int,
    generator: np.random.Generator,
    *,
    limit: int = 500,
) -> Rows:
    """What a policy would record of so many patients, with its propensities; a stay is cut after `limit` decisions."""
    upto, moves = np.cumsum(policy, 1), np.cumsum(process.transition, 2)
    state = _draw(np.broadcast_to(np.cumsum(process.start), (patients, len(process.start))), generator)
    here = np.arange(patients)
    columns: list[tuple[np.ndarray, ...]] = []
    while len(here) and len(columns) < limit:
        action = _draw(upto[state], generator)
        after = _draw(moves[state, action], generator)
        columns.append((here, state, action, after))
        going = ~process.terminal[after]
        here, state = here[going], after[going]
    return _rows(process, policy, columns)


def _draw(upto: Float[np.ndarray, "n k"], generator: np.random.Generator) -> np.ndarray:
    """One number for each row of cumulative probabilities."""
    drawn = generator.random((len(upto), 1)) * upto[:, -1:]
    return (drawn >= upto).sum(1)


def _rows(process: Process, policy: np.ndarray, columns: list[tuple[np.ndarray, ...]]) -> Rows:
    """Decisions of all patients, and after each patient's last the row it led to."""
    patient, state, action, after = (np.concatenate(part) for part in zip(*columns, strict=True))
    step = np.concatenate([np.full(len(column[0]), t) for t, column in enumerate(columns)])
    length = np.bincount(patient)
    start = np.cumsum(length + 1) - (length + 1)
    count = int((length + 1).sum())
    at, behind = start[patient] + step, start[patient] + step + 1
    last = np.zeros(count, bool)
    last[start + length] = True
    first = np.zeros(count, bool)
    first[start] = True
    seen, taken = np.zeros(count, np.int64), np.zeros(count, np.int64)
    reward, propensity, ended = np.zeros(count), np.ones(count), np.zeros(count, bool)
    seen[behind], seen[at] = after, state
    taken[at], propensity[at] = action, policy[state, action]
    reward[behind], ended[behind] = process.reward[after], process.terminal[after]
    return Rows(
        observation=seen[:, None], action=taken, reward=reward, terminated=ended, first=first, last=last,
        elapsed=np.where(first, 0.0, process.hours), entity=np.repeat(np.arange(len(length)), length + 1),
        propensity=propensity,
    )  # fmt: skip
