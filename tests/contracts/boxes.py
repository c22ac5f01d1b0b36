"""The tiny worlds of choices as worlds of continuous actions, for agents that act in boxes alone."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

LEVER = spaces.Box(-3.0, 1.0, (1,), np.float32)


class Boxed(gym.Wrapper[Any, Any, Any, Any]):
    """Parts a lever's way evenly among the choices; raises where it is moved beyond."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.action_space = LEVER

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        if not LEVER.contains(np.asarray(action, dtype=np.float32)):
            raise AssertionError(f"{action} is not in {LEVER}")
        count = int(self.env.action_space.n)
        return self.env.step(int(np.clip((action[0] + 3.0) / 4.0 * count, 0, count - 1)))


def vector(make: Callable[[], gym.Env[Any, Any]], streams: int) -> SyncVectorEnv:
    """As `worlds.vector`; worlds that take continuous actions stay as they are."""

    def boxed() -> gym.Env[Any, Any]:
        env = make()
        return env if isinstance(env.action_space, spaces.Box) else Boxed(env)

    return SyncVectorEnv([boxed] * streams, autoreset_mode=AutoresetMode.NEXT_STEP)
