"""Worlds that are found out only on purpose, and one that only a memory can solve. Pure, as the probes are.

`deep_sea` follows bsuite (Osband et al. 2020, arXiv:1908.03568), `long_chain` Osband et al. (2016), "Deep Exploration
via Bootstrapped DQN", appendix. In both the reward is seldom met by chance, in a deep sea once in 2 to the power of its
size episodes, and every step towards it looks like a loss.
"""

from typing import Any

from feeds import random
from feeds.errors import FeedError
from feeds.synthetic.probes import Law, ProbeState

Array = Any

_MOVE_COST = 0.01  # of all moves to the right that a dive needs
_CRUMB = 0.001  # for staying where the chain begins
_SPARE = 9  # steps beyond the length of the chain


def deep_sea(size: int = 10, *, mapping: int | None = 0) -> Law:
    """A square of `size` rows: each step leads down, and left or right. 1 for stepping right out of the last corner.

    A move to the right costs .01 / size. Which of two actions leads right is drawn for every cell, by the number
    `mapping`; with None it is action 1 everywhere. The observation is 1 in the cell and blank after the last row.
    """
    _check(size >= 1, f"a deep sea has one row or more, got {size}")

    def right(xp: Any, state: ProbeState, action: Array) -> Array:
        return action == (1 if mapping is None else random.integers(_cell(state, size), 2, mapping))

    def move(xp: Any, state: ProbeState, action: Array) -> Array:
        step = 2 * xp.astype(right(xp, state, action), xp.int64) - 1
        return xp.minimum(xp.maximum(state.place + step, 0), size - 1)

    def look(xp: Any, state: ProbeState) -> Array:
        cells = xp.arange(size * size, device=state.time.device)
        return (_cell(state, size)[:, None] == cells[None, :]) & (state.time < size)[:, None]

    def reward(xp: Any, state: ProbeState, action: Array, place: Array) -> Array:
        chosen = xp.astype(right(xp, state, action), xp.float64)
        return chosen * (xp.astype(state.place == size - 1, xp.float64) - _MOVE_COST / size)

    return Law(_left, move, look, reward, lambda xp, s: s.time >= size, optimum=1.0 - _MOVE_COST, size=size * size)


def long_chain(length: int = 20) -> Law:
    """Places in a row, walked for length + 9 steps from the second: 1 at the far end, .001 at the near one.

    The observation says of every place whether it lies at or before one's own. Time up is a truncation.
    """
    _check(length >= 3, f"a long chain has three places or more, got {length}")

    def move(xp: Any, state: ProbeState, action: Array) -> Array:
        return xp.minimum(xp.maximum(state.place + 2 * action - 1, 0), length - 1)

    def look(xp: Any, state: ProbeState) -> Array:
        return xp.arange(length, device=state.time.device)[None, :] <= state.place[:, None]

    def reward(xp: Any, state: ProbeState, action: Array, place: Array) -> Array:
        return xp.astype(place == length - 1, xp.float64) + _CRUMB * xp.astype(place == 0, xp.float64)

    return Law(
        lambda xp, key: _left(xp, key) + 1,
        move,
        look,
        reward,
        lambda xp, s: s.time < 0,
        optimum=float(_SPARE + 3),  # of length + 9 steps those from the (length - 2)th on end at the far end
        size=length,
        most_steps=length + _SPARE,
    )


def recall(delay: int = 10, *, choices: int = 2) -> Law:
    """A sign is shown at the first step alone; `delay` blank steps later a question, and 1 for the sign's action.

    The best policy without a memory earns 1 / choices on average. Actions before the question do nothing, so who is
    shown the last action may remember by it.
    """
    _check(delay >= 0 and choices >= 2, f"delay={delay} and choices={choices}: 0 or more, 2 or more are needed")

    def look(xp: Any, state: ProbeState) -> Array:
        column = xp.arange(choices + 1, device=state.time.device)[None, :]
        sign = (column == state.place[:, None]) & (state.time == 0)[:, None]
        return sign | ((column == choices) & (state.time == delay + 1)[:, None])

    return Law(
        lambda xp, key: random.integers(key, choices),
        lambda xp, state, action: state.place + 0,
        look,
        lambda xp, state, action, place: (action == place) & (state.time == delay + 1),
        lambda xp, s: s.time >= delay + 2,
        optimum=1.0,
        size=choices + 1,
        actions=choices,
    )


def _cell(state: ProbeState, size: int) -> Array:
    """The number of the cell, row by row."""
    return state.time * size + state.place


def _left(xp: Any, key: Array) -> Array:
    return xp.zeros_like(key)


def _check(good: bool, told: str) -> None:
    if not good:
        raise FeedError(told)
