"""Values by a model of numbered states: what the records make of every transition, solved exactly.

For states and actions that can be counted, fitted-Q evaluation run to its end and the value in the model of maximum
likelihood are one and the same; this is it, by a linear solve. Hours between decisions discount, a task that ended has
no value beyond, a record that was cut goes on from the state it was cut in.

The target's mass on actions that were never taken in a state is spread over those that were, and said how much it is;
where none of the target's was, the recorded decisions stand in. A state that nobody decided in counts as the average.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array, diags_array, eye_array, sparray
from scipy.sparse.linalg import spsolve

from angle_domains.errors import FeedError
from angle_domains.ope.episodes import paid, places
from angle_domains.ope.folds import folds, part
from feeds.base import Rows


@dataclass(frozen=True)
class TabularFit:
    """Values of every state and action under the target."""

    q: Float[np.ndarray, "s a"]
    v: Float[np.ndarray, " s"]
    value: float  # of the first states that were recorded
    direct: Float[np.ndarray, " e"]  # by episode, averages to `value` and spreads as it errs
    unseen: float  # mass of the target, over the recorded decisions, on actions never taken in that state


@dataclass(frozen=True)
class _Counts:
    """Transitions, one a decision, and how often each state and action occurs among them."""

    state: Int[np.ndarray, " d"]
    action: Int[np.ndarray, " d"]
    after: Int[np.ndarray, " d"]
    reward: Float[np.ndarray, " d"]
    discount: Float[np.ndarray, " d"]  # 0 where the task ended
    number: Float[np.ndarray, "s a"]


def fit(rows: Rows, target: Float[np.ndarray, "n a"], gamma: float, states: int) -> TabularFit | None:
    """The target's values; None where they do not converge: undiscounted, with a loop that nobody leaves."""
    counts = _count(rows, target.shape[1], gamma, states)
    policy, unseen = _policy(rows, target, counts)
    share = np.divide(policy, counts.number, out=np.zeros_like(policy), where=counts.number > 0)
    step = share[counts.state, counts.action]  # weight of each recorded transition in its state's mean
    chain = csr_array((step * counts.discount, (counts.state, counts.after)), (states, states))
    at = places(rows)
    first = _states(rows, states)[at.row[at.step == 0]]
    start = np.bincount(first, minlength=states) / len(first)
    stuck = _stuck(chain)
    if (stuck & _spread(chain, start > 0.0)).any():
        return None
    busy = np.where(stuck, 0.0, counts.number.sum(1))
    earned = np.where(stuck, 0.0, np.bincount(counts.state, step * counts.reward, states))
    chain = _average_elsewhere(diags_array((~stuck).astype(np.float64)) @ chain, busy)
    if _stuck(chain).any():
        return None
    system = (eye_array(states, format="csr") - chain).tocsc()
    v, visits = spsolve(system, earned), spsolve(system.T.tocsc(), start)
    v = np.where(busy > 0, v, busy @ v / busy.sum())
    target_value = counts.reward + counts.discount * v[counts.after]
    q = np.repeat(v[:, None], target.shape[1], 1)
    total = np.zeros_like(q)
    np.add.at(total, (counts.state, counts.action), target_value)
    q = np.where(counts.number > 0, total / np.maximum(counts.number, 1.0), q)
    often = counts.number[counts.state, counts.action]
    # A mean of n numbers lies nearer to them than the truth does: by this factor their spread about it is too small.
    surprise = (target_value - q[counts.state, counts.action]) * np.sqrt(often / np.maximum(often - 1.0, 1.0))
    moved = len(first) * visits[counts.state] * step * surprise
    direct = v[first] + np.bincount(at.episode, moved, len(first))
    return TabularFit(q, v, float(start @ v), direct, unseen)


def cross_fit(
    rows: Rows, target: Float[np.ndarray, "n a"], gamma: float, states: int, *, count: int = 5, seed: int = 0
) -> Float[np.ndarray, "n a"] | None:
    """Action values in every row, of each patient by the records of patients in other folds; None as in `fit`."""
    number, state = folds(rows.entity, count, seed), _states(rows, states)
    q = np.empty(target.shape)
    for fold in range(count):
        away = number == fold
        fitted = fit(part(rows, ~away), target[~away], gamma, states)
        if fitted is None:
            return None
        q[away] = fitted.q[state[away]]
    return q


def _states(rows: Rows, states: int) -> Int[np.ndarray, " n"]:
    state = rows.observation.reshape(len(rows), -1)
    number = state[:, 0].astype(np.int64)
    if state.shape[1] != 1 or (number != state[:, 0]).any() or number.min() < 0 or number.max() >= states:
        raise FeedError(f"a model by counting needs one whole number below {states} in each row as its state")
    return number


def _count(rows: Rows, actions: int, gamma: float, states: int) -> _Counts:
    at, state = places(rows).row, _states(rows, states)
    action = rows.action.reshape(len(rows))[at].astype(np.int64)
    number = np.bincount(state[at] * actions + action, minlength=states * actions).reshape(states, actions)
    discount = np.where(rows.terminated[at + 1], 0.0, gamma ** rows.elapsed[at + 1])
    reward = paid(rows.elapsed[at + 1], gamma) * rows.reward[at + 1]
    return _Counts(state[at], action, state[at + 1], reward, discount, number.astype(np.float64))


def _policy(rows: Rows, target: Float[np.ndarray, "n a"], counts: _Counts) -> tuple[Float[np.ndarray, "s a"], float]:
    """The target in each state, the mean over its rows, on the actions that were seen; and the mass that was not."""
    at, (states, actions) = places(rows).row, counts.number.shape
    place = (counts.state[:, None] * actions + np.arange(actions)).ravel()
    summed = np.bincount(place, target[at].ravel(), states * actions).reshape(states, actions)
    visits = np.maximum(counts.number.sum(1, keepdims=True), 1.0)
    wanted = summed / visits
    kept = np.where(counts.number > 0, wanted, 0.0)
    mass = kept.sum(1, keepdims=True)
    lost = float(((wanted.sum(1) - mass[:, 0]) * visits[:, 0]).sum() / len(at))
    return np.where(mass > 0.0, kept / np.where(mass > 0.0, mass, 1.0), counts.number / visits), lost


def _average_elsewhere(chain: sparray, visits: Float[np.ndarray, " s"]) -> sparray:
    """States that do not count lead, at no cost of time, to those that do, as often as decisions are taken there."""
    empty, busy = np.flatnonzero(visits == 0.0), np.flatnonzero(visits)
    entered = empty[np.asarray(chain.sum(0)).ravel()[empty] > 0.0]
    if not len(entered):
        return chain
    row, column = np.repeat(entered, len(busy)), np.tile(busy, len(entered))
    share = np.tile(visits[busy] / visits.sum(), len(entered))
    return chain + csr_array((share, (row, column)), chain.shape)


def _stuck(chain: sparray) -> Bool[np.ndarray, " s"]:
    """States from which, undiscounted, nothing is ever left: the target goes in circles there in these records."""
    leaves = np.asarray(chain.sum(1)).ravel() < 1.0 - 1e-12
    return ~_spread(chain.T.tocsr(), leaves)


def _spread(chain: sparray, where: Bool[np.ndarray, " s"]) -> Bool[np.ndarray, " s"]:
    """The states that can be reached from some."""
    while True:
        wider = where | (chain.T @ where.astype(np.float64) > 0.0)
        if (wider == where).all():
            return where
        where = wider
