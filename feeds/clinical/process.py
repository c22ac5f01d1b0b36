"""ICU-Sepsis as a feed: a decision process whose every policy has a value that is known exactly.

Choudhary, Gupta and Thomas (2024), "ICU-Sepsis: a benchmark MDP built from real medical data". 713 states of patients,
death and survival; 25 actions (5 levels of fluids x 5 of vasopressors: action = 5 fluids + vasopressors); four hours a
step; the return is 1 for who survives. An inadmissible action, one too rare to be counted, leads where the admissible
ones of its state do on average.
"""

from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from gymnasium import spaces
from jaxtyping import Float
from scipy import sparse

from feeds import random
from feeds.backend import Backend, backend
from feeds.base import Block, FeedSpec, Step
from feeds.clinical.config import ProcessConfig
from feeds.data.icu_sepsis import AFTER, DEATH, HOURS, NUM_ACTIONS, NUM_STATES, PROCESS, SURVIVAL, read_counts
from feeds.errors import FeedError, nearest

Array = Any
Policy = Float[np.ndarray, "s a"]  # probabilities of the actions in each state

# Features that tell the clinicians' action of the same four hours: risk models and imitation must not see them.
TELLTALES = ("max_dose_vaso", "input_4hourly")

_BITS = 40  # of chance in a step: probabilities are kept to 1e-12
_PATIENTS = slice(0, DEATH)  # states of patients


class ProcessState(NamedTuple):
    key: Array  # [B] int64, of the episode
    time: Array  # [B] int64, steps taken
    place: Array  # [B] int64, 0 to 715


class IcuSepsisFeed:
    """The process as a DataFeed; `info["state"]` [B] is the state, `info["action_mask"]` [B, 25] what is admissible."""

    def __init__(self, config: ProcessConfig | None = None, where: Backend | None = None) -> None:
        self.config = config or ProcessConfig()
        self.backend = where or backend("cpu")
        shown, names = _shown(self.config)
        self.spec = FeedSpec(
            name="icu-sepsis",
            observation_space=spaces.Box(shown.min(), shown.max(), (shown.shape[1],), np.float32),
            action_space=spaces.Discrete(NUM_ACTIONS),
            blocks=(Block("features" if names else "state", 0, (shown.shape[1],), names),),
            clock=f"{HOURS} hours",
            units={"reward": "survival"},
        )
        put, table = self.backend.put, sampling_table()
        self.shown = shown  # [S, n] what is seen of each state
        self._shown, self._row_of, self._edges = put(shown), put(table.row_of), put(table.edges)
        self._successor, self._admissible = put(table.successor), put(np.array(read_counts().admissible))

    def to(self, device: str) -> "IcuSepsisFeed":
        return IcuSepsisFeed(self.config, backend(device))

    def describe(self) -> dict[str, Any]:
        return {
            "name": self.spec.name,
            "digest": sha256(PROCESS.read_bytes()).hexdigest(),
            "source": "process.npz of feeds/data/icu_sepsis",
            "schema": dict.fromkeys(self.spec.blocks[0].features, "float32"),
            "profile": {
                "states": NUM_STATES,
                "actions": NUM_ACTIONS,
                "admissible": int(read_counts().admissible.sum()),
            },
        }

    def reset(self, keys: Array, *, split: str = "train") -> tuple[ProcessState, Step]:
        """Splits differ in their patients, not in their law."""
        if split not in self.spec.splits:
            raise FeedError(f"'{self.spec.name}' has no split '{split}': {nearest(split, self.spec.splits)}")
        xp = self.backend.xp
        key = random.fold(self.backend.put(keys), self.spec.splits.index(split))
        time = xp.zeros_like(key)
        place = self._draw(key, time, time + NUM_STATES * NUM_ACTIONS)
        state = ProcessState(key, time, place)
        no = xp.zeros_like(key, dtype=xp.bool)
        return state, Step(self._look(place), xp.zeros_like(key, dtype=xp.float64), no, no | False, self._info(place))

    def step(self, state: ProcessState, action: Array) -> tuple[ProcessState, Step]:
        xp = self.backend.xp
        action = xp.astype(self.backend.put(action), xp.int64)
        if action.shape[0] and (int(action.min()) < 0 or int(action.max()) >= NUM_ACTIONS):
            raise FeedError(f"'{self.spec.name}' has actions 0 to {NUM_ACTIONS - 1}, got {action.tolist()}")
        time = state.time + 1
        place = self._draw(state.key, time, state.place * NUM_ACTIONS + action)
        reward = xp.astype(place == SURVIVAL, xp.float64)
        terminated = place >= DEATH
        after = ProcessState(state.key + 0, time, place)
        return after, Step(self._look(place), reward, terminated, xp.zeros_like(terminated), self._info(place))

    def _draw(self, key: Array, time: Array, pair: Array) -> Array:
        """The next state, of the pair's row of the table."""
        row = self.backend.rows(self._row_of, pair)
        wanted = (row << _BITS) + random.integers(key, 1 << _BITS, time)
        return self.backend.rows(self._successor, self.backend.xp.searchsorted(self._edges, wanted, side="right"))

    def _look(self, place: Array) -> Array:
        return self.backend.rows(self._shown, place)

    def _info(self, place: Array) -> dict[str, Array]:
        info = {"state": self.backend.copy(place)}
        return info | {"action_mask": self.backend.rows(self._admissible, place)} if self.config.mask else info


