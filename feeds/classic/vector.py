"""Streams of small environments in one process, with little done beside stepping them."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from feeds.games import refuse_state, split_seed

_OURS = {"raw_reward", "game_over"}  # what vector environments of feeds tell by, see `feeds.base.GameFeed`


class Game(Protocol):
    """What of `gymnasium.Env` is asked of a stream."""

    @property
    def observation_space(self) -> spaces.Space[Any]: ...

    @property
    def action_space(self) -> spaces.Space[Any]: ...

    def reset(self, *, seed: int | None = None) -> tuple[Any, dict[str, Any]]: ...

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]: ...

    def render(self) -> Any: ...

    def close(self) -> Any: ...


class GameEnvs(VectorEnv[Any, Any, Any]):
    """As gymnasium's SyncVectorEnv with autoreset in the next step, for observations that are one array."""

    def __init__(self, make: Callable[[], Game], streams: int, *, split: str) -> None:
        self.games = [make() for _ in range(streams)]
        self.split, self.num_envs = split, streams
        self.autoreset_mode = AutoresetMode.NEXT_STEP
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = self.games[0].observation_space
        self.single_action_space = self.games[0].action_space
        self.observation_space = batch_space(self.single_observation_space, streams)
        self.action_space = batch_space(self.single_action_space, streams)
        self._shape = (streams, *(self.single_observation_space.shape or ()))
        self._kind = self.single_observation_space.dtype
        self._discrete = isinstance(self.single_action_space, spaces.Discrete)
        self._ended = [False] * streams

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins an episode in every stream; with one seed, stream i is seeded `split_seed(seed, split) + i`."""
        seeds: Sequence[int | None] = [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            base = split_seed(int(seed), self.split)
            seeds = [base + i for i in range(self.num_envs)]
        elif seed is not None:
            seeds = [split_seed(int(each), self.split) for each in seed]
        obs = np.empty(self._shape, self._kind)
        infos: dict[str, Any] = {}
        for i, (game, own) in enumerate(zip(self.games, seeds, strict=True)):
            obs[i], info = game.reset(seed=own)
            infos = self._add_info(infos, _theirs(info), i) if info else infos
        self._ended = [False] * self.num_envs
        return obs, infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        # plain numbers are what games of one discrete action compute with fastest
        chosen = np.asarray(actions).tolist() if self._discrete else np.asarray(actions)
        obs = np.empty(self._shape, self._kind)
        rewards, terminated, truncated = [0.0] * self.num_envs, [False] * self.num_envs, [False] * self.num_envs
        infos: dict[str, Any] = {}
        for i, game in enumerate(self.games):
            if self._ended[i]:
                obs[i], info = game.reset()
            else:
                obs[i], rewards[i], terminated[i], truncated[i], info = game.step(chosen[i])
            self._ended[i] = bool(terminated[i] or truncated[i])
            if info:
                infos = self._add_info(infos, _theirs(info), i)
        return obs, np.array(rewards, np.float64), np.array(terminated, bool), np.array(truncated, bool), infos

    def state_dict(self) -> None:
        """None: episodes in flight begin anew."""

    def load_state_dict(self, state: Any) -> None:
        refuse_state(state)

    def close_extras(self, **kwargs: Any) -> None:
        for game in self.games:
            game.close()


def _theirs(info: dict[str, Any]) -> dict[str, Any]:
    """What a game tells, without names that would be taken for ours, whatever it means by them."""
    return info if _OURS.isdisjoint(info) else {name: value for name, value in info.items() if name not in _OURS}
