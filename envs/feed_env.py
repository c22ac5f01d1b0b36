"""One stream of a feed as a gymnasium environment."""

from typing import Any

import gymnasium
import numpy as np

from envs.streams import episode_keys, pack, stream_seed, unpack
from feeds.base import DataFeed, Step


class FeedEnv(gymnasium.Env[Any, Any]):
    """Steps the same kernel as `FeedVectorEnv`, with one stream; computes with NumPy.

    The episodes of a seed are numbered: `reset(seed=s)` begins the first, `reset()` the next one.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 (gymnasium's own annotation)

    def __init__(self, feed: DataFeed[Any], *, split: str = "train", render_mode: None = None) -> None:
        self.feed = feed.to("cpu")
        self.split = split
        self.render_mode = render_mode
        self.observation_space = feed.spec.observation_space
        self.action_space = feed.spec.action_space
        self._seed: int | None = None
        self._episode = 0
        self._state: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self._seed, self._episode = stream_seed(seed), 0
        elif self._seed is None:
            self._seed = int(self.np_random.integers(2**31))
        keys = episode_keys(np.array([self._seed]), np.array([self._episode]))
        self._state, step = self._begin(keys, options or {})
        self._episode += 1
        return step.observation[0], _first(step)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self._state is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        self._state, step = self.feed.step(self._state, np.asarray(action)[None])
        return (
            step.observation[0],
            float(step.reward[0]),
            bool(step.terminated[0]),
            bool(step.truncated[0]),
            _first(step),
        )

    def _begin(self, keys: np.ndarray, options: dict[str, Any]) -> tuple[Any, Step]:
        """The episode of the key `[1]`; these environments have no options."""
        return self.feed.reset(keys, split=self.split)

    def state_dict(self) -> dict[str, Any]:
        """All that the episodes to come depend on: arrays and numbers."""
        state = None if self._state is None else pack(self._state)
        return {"state": state, "seed": self._seed, "episode": self._episode}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self._state = None if saved["state"] is None else unpack(self.feed, saved["state"], self.split)
        self._seed, self._episode = saved["seed"], saved["episode"]


def _first(step: Step) -> dict[str, Any]:
    """Plain numbers and rows: gymnasium's vector forms make object arrays of NumPy's booleans."""
    return {name: array.item() if array.ndim == 1 else array[0] for name, array in step.info.items()}