class SamplingTable(NamedTuple):
    """Rows of probabilities, one after another, as whole numbers that ascend throughout: one search serves all."""

    row_of: np.ndarray  # int64 row of each pair of state and action, and behind them that of the first state
    edges: np.ndarray  # int64: row * 2^40 + cumulated probability * 2^40
    successor: np.ndarray  # int64


@cache
def sampling_table() -> SamplingTable:
    rows = _rows()
    ends = rows.indptr[1:] - 1
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    whole = np.cumsum(rows.data)
    before = np.concatenate([[0.0], whole[ends[:-1]]])
    edges = (row << _BITS) + np.rint((whole - before[row]) * 2.0**_BITS).astype(np.int64)
    edges[ends] = (np.arange(rows.shape[0]) + 1) << _BITS
    row_of = np.concatenate([_row_of().reshape(-1), [rows.shape[0] - 1]])
    return SamplingTable(row_of, edges, rows.indices.astype(np.int64))


@cache
def _rows() -> sparse.csr_array:
    """Distinct rows `[R, S]`: admissible pairs, the mean of each state, what follows an end, the first state."""
    counts = read_counts()
    starts = np.concatenate([[0], np.cumsum(counts.length, dtype=np.int64)])
    shape = (len(counts.length), NUM_STATES)
    counted = sparse.csr_array((counts.count.astype(float), counts.successor.astype(np.int64), starts), shape)
    counted = sparse.diags_array(1.0 / counted.sum(1)) @ counted
    allowed = counts.admissible[_PATIENTS]
    state = np.nonzero(allowed)[0]
    share = sparse.csr_array((1.0 / allowed.sum(1)[state], (state, np.arange(len(state)))), (DEATH, len(state)))
    after = sparse.csr_array(([1.0], ([0], [AFTER])), (1, NUM_STATES))
    first = sparse.csr_array((counts.initial / counts.initial.sum())[None])
    return sparse.vstack([counted, share @ counted, after, first], format="csr")


@cache
def _row_of() -> np.ndarray:
    """The row of each pair `[S, A]`."""
    allowed = read_counts().admissible[_PATIENTS]
    num = int(allowed.sum())
    row = np.full((NUM_STATES, NUM_ACTIONS), num + DEATH)
    row[_PATIENTS] = num + np.arange(DEATH)[:, None]
    row[_PATIENTS][allowed] = np.arange(num)
    return row


def _shown(config: ProcessConfig) -> tuple[np.ndarray, tuple[str, ...]]:
    """What is seen of each state `[S, n]`, and the names of it."""
    if config.observation == "state":
        return np.eye(NUM_STATES, dtype=np.float32), ()
    counts = read_counts()
    for name in config.leave_out:
        if name not in counts.names:
            raise FeedError(f"feed.leave_out: no feature is called '{name}': {nearest(name, counts.names)}")
    kept = [place for place, name in enumerate(counts.names) if name not in config.leave_out]
    return np.ascontiguousarray(counts.features[:, kept]), tuple(counts.names[place] for place in kept)


def clinician() -> Policy:
    """What the clinicians of MIMIC-III did, 12 % of it inadmissible; even over all actions at the ends."""
    given = read_counts().clinician.astype(float)
    given[DEATH:] = 1.0
    return given / given.sum(1, keepdims=True)


def uniform() -> Policy:
    return np.full((NUM_STATES, NUM_ACTIONS), 1.0 / NUM_ACTIONS)


def state_values(policy: Policy, gamma: float = 1.0) -> Float[np.ndarray, " s"]:
    """V of each state: expected survival, discounted by `gamma` for every step but the last; 0 at the ends."""
    chances = policy_chances(policy)
    values = np.zeros(NUM_STATES)
    inner = np.eye(DEATH) - gamma * chances[:, _PATIENTS]
    values[_PATIENTS] = np.linalg.solve(inner, chances[:, SURVIVAL])
    return values


