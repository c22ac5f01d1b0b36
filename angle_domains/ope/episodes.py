"""Recorded episodes as off-policy evaluation reads them: padded arrays `[E, T]`, one row an episode, float64.

Column t speaks of the decision number t: how probable it was under the policy that took it and under the one that is
to be valued, the reward it led to, and the hours until then. Behind the end of an episode `real` is false, rewards and
hours are 0 and probabilities 1, so that an importance weight keeps the value it had at the end.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from angle_domains.errors import FeedError
from feeds.base import Rows

RARE = 0.01  # a decision less probable than this has next to no support in the records
_MOST = 1.0 + 1e-6  # probabilities of float32 sum to 1 up to rounding


class Episodes(NamedTuple):
    """E episodes of at most T decisions."""

    reward: Float[np.ndarray, "e t"]  # what the decision led to
    elapsed: Float[np.ndarray, "e t"]  # hours between the decision and its reward
    behaviour: Float[np.ndarray, "e t"]  # probability with which the recorded decision was taken
    target: Float[np.ndarray, "e t"]  # with which the policy to be valued takes it
    real: Bool[np.ndarray, "e t"]  # a decision was taken
    patient: Int[np.ndarray, " e"]  # several episodes may be of one
    terminated: Bool[np.ndarray, " e"]  # false where only the record ended
    q: Float[np.ndarray, "e t"] | None = None  # fitted value of the recorded decision under the target policy
    v: Float[np.ndarray, "e t"] | None = None  # of the state: the mean of q over the target's actions
    final: Float[np.ndarray, " e"] | None = None  # v behind the last decision; 0 where the task ended
    outside: Float[np.ndarray, "e t"] | None = None  # target's mass on actions that are rare under behaviour
    direct: Float[np.ndarray, " e"] | None = None  # averages to the direct estimate, spreads as that estimate errs
    marginal: Float[np.ndarray, " e"] | None = None  # likewise of the marginalised one
    foreseen: Float[np.ndarray, " e"] | None = None  # mean return of stays that begin alike, in a model of patients

    @property
    def size(self) -> int:
        return len(self.patient)

    @property
    def length(self) -> Int[np.ndarray, " e"]:
        """Decisions of each episode."""
        return self.real.sum(1)


class Places(NamedTuple):
    """Where the rows that hold a decision stand in the padded arrays."""

    row: Int[np.ndarray, " d"]  # number of the row
    episode: Int[np.ndarray, " d"]
    step: Int[np.ndarray, " d"]
    end: Int[np.ndarray, " e"]  # number of the last row of each episode
    patient: Int[np.ndarray, " e"]

    def padded(self, values: np.ndarray, fill: float = 0.0) -> np.ndarray:
        """Values of the decisions, one behind the other, as `[E, T]`."""
        steps = int(self.step.max()) + 1
        table = np.full((len(self.end), steps), fill, values.dtype)
        table[self.episode, self.step] = values
        return table


def places(rows: Rows) -> Places:
    """Of all episodes but those of a single row, which hold no decision."""
    starts, ends = rows.starts, rows.stops - 1
    kept = ends > starts
    if not kept.any():
        raise FeedError("there is no episode with a decision in it: nothing can be evaluated")
    starts, ends = starts[kept], ends[kept]
    length = ends - starts
    episode = np.repeat(np.arange(len(starts)), length)
    step = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    return Places(starts[episode] + step, episode, step, ends, rows.entity[starts])


def from_rows(
    rows: Rows,
    target: np.ndarray,
    *,
    behaviour: np.ndarray | None = None,
    q: Float[np.ndarray, "n a"] | None = None,
    direct: Float[np.ndarray, " e"] | None = None,
) -> Episodes:
    """Episodes of rows. `target` and `behaviour` are probabilities, `[N, A]` of all actions or `[N]` of the recorded.

    Behaviour falls back to the rows' own propensities. Raises FeedError for probabilities that cannot be: a recorded
    decision that its own policy never takes, or numbers outside 0 and 1.
    """
    behaviour = rows.propensity if behaviour is None else behaviour
    if behaviour is None:
        raise FeedError("the records hold no propensities: estimate the behaviour policy first")
    at = places(rows)
    taken, wanted = _recorded(behaviour, rows, at), _recorded(target, rows, at)
    _check(taken, wanted, at)
    ones = np.ones(len(at.row), bool)
    value = None if q is None else _value(q, target, rows, at)
    return Episodes(
        reward=at.padded(rows.reward[at.row + 1]),
        elapsed=at.padded(rows.elapsed[at.row + 1]),
        behaviour=at.padded(taken, 1.0),
        target=at.padded(wanted, 1.0),
        real=at.padded(ones),
        patient=np.asarray(at.patient),
        terminated=rows.terminated[at.end].copy(),
        q=None if q is None else at.padded(_recorded(q, rows, at)),
        v=None if value is None else at.padded(value[at.row]),
        final=None if value is None else np.where(rows.terminated[at.end], 0.0, value[at.end]),
        outside=_outside(behaviour, target, at),
        direct=direct,
    )


def _recorded(table: np.ndarray, rows: Rows, at: Places) -> Float[np.ndarray, " d"]:
    """What a table says of the decisions that were taken."""
    table = np.asarray(table, np.float64)
    if len(table) != len(rows):
        raise FeedError(f"{len(rows):,} rows were recorded, and {len(table):,} probabilities came")
    if table.ndim == 1:
        return table[at.row]
    return table[at.row, rows.action.reshape(len(rows))[at.row].astype(np.int64)]


def _value(q: np.ndarray, target: np.ndarray, rows: Rows, at: Places) -> Float[np.ndarray, " n"]:
    if target.ndim == 1:
        raise FeedError("action values need the target's probabilities of all actions, not of the recorded ones alone")
    used = np.concatenate([at.row, at.end])
    if not np.isfinite(q[used]).all():
        raise FeedError("the fitted action values are not all finite")
    return (np.where(target > 0.0, target * q, 0.0)).sum(1)


def _check(behaviour: Float[np.ndarray, " d"], target: Float[np.ndarray, " d"], at: Places) -> None:
    """The first row whose probabilities cannot be is named by its number, the patient is not."""
    rules = (
        (~((behaviour > 0.0) & (behaviour <= _MOST)), "behaviour", behaviour, "above 0 and at most 1"),
        (~((target >= 0.0) & (target <= _MOST)), "target", target, "between 0 and 1"),
    )
    for wrong, name, values, wanted in rules:
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            raise FeedError(
                f"row {at.row[place]}: the {name} policy takes the recorded decision with probability "
                f"{values[place]:g}, which must be {wanted} ({int(wrong.sum())} rows are wrong)"
            )


def _outside(behaviour: np.ndarray, target: np.ndarray, at: Places) -> Float[np.ndarray, "e t"] | None:
    if behaviour.ndim == 1 or target.ndim == 1:
        return None
    mass = np.where(behaviour[at.row] < RARE, target[at.row], 0.0).sum(1)
    return at.padded(np.asarray(mass, np.float64))


def discounts(episodes: Episodes, gamma: float) -> Float[np.ndarray, "e _"]:
    """`[E, T+1]`: `gamma ** hours` from the first decision to each, and to the end: time counts, not bins.

    A value obeys `v = gamma ** (elapsed - 1) · r + gamma ** elapsed · v'`, as it does for the agents: a reward is paid
    when the decision's time is over, and counts in full an hour after it. So what is paid at the end of a stay counts
    the same whatever its bins are. What is summed over a bin does so if it was grown to the bin's end within it.
    """
    hours = np.cumsum(np.where(episodes.real, episodes.elapsed, 0.0), 1)
    return gamma ** np.concatenate([np.zeros((episodes.size, 1)), hours], 1)


def returns(episodes: Episodes, gamma: float) -> Float[np.ndarray, " e"]:
    """Discounted sums of what was recorded; what would have followed a record that was cut counts nothing."""
    return earned(episodes, gamma).sum(1)


def earned(episodes: Episodes, gamma: float) -> Float[np.ndarray, "e t"]:
    """The reward of every decision as it counts at the first one."""
    return discounts(episodes, gamma)[:, :-1] * paid(episodes.elapsed, gamma) * episodes.reward


def paid(elapsed: np.ndarray, gamma: float) -> np.ndarray:
    """What rewards count at their decisions, these hours before; 1 where no time passes, which is in no decision."""
    return gamma ** np.where(elapsed > 0.0, elapsed - 1.0, 0.0)
