"""Worlds so small that the best policy and its value are known, as gymnasium environments."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from feeds.base import Block, FeedSpec

UNIT = spaces.Box(-1.0, 1.0, (1,), np.float32)


def observe(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


class Constant(gym.Env[np.ndarray, int]):
    """One action long; every action earns 1. V = 1."""

    observation_space, action_space = UNIT, spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        return observe(0.0), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        return observe(0.0), 1.0, True, False, {}


class Told(gym.Env[np.ndarray, int]):
    """One action long; the reward is what is observed. V(o) = o."""

    observation_space, action_space = UNIT, spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.sign = float(self.np_random.choice([-1.0, 1.0]))
        return observe(self.sign), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        return observe(self.sign), self.sign, True, False, {}


class TwoSteps(gym.Env[np.ndarray, int]):
    """Two actions long; the second earns 1. V(0) = gamma, V(1) = 1."""

    observation_space, action_space = UNIT, spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.place = 0
        return observe(0.0), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.place += 1
        return observe(1.0), float(self.place == 2), self.place == 2, False, {}


class Endless(gym.Env[np.ndarray, int]):
    """Every action earns 1 for ever, but the record stops after 5. V = 1 / (1 - gamma)."""

    observation_space, action_space = UNIT, spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.ticks = 0
        return observe(0.0), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.ticks += 1
        return observe(0.0), 1.0, False, self.ticks == 5, {}


class Lever(gym.Env[np.ndarray, int]):
    """One action long; action 1 earns 1, action 0 loses 1. V = 1 for the best policy."""

    observation_space, action_space = UNIT, spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        return observe(0.0), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        return observe(0.0), 1.0 if action == 1 else -1.0, True, False, {}


class Match(gym.Env[np.ndarray, int]):
    """One action long; the action that matches the observation's sign earns 1, the other loses 1. V = 1."""

    observation_space, action_space = UNIT, spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.sign = float(self.np_random.choice([-1.0, 1.0]))
        return observe(self.sign), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        return observe(self.sign), 1.0 if (action == 1) == (self.sign > 0) else -1.0, True, False, {}


class Picture(gym.Env[np.ndarray, int]):
    """One action long; 1 earns 1 where the left half of the image is bright, 0 where the right half is. V = 1."""

    action_space = spaces.Discrete(2)

    def __init__(self, size: int = 12) -> None:
        self.observation_space = spaces.Box(0, 255, (2, size, size), np.uint8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.left = bool(self.np_random.integers(2))
        return self._look(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        return self._look(), 1.0 if (action == 1) == self.left else -1.0, True, False, {}

    def _look(self) -> np.ndarray:
        image = np.zeros(self.observation_space.shape, np.uint8)
        half = image.shape[-1] // 2
        image[..., :half] = 255 * self.left
        image[..., half:] = 255 * (not self.left)
        return image


class Recall(gym.Env[np.ndarray, int]):
    """A sign is shown once; three blank ticks later the action that matches it earns 1, the other loses 1.

    Who does not remember earns 0.
    """

    observation_space, action_space = spaces.Box(-1.0, 1.0, (2,), np.float32), spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.sign, self.ticks = float(self.np_random.choice([-1.0, 1.0])), 0
        return observe(self.sign, 0.0), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.ticks += 1
        over = self.ticks == 4
        reward = (1.0 if (action == 1) == (self.sign > 0) else -1.0) if over else 0.0
        return observe(0.0, float(self.ticks == 3)), reward, over, False, {}


class Masked(gym.Env[np.ndarray, int]):
    """Four actions of which the observed two are forbidden: choosing one raises. Action k earns k."""

    observation_space, action_space = spaces.Box(0.0, 1.0, (4,), np.float32), spaces.Discrete(4)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.allowed = np.zeros(4, dtype=bool)
        self.allowed[self.np_random.choice(4, 2, replace=False)] = True
        return self.allowed.astype(np.float32), {"action_mask": self.allowed}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        if not self.allowed[action]:
            raise AssertionError(f"action {action} is forbidden, allowed are {np.flatnonzero(self.allowed)}")
        return self.allowed.astype(np.float32), float(action), True, False, {"action_mask": self.allowed}


class Aim(gym.Env[np.ndarray, Any]):
    """Three actions long, any action space; the reward falls with the distance of the action to the observation."""

    observation_space = spaces.Box(-1.0, 1.0, (3,), np.float32)

    def __init__(self, action_space: spaces.Space[Any]) -> None:
        self.action_space = action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.ticks = 0
        return self._look(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        if not self.action_space.contains(np.asarray(action, dtype=self.action_space.dtype)):
            raise AssertionError(f"{action} is not in {self.action_space}")
        reward = -float(np.square(np.asarray(action, dtype=float) - self.goal[0]).mean())
        self.ticks += 1
        return self._look(), reward, False, self.ticks == 3, {}

    def _look(self) -> np.ndarray:
        self.goal = self.np_random.uniform(-1.0, 1.0, 3).astype(np.float32)
        return self.goal


def vector(make: Callable[[], gym.Env[Any, Any]], streams: int) -> SyncVectorEnv:
    return SyncVectorEnv([make] * streams, autoreset_mode=AutoresetMode.NEXT_STEP)


def spec_of(envs: SyncVectorEnv, *, simplex: bool = False) -> FeedSpec:
    return FeedSpec("world", envs.single_observation_space, envs.single_action_space, simplex=simplex)


def market_spec(assets: int = 4, *, simplex: bool = True, bars: int = 6) -> FeedSpec:
    """The layout of a market: two features and a price window for each asset, one shared feature, the account."""
    shapes = {
        "assets": (assets, 2),
        "tradable": (assets,),
        "shared": (1,),
        "window": (bars, assets),
        "weights": (assets,),
        "account": (2,),
    }
    blocks, start = [], 0
    for name, shape in shapes.items():
        blocks.append(Block(name, start, shape))
        start = blocks[-1].stop
    low = 0.0 if simplex else -1.0
    return FeedSpec(
        name="market",
        observation_space=spaces.Box(-np.inf, np.inf, (start,), np.float32),
        action_space=spaces.Box(low, 1.0, (assets,), np.float32),
        blocks=tuple(blocks),
        simplex=simplex,
    )
