"""Tiny worlds with known values, each of which fails for one kind of mistake in an agent. Discrete, pure, instant.

The first five are the probes of Jones (2020), "Debugging RL, without the agonizing pain"; `catch` and `chain` follow
bsuite (Osband et al. 2020).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from feeds import random
from feeds.backend import Backend, backend
from feeds.base import FeedSpec, Step
from feeds.errors import FeedError, nearest

Array = Any


class ProbeState(NamedTuple):
    key: Array  # [B] int64, of the episode
    time: Array  # [B] int64, steps taken
    place: Array  # [B] int64, whatever a probe keeps beside the time


@dataclass(frozen=True)
class Law:
    """A probe: pure functions of (array namespace, state[, action]), all `[B]` in and out but for `look` and `mask`."""

    begin: Callable[[Any, Array], Array]  # key -> place
    move: Callable[[Any, ProbeState, Array], Array]  # state, action -> place
    look: Callable[[Any, ProbeState], Array]  # state -> observation [B, size]
    reward: Callable[[Any, ProbeState, Array, Array], Array]  # state, action, place after it -> reward
    terminated: Callable[[Any, ProbeState], Array]  # state after a step -> bool
    optimum: float  # expected undiscounted return of the best policy
    size: int = 1
    actions: int = 2
    most_steps: int | None = None  # then the episode is truncated
    mask: Callable[[Any, ProbeState], Array] | None = None  # allowed actions [B, actions]


class Probe:
    """A law as a DataFeed. Where it restricts actions, `info["action_mask"]` [B, actions] says which are allowed."""

    def __init__(self, name: str, law: Law, where: Backend | None = None) -> None:
        self.name, self.law = name, law
        self.backend = where or backend("cpu")
        self.spec = FeedSpec(
            name=name,
            observation_space=spaces.Box(-1.0, 1.0, (law.size,), np.float32),
            action_space=spaces.Discrete(law.actions),
            clock="one step",
            splits=("train", "validation", "test"),
        )

    @property
    def optimum(self) -> float:
        """Expected undiscounted return of the best policy."""
        return self.law.optimum

    def to(self, device: str) -> "Probe":
        return Probe(self.name, self.law, backend(device))

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "digest": "", "source": "feeds.synthetic.probes", "schema": {}, "profile": {}}

    def reset(self, keys: Array, *, split: str = "train") -> tuple[ProbeState, Step]:
        """Splits differ in their episodes, not in their law."""
        if split not in self.spec.splits:
            raise FeedError(f"'{self.name}' has no split '{split}': {nearest(split, self.spec.splits)}")
        xp = self.backend.xp
        key = random.fold(self.backend.put(keys), self.spec.splits.index(split))
        state = ProbeState(key, xp.zeros_like(key), self.law.begin(xp, key))
        zero = xp.zeros_like(key, dtype=xp.float64)
        no = xp.zeros_like(key, dtype=xp.bool)
        return state, Step(self._look(state), zero, no, no | False, self._info(state))

    def step(self, state: ProbeState, action: Array) -> tuple[ProbeState, Step]:
        xp, law = self.backend.xp, self.law
        action = xp.astype(self.backend.put(action), xp.int64)
        if action.shape[0] and (int(action.min()) < 0 or int(action.max()) >= law.actions):
            raise FeedError(f"'{self.name}' has actions 0 to {law.actions - 1}, got {action.tolist()}")
        place = law.move(xp, state, action)
        reward = xp.astype(law.reward(xp, state, action, place), xp.float64)
        after = ProbeState(state.key + 0, state.time + 1, place)
        terminated = law.terminated(xp, after)
        truncated = xp.zeros_like(terminated)
        if law.most_steps is not None:
            truncated = (after.time >= law.most_steps) & ~terminated
        return after, Step(self._look(after), reward, terminated, truncated, self._info(after))

    def _look(self, state: ProbeState) -> Array:
        return self.backend.xp.astype(self.law.look(self.backend.xp, state), self.backend.xp.float32)

    def _info(self, state: ProbeState) -> dict[str, Array]:
        return {} if self.law.mask is None else {"action_mask": self.law.mask(self.backend.xp, state)}


def _nowhere(xp: Any, key: Array) -> Array:
    return xp.zeros_like(key)


def _stay(xp: Any, state: ProbeState, action: Array) -> Array:
    return state.place + 0


def _blank(xp: Any, state: ProbeState) -> Array:
    return xp.zeros_like(state.time, dtype=xp.float32)[:, None]


def _at_once(xp: Any, state: ProbeState) -> Array:
    return state.time >= 1


def _coin(xp: Any, key: Array) -> Array:
    """-1 or 1."""
    return 2 * random.integers(key, 2) - 1


def _seen(xp: Any, state: ProbeState) -> Array:
    return xp.astype(state.place, xp.float32)[:, None]


_ROWS, _COLUMNS = 10, 5  # of the board on which `catch` is played


def _catch_begin(xp: Any, key: Array) -> Array:
    """The ball's column and the paddle's, as one number; the paddle starts in the middle."""
    return random.integers(key, _COLUMNS) * _COLUMNS + _COLUMNS // 2


def _catch_move(xp: Any, state: ProbeState, action: Array) -> Array:
    ball, paddle = state.place // _COLUMNS, state.place % _COLUMNS
    return ball * _COLUMNS + xp.minimum(xp.maximum(paddle + action - 1, 0), _COLUMNS - 1)


def _catch_look(xp: Any, state: ProbeState) -> Array:
    """The board row by row: 1 where the ball is, and in the last row where the paddle is."""
    cells = xp.arange(_ROWS * _COLUMNS, device=state.time.device)[None, :]
    ball = xp.minimum(state.time, _ROWS - 1) * _COLUMNS + state.place // _COLUMNS
    paddle = (_ROWS - 1) * _COLUMNS + state.place % _COLUMNS
    return (cells == ball[:, None]) | (cells == paddle[:, None])


def _catch_reward(xp: Any, state: ProbeState, action: Array, place: Array) -> Array:
    caught = 2 * xp.astype(place // _COLUMNS == place % _COLUMNS, xp.int64) - 1
    return xp.where(state.time + 1 == _ROWS - 1, caught, 0)


def _catch_mask(xp: Any, state: ProbeState) -> Array:
    """Left, stay, right: not into the walls."""
    paddle = state.place % _COLUMNS
    return xp.stack((paddle > 0, paddle >= 0, paddle < _COLUMNS - 1), axis=1)


_LINKS = 6  # places of the chain


def _chain_move(xp: Any, state: ProbeState, action: Array) -> Array:
    return xp.minimum(xp.maximum(state.place + 2 * action - 1, 0), _LINKS - 1)


def _chain_look(xp: Any, state: ProbeState) -> Array:
    return xp.arange(_LINKS, device=state.time.device)[None, :] == state.place[:, None]


def _chain_reward(xp: Any, state: ProbeState, action: Array, place: Array) -> Array:
    """1 at the far end, a crumb for staying at the near one: greed for the crumb never sees the far end."""
    return xp.astype(place == _LINKS - 1, xp.float64) + 0.01 * xp.astype(place == 0, xp.float64)


PROBES: dict[str, Law] = {
    # the value of a constant: fails where the value loss or its optimiser is wrong
    "constant": Law(_nowhere, _stay, _blank, lambda xp, s, a, place: place * 0 + 1, _at_once, optimum=1.0),
    # the value follows the observation: fails where it does not reach the network
    "observation": Law(lambda xp, key: _coin(xp, key), _stay, _seen, lambda xp, s, a, place: place, _at_once, 0.0),
    # a reward one step later: the first value is gamma; fails where rewards are discounted wrongly
    "discount": Law(
        _nowhere,
        _stay,
        lambda xp, s: xp.astype(s.time >= 1, xp.float32)[:, None],
        lambda xp, s, a, place: s.time >= 1,
        lambda xp, s: s.time >= 2,
        optimum=1.0,
    ),
    # the reward follows the action: fails where the advantage or the policy loss is wrong
    "action": Law(_nowhere, _stay, _blank, lambda xp, s, a, place: 2 * a - 1, _at_once, optimum=1.0),
    # it follows both: fails where actions and observations of different rows are mixed up
    "both": Law(
        lambda xp, key: _coin(xp, key), _stay, _seen, lambda xp, s, a, place: (2 * a - 1) * place, _at_once, 1.0
    ),
    "catch": Law(
        _catch_begin,
        _catch_move,
        _catch_look,
        _catch_reward,
        lambda xp, s: s.time >= _ROWS - 1,
        optimum=1.0,
        size=_ROWS * _COLUMNS,
        actions=3,
        mask=_catch_mask,
    ),
    # ten steps, the far end reached in five and held for the rest; truncated, so values go on beyond the end
    "chain": Law(
        _nowhere,
        _chain_move,
        _chain_look,
        _chain_reward,
        lambda xp, s: s.time < 0,
        optimum=6.0,
        size=_LINKS,
        most_steps=10,
    ),
}


def probe(name: str) -> Probe:
    """The probe of that name; FeedError, with the nearest one, where there is none."""
    if name not in PROBES:
        raise FeedError(f"no probe is called '{name}': {nearest(name, PROBES)}")
    return Probe(name, PROBES[name])
