"""Observations and actions as agents take them: one array each."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatten, flatten_space
from gymnasium.wrappers import TransformAction, TransformObservation

from feeds.errors import FeedError

Env = gymnasium.Env[Any, Any]


def fit_spaces(env: Env, name: str) -> Env:
    """The environment with observations and actions in one array; FeedError where that cannot be."""
    return fit_actions(fit_observations(env, name), name)


def fit_observations(env: Env, name: str) -> Env:
    """Images stay uint8, channels first; all else becomes one axis of float32, categories one-hot."""
    space = env.observation_space
    if isinstance(space, spaces.Box):
        if space.dtype == np.uint8 and len(space.shape) == 3:
            return _channels_first(env, space)
        if space.dtype == np.float32 and len(space.shape) == 1:
            return env
    flat = flatten_space(space)
    if not isinstance(flat, spaces.Box):
        raise FeedError(f"{name}: observations of {space} have no fixed length, so they cannot become one array")
    low, high = flat.low.astype(np.float32), flat.high.astype(np.float32)

    def flattened(seen: Any) -> np.ndarray:
        return np.asarray(flatten(space, seen), np.float32)

    return TransformObservation(env, flattened, spaces.Box(low, high, dtype=np.float32))


def fit_actions(env: Env, name: str) -> Env:
    """Discrete and MultiDiscrete of one axis stay; numbers of any shape become one axis."""
    space = env.action_space
    if isinstance(space, spaces.Discrete):
        return env
    if isinstance(space, spaces.MultiDiscrete):
        if len(space.shape) == 1:
            return env
        flat: spaces.Space[Any] = spaces.MultiDiscrete(space.nvec.ravel(), start=space.start.ravel())
        return TransformAction(env, _reshaped(space), flat)
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        if len(space.shape) == 1:
            return env
        flat = spaces.Box(space.low.ravel(), space.high.ravel(), dtype=space.dtype.type)
        return TransformAction(env, _reshaped(space), flat)
    raise FeedError(f"{name}: actions of {space} fit no agent: they take Discrete, MultiDiscrete and Box of floats")


def _channels_first(env: Env, space: spaces.Box) -> Env:
    """`[H, W, C]` of up to 4 channels as `[C, H, W]`."""
    height, _, channels = space.shape
    if channels > 4 or height <= 4:
        return env  # they stand first already
    turned = spaces.Box(space.low.transpose(2, 0, 1), space.high.transpose(2, 0, 1), dtype=np.uint8)
    return TransformObservation(env, lambda seen: np.asarray(seen).transpose(2, 0, 1), turned)


def _reshaped(space: spaces.Space[Any]) -> Callable[[Any], np.ndarray]:
    shape, kind = space.shape, space.dtype

    def reshaped(action: Any) -> np.ndarray:
        return np.asarray(action, kind).reshape(shape or ())

    return reshaped
