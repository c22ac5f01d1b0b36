"""A game so small that what every way of playing earns is known."""

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from feeds.base import FeedSpec

SEEDS = {"train": 0, "validation": 10_000, "test": 20_000}


class Ladder(gym.Env[np.ndarray, int]):
    """A drawn number of steps, 1 to 9: action 1 earns 1, action 0 nothing; the number is seen."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space, action_space = spaces.Box(0.0, 9.0, (1,), np.float32), spaces.Discrete(2)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.left = self.height = int(self.np_random.integers(1, 10))
        return self._see(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.left -= 1
        return self._see(), float(action), self.left == 0, False, {}

    def render(self) -> np.ndarray:
        picture = np.zeros((40, 30, 3), np.uint8)
        picture[: 4 * self.left] = 255
        return picture

    def _see(self) -> np.ndarray:
        return np.array([self.left], np.float32)


class SeededEnvs(SyncVectorEnv):
    """Games whose state cannot be saved, with the seeds of one part."""

    def __init__(self, streams: int, offset: int, game: type[Ladder] = Ladder) -> None:
        super().__init__([game] * streams, autoreset_mode=AutoresetMode.NEXT_STEP)
        self.offset = offset

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        return super().reset(seed=None if seed is None else seed + self.offset, options=options)

    def state_dict(self) -> None:
        return None

    def load_state_dict(self, state: None) -> None: ...


class Camera:
    frames_per_second = 10.0

    def __init__(self, envs: SeededEnvs) -> None:
        self.envs = envs

    def frame(self) -> np.ndarray:
        return self.envs.envs[0].render()


class LadderFeed:
    """The feed of the ladder, as feeds of games are."""

    spec = FeedSpec("ladder", Ladder.observation_space, Ladder.action_space, clock="one rung")

    def envs(self, streams: int, *, split: str) -> SeededEnvs:
        return SeededEnvs(streams, SEEDS[split])

    def camera(self, *, split: str, seed: int) -> Camera:
        envs = self.envs(1, split=split)
        envs.reset(seed=seed)
        return Camera(envs)

    def describe(self) -> dict[str, Any]:
        return {
            "name": "Ladder",
            "digest": "0" * 64,
            "source": "made up",
            "schema": {},
            "profile": {"reference": {"random": 2.5, "human": 5.0}, "protocol": {"steps": "1 to 9"}},
        }