def action_values(values: Float[np.ndarray, " s"], gamma: float = 1.0) -> Float[np.ndarray, "s a"]:
    """Q of each state and action, followed by what has these values; 0 at the ends."""
    worth = gamma * values
    worth[SURVIVAL] = 1.0
    q = (_rows() @ worth)[_row_of()]
    q[DEATH:] = 0.0
    return q


def exact_value(policy: Policy, gamma: float = 1.0) -> float:
    """The expected return of a policy from its first state, by linear solve."""
    return float(first_state() @ state_values(policy, gamma))


def expected_visits(policy: Policy) -> Float[np.ndarray, " s"]:
    """How often an episode comes to each state, on average; 0 at the ends."""
    inner = np.eye(DEATH) - policy_chances(policy)[:, _PATIENTS]
    visits = np.zeros(NUM_STATES)
    visits[_PATIENTS] = np.linalg.solve(inner.T, first_state()[_PATIENTS])
    return visits


def expected_steps(policy: Policy) -> float:
    """Decisions of an episode, on average."""
    return float(expected_visits(policy).sum())


def optimal_policy(gamma: float = 1.0, *, worst: bool = False) -> Policy:
    """The best policy, or the worst, by policy iteration; deterministic, among admissible actions."""
    allowed, sign = read_counts().admissible, -1.0 if worst else 1.0
    policy = allowed / allowed.sum(1, keepdims=True)
    while True:
        q = np.where(allowed, sign * action_values(state_values(policy, gamma), gamma), -np.inf)
        held = (policy * np.where(allowed, q, 0.0)).sum(1)
        improved = q.max(1) > held + 1e-12  # where nothing is gained the old choice stays: this must end
        better = np.where(improved[:, None], np.eye(NUM_ACTIONS)[q.argmax(1)], policy)
        if not improved.any():
            return np.eye(NUM_ACTIONS)[better.argmax(1)]
        policy = better


def first_state() -> Float[np.ndarray, " s"]:
    """Probabilities of the state in which an episode begins."""
    return _rows()[[-1]].toarray()[0]


def policy_chances(policy: Policy) -> Float[np.ndarray, "p s"]:
    """Probabilities of the next state for each state of a patient. FeedError where the policy is none."""
    if policy.shape != (NUM_STATES, NUM_ACTIONS) or (policy < 0).any() or np.abs(policy.sum(1) - 1.0).max() > 1e-6:
        raise FeedError(
            f"a policy here is an array [{NUM_STATES}, {NUM_ACTIONS}] of probabilities whose rows sum to 1, "
            f"got one of shape {list(policy.shape)}"
        )
    state, action = np.nonzero(policy[_PATIENTS])
    weights = (policy[state, action], (state, _row_of()[state, action]))
    return (sparse.csr_array(weights, (DEATH, _rows().shape[0])) @ _rows()).toarray()


def sample_log(patients: int, policy: Policy, seed: int) -> pl.DataFrame:
    """A log of patients who are treated by the policy, one row per patient and four hours, without features.

    Columns: subject, stay, time (hours), state, action, propensity, death, end_reason. The last row of each patient is
    the end itself, with action 0 and propensity 1. Patient i is the same in a log of any length.
    """
    feed = IcuSepsisFeed(ProcessConfig(mask=False, leave_out=read_counts().names[1:]))  # the less is shown, the faster
    policy_chances(policy)
    edges = policy.cumsum(1)
    subject = np.arange(patients)
    keys = random.fold(np.full(patients, seed, np.int64), subject)
    choices = random.fold(keys, -1)
    state, _ = feed.reset(keys)
    rows = []
    while True:
        place, time = state.place, state.time
        over = place >= DEATH
        drawn = random.uniform(choices, time) * edges[place, -1]
        action = np.where(over, 0, (edges[place] <= drawn[:, None]).sum(1))
        rows.append((subject, time, place, action, np.where(over, 1.0, policy[place, action])))
        kept = ~over
        if not kept.any():
            break
        subject, choices, action = subject[kept], choices[kept], action[kept]
        state, _ = feed.step(ProcessState(*(array[kept] for array in state)), action)
    return _as_log(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def _as_log(
    subject: np.ndarray, time: np.ndarray, state: np.ndarray, action: np.ndarray, propensity: np.ndarray
) -> pl.DataFrame:
    order = np.lexsort((time, subject))
    died = np.zeros(subject.max(initial=-1) + 1, bool)
    died[subject[state == DEATH]] = True
    death = died[subject]
    columns = {
        "subject": subject,
        "stay": subject,
        "time": time * HOURS,
        "state": state,
        "action": action,
        "propensity": propensity,
        "death": death,
    }
    log = pl.DataFrame({name: values[order] for name, values in columns.items()})
    reason = pl.when("death").then(pl.lit("death")).otherwise(pl.lit("discharge"))
    return log.with_columns(end_reason=reason)
