"""Streams of an environment that gymnasium itself computes as arrays: CartPole."""

import json
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv

from feeds.errors import FeedError
from feeds.games import split_seed


def is_native(spec: Any) -> bool:
    """Whether gymnasium has the environment as arrays, with the dynamics of the single one."""
    return str(spec.vector_entry_point).startswith("gymnasium.envs.classic_control.cartpole:")


class NativeEnvs(VectorEnv[Any, Any, Any]):
    """All streams draw from one generator: a stream's episodes depend on how many there are.

    Unlike other games these are saved: a run goes on to the bit.
    """

    def __init__(self, spec: Any, streams: int, *, split: str, max_steps: int | None, kwargs: dict[str, Any]) -> None:
        limit: dict[str, Any] = {} if max_steps is None else {"max_episode_steps": max_steps}
        made: Any = gymnasium.make_vec(
            spec.id, num_envs=streams, vectorization_mode="vector_entry_point", **limit, **kwargs
        )
        self.split, self.num_envs = split, streams
        self._inner = made.unwrapped
        self.metadata = self._inner.metadata
        self.single_observation_space = made.single_observation_space
        self.single_action_space = made.single_action_space
        self.observation_space, self.action_space = made.observation_space, made.action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        obs, info = self._inner.reset(seed=None if seed is None else split_seed(int(seed), self.split))
        return obs, info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        obs, reward, terminated, truncated, info = self._inner.step(np.asarray(actions))
        return obs, reward, terminated, truncated, info

    def state_dict(self) -> dict[str, Any]:
        inner = self._inner
        return {
            "state": inner.state.copy(),
            "steps": inner.steps.copy(),
            "ended": inner.prev_done.copy(),
            "generator": json.dumps(inner.np_random.bit_generator.state),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where the saved streams stood; FeedError where there were others."""
        if len(state["steps"]) != self.num_envs:
            raise FeedError(f"the saved state has {len(state['steps'])} streams, this environment {self.num_envs}")
        inner = self._inner
        inner.reset(seed=0)
        inner.state, inner.steps = np.array(state["state"]), np.array(state["steps"])
        inner.prev_done = np.array(state["ended"])
        inner.np_random.bit_generator.state = json.loads(state["generator"])
