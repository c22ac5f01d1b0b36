"""From what an agent outputs to feasible target weights, and how often that had to be mended."""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces

from feeds.backend import Backend
from feeds.errors import FeedError
from feeds.market.config import Actions

Array = Any
Decoder = Callable[[Array], tuple[Array, Array]]  # action [B, ...] -> targets [B, N] float64, projected [B] bool

_TOLERANCE = 1e-5  # of a sum of weights in float32: below it an action counts as feasible


def action_space(actions: Actions, num_assets: int) -> spaces.Space[Any]:
    """The actions of one stream."""
    if actions.mode == "discrete":
        return spaces.MultiDiscrete([2 if actions.long_only else 3] * num_assets)
    if actions.mode == "portfolios":
        return spaces.Discrete(len(given_portfolios(actions, num_assets)))
    low = 0.0 if actions.long_only else -actions.gross_cap
    return spaces.Box(low, actions.gross_cap, (num_assets,), np.float32)


def is_simplex(actions: Actions) -> bool:
    """Whether the feasible weights are those that, with cash, are not negative and sum to 1."""
    return actions.mode == "weights" and actions.long_only and actions.gross_cap == actions.net_cap == 1.0


def make_decoder(actions: Actions, num_assets: int, backend: Backend) -> Decoder:
    """The decoder of a mode; it raises FeedError, which names the stream, for actions that mean nothing."""
    if actions.mode == "discrete":
        return lambda action: _discrete(actions, backend, _checked(action, (num_assets,)))
    if actions.mode == "portfolios":
        table = backend.put(given_portfolios(actions, num_assets))
        return lambda action: _given(table, backend, _checked(action, ()))
    if actions.long_only:
        cap = min(actions.gross_cap, actions.net_cap)
        return lambda action: _long_only(cap, backend, _checked(action, (num_assets,)))
    return lambda action: _long_short(actions, backend, _checked(action, (num_assets,)))


def given_portfolios(actions: Actions, num_assets: int) -> np.ndarray:
    """`[P, N]` float64 of mode "portfolios"; FeedError, which names the row, where one is not feasible."""
    if not actions.portfolios:
        raise FeedError("feed.actions.mode is 'portfolios', but feed.actions.portfolios lists none")
    for index, weights in enumerate(actions.portfolios):
        if len(weights) != num_assets:
            raise FeedError(f"feed.actions.portfolios[{index}] has {len(weights)} weights for {num_assets} assets")
        row = np.asarray(weights, np.float64)
        if not np.isfinite(row).all() or (actions.long_only and row.min() < 0.0):
            raise FeedError(f"feed.actions.portfolios[{index}] holds a weight that is negative or not a number")
        if np.abs(row).sum() > actions.gross_cap + _TOLERANCE or abs(row.sum()) > actions.net_cap + _TOLERANCE:
            raise FeedError(f"feed.actions.portfolios[{index}] exceeds feed.actions.gross_cap or net_cap")
    return np.asarray(actions.portfolios, np.float64)


def _long_only(cap: float, backend: Backend, action: Array) -> tuple[Array, Array]:
    """Negative weights are cut, then all are scaled under the cap."""
    xp = backend.xp
    weights = backend.to_float(action)
    total = backend.row_sum(weights)
    above = total > cap
    # the common case, a point of the simplex, needs no repair; not-a-number fails the first comparison
    if backend.count(weights >= 0.0) == weights.shape[0] * weights.shape[1] and not backend.count(above):
        return weights, above
    _refuse_not_finite(xp, weights, total)
    weights = xp.maximum(weights, 0.0, out=weights)
    kept = backend.row_sum(weights)
    projected = (kept - total > _TOLERANCE) | (kept > cap + _TOLERANCE)
    weights *= (cap / xp.maximum(kept, cap))[:, None]
    return weights, projected


def _long_short(actions: Actions, backend: Backend, action: Array) -> tuple[Array, Array]:
    """All weights are scaled until gross and net exposure are under their caps."""
    xp = backend.xp
    weights = backend.to_float(action)
    _refuse_not_finite(xp, weights, backend.row_sum(weights))
    gross, net = backend.row_sum(xp.abs(weights)), xp.abs(backend.row_sum(weights))
    excess = xp.maximum(xp.maximum(gross / actions.gross_cap, net / actions.net_cap), 1.0)
    return weights / excess[:, None], excess > 1.0 + _TOLERANCE


def _discrete(actions: Actions, backend: Backend, action: Array) -> tuple[Array, Array]:
    """An equal share of the gross cap for each asset that is not flat, scaled where that breaks the net cap."""
    xp = backend.xp
    _refuse_outside(action, 2 if actions.long_only else 3)
    sides = backend.to_float(action)
    if not actions.long_only:
        sides -= 1.0
    active = backend.row_sum(xp.abs(sides))
    weights = sides * (actions.gross_cap / xp.maximum(active, 1.0))[:, None]
    excess = xp.maximum(xp.abs(backend.row_sum(weights)) / actions.net_cap, 1.0)
    return weights / excess[:, None], excess > 1.0 + _TOLERANCE


def _given(table: Array, backend: Backend, action: Array) -> tuple[Array, Array]:
    _refuse_outside(action, table.shape[0])
    index = backend.xp.astype(action, backend.xp.int64)
    return backend.rows(table, index), backend.xp.zeros_like(index, dtype=backend.xp.bool)


def _checked(action: Array, shape: tuple[int, ...]) -> Array:
    """Broadcasting would make sense of actions of another shape without a word."""
    if action.shape[1:] != shape or not action.ndim:
        raise FeedError(f"actions have shape {tuple(action.shape)}, wanted (streams, {', '.join(map(str, shape))})")
    return action


def _refuse_not_finite(xp: Any, weights: Array, total: Array) -> None:
    finite = xp.isfinite(total)
    if bool(finite.all()):
        return
    stream = finite.tolist().index(False)
    raise FeedError(
        f"stream {stream}: the action holds a value that is not a finite number: {weights[stream].tolist()}"
    )


def _refuse_outside(action: Array, choices: int) -> None:
    if action.shape[0] and (int(action.min()) < 0 or int(action.max()) >= choices):
        wrong = (action < 0) | (action >= choices)
        stream = next(i for i, row in enumerate(wrong.reshape(len(wrong), -1).tolist()) if any(row))
        raise FeedError(f"stream {stream}: the action {action[stream].tolist()} lies outside 0 to {choices - 1}")
