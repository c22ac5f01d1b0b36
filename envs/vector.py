"""Many streams of a feed as one gymnasium vector environment, stepped by whole-array operations."""

from collections.abc import Sequence
from typing import Any

import array_api_compat
import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.streams import episode_keys, overwrite, pack, stream_seed, unpack
from feeds.backend import to_numpy
from feeds.base import DataFeed, Step
from feeds.errors import FeedError

Array = Any


class FeedVectorEnv(VectorEnv[Any, Any, Any]):
    """Stream i, seeded s + i, lives through the same episodes as a `FeedEnv` seeded s + i.

    On device "cpu" it takes and gives NumPy arrays, on "torch" and "cuda" torch tensors. Only the streams whose episode
    is over are reset, and their rows written over those of the step.
    """

    def __init__(
        self,
        feed: DataFeed[Any],
        num_envs: int,
        *,
        split: str = "train",
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        device: str = "cpu",
    ) -> None:
        if num_envs < 1:
            raise FeedError(f"a vector environment needs at least one stream, {num_envs} were asked for")
        self.feed = feed.to(device)
        self.num_envs = num_envs
        self.split = split
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = feed.spec.observation_space
        self.single_action_space = feed.spec.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._seeds: np.ndarray | None = None  # [B] int64
        self._episodes = np.zeros(num_envs, np.int64)  # of each stream, begun so far
        self._state: Any = None
        self._ended: Array = None  # [B] bool: the episode is over and not yet reset
        self._observation: Array = None

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins an episode of every stream, or of those in `options["reset_mask"]` ([B] bool) alone.

        With a seed the streams start over at their first episode; without one each goes on to its next.
        """
        seed = int(seed) if isinstance(seed, np.integer) else seed
        super().reset(seed=seed if isinstance(seed, int) else None)
        mask = self._reset_mask(options)
        self._reseed(seed, mask)
        index = np.flatnonzero(mask)
        state, step = self._begin(index)
        if mask.all():
            self._state, self._ended, self._observation = state, step.terminated, step.observation
            return step.observation, self._infos(step.info)
        if self._state is None:
            raise gymnasium.error.ResetNeeded("reset all streams before resetting some of them by `reset_mask`")
        where = self._index(index)
        overwrite(self._state, where, state)
        self._ended[where] = step.terminated
        self._observation = array_api_compat.array_namespace(step.observation).asarray(self._observation, copy=True)
        self._observation[where] = step.observation
        return self._observation, self._rows_of(step.info, where)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        if self._state is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        ended = self._ended
        waiting = self.autoreset_mode is not AutoresetMode.SAME_STEP and bool(ended.any())
        if waiting and self.autoreset_mode is AutoresetMode.DISABLED:
            streams = np.flatnonzero(to_numpy(ended)).tolist()
            raise gymnasium.error.ResetNeeded(f'streams {streams} are over: reset them with options["reset_mask"]')
        self._state, step = self.feed.step(self._state, actions)
        infos: dict[str, Any] = {}
        if waiting:
            step = self._renew(step, to_numpy(ended))
        self._ended = step.terminated | step.truncated
        if self.autoreset_mode is AutoresetMode.SAME_STEP and bool(self._ended.any()):
            infos = self._finals(step)
            # the outcome stays that of the episodes that ended, what is seen is that of the next ones
            observation, reward, terminated, truncated = (array + 0 for array in step[:4])
            fresh = self._renew(Step(observation, reward, terminated, truncated, step.info), to_numpy(self._ended))
            step = step._replace(observation=fresh.observation, info=fresh.info)
            self._ended = self._ended & False
        self._observation = step.observation
        return step.observation, step.reward, step.terminated, step.truncated, infos | self._infos(step.info)

    @property
    def moment(self) -> np.ndarray | None:
        """`[B]` int64: the bar that each stream stands at, of a calendar that all share; None where they share none."""
        bar = getattr(self._state, "bar", None)
        return None if bar is None else to_numpy(bar)

    def state_dict(self) -> dict[str, Any]:
        """All that the streams' future depends on: arrays and numbers on the CPU."""
        begun = self._state is not None
        return {
            "state": pack(self._state) if begun else None,
            "seeds": None if self._seeds is None else self._seeds.copy(),
            "episodes": self._episodes.copy(),
            "ended": np.array(to_numpy(self._ended)) if begun else None,
            "observation": np.array(to_numpy(self._observation)) if begun else None,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Goes on where the saved environment stood; FeedError where it had other streams or another feed."""
        if len(saved["episodes"]) != self.num_envs:
            raise FeedError(f"the saved state has {len(saved['episodes'])} streams, this environment {self.num_envs}")
        self._seeds = None if saved["seeds"] is None else np.array(saved["seeds"], np.int64)
        self._episodes = np.array(saved["episodes"], np.int64)
        if saved["state"] is None:
            self._state = self._ended = self._observation = None
            return
        self._state = unpack(self.feed, saved["state"], self.split)
        first = self._state[0]
        xp, device = array_api_compat.array_namespace(first), array_api_compat.device(first)
        self._ended = xp.asarray(np.array(saved["ended"]), device=device)
        self._observation = xp.asarray(np.array(saved["observation"]), device=device)

    def _begin(self, index: np.ndarray) -> tuple[Any, Step]:
        """The next episode of the streams `index`."""
        assert self._seeds is not None
        keys = episode_keys(self._seeds[index], self._episodes[index])
        self._episodes[index] += 1
        return self.feed.reset(keys, split=self.split)

    def _renew(self, step: Step, ended: np.ndarray) -> Step:
        """The step with the rows of the ended streams replaced by the start of their next episode, reward 0.

        All arrays of `step` and of the state are fresh from the feed, so they are written in place.
        """
        index = np.flatnonzero(ended)
        state, begun = self._begin(index)
        if len(index) == self.num_envs:
            self._state = state
            return begun
        where = self._index(index)
        overwrite(self._state, where, state)
        overwrite(step[:4], where, begun[:4])
        for name, array in begun.info.items():
            step.info[name][where] = array
        return step

    def _finals(self, step: Step) -> dict[str, Any]:
        """`final_obs` and `final_info` of the streams that ended, in gymnasium's form."""
        ended = to_numpy(self._ended)
        index = np.flatnonzero(ended)
        rows = np.full(self.num_envs, None, dtype=object)
        for stream in index:
            rows[stream] = array_api_compat.array_namespace(step.observation).asarray(
                step.observation[int(stream)], copy=True
            )
        where = self._index(index)
        info = self._rows_of({name: array[where] for name, array in step.info.items()}, where)
        return {"final_obs": rows, "_final_obs": ended.copy(), "final_info": info, "_final_info": ended.copy()}

    def _infos(self, info: dict[str, Array]) -> dict[str, Any]:
        """The feed's arrays, and for each gymnasium's mask of the streams that have it: all."""
        masks = np.ones((len(info), self.num_envs), np.bool_)
        return info | {f"_{name}": mask for name, mask in zip(info, masks, strict=True)}

    def _rows_of(self, info: dict[str, Array], where: Array) -> dict[str, Any]:
        """Entries that only the streams `where` have: zeros elsewhere."""
        infos: dict[str, Any] = {}
        for name, rows in info.items():
            xp = array_api_compat.array_namespace(rows)
            infos[name] = xp.zeros(
                (self.num_envs, *rows.shape[1:]), dtype=rows.dtype, device=array_api_compat.device(rows)
            )
            infos[name][where] = rows
            infos[f"_{name}"] = np.zeros(self.num_envs, np.bool_)
            infos[f"_{name}"][to_numpy(where)] = True
        return infos

    def _index(self, index: np.ndarray) -> Array:
        """Row numbers in the library and on the device of the state."""
        if self._state is None or isinstance(self._state[0], np.ndarray):
            return index
        like = self._state[0]
        return array_api_compat.array_namespace(like).asarray(index, device=array_api_compat.device(like))

    def _reset_mask(self, options: dict[str, Any] | None) -> np.ndarray:
        """`[B]` bool: the streams to reset."""
        if options is None or "reset_mask" not in options:
            return np.ones(self.num_envs, np.bool_)
        mask = np.asarray(to_numpy(options["reset_mask"]))
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(
                f"options['reset_mask'] must be a boolean array of shape ({self.num_envs},) with at least one True, "
                f"got shape {mask.shape}, dtype {mask.dtype}"
            )
        return mask

    def _reseed(self, seed: int | Sequence[int | None] | None, mask: np.ndarray) -> None:
        if seed is None and self._seeds is not None:
            return
        if self._seeds is None:  # streams that were never given a seed draw one, once
            drawn = int(self.np_random.integers(2**31))
            self._seeds = np.array([stream_seed(drawn + i) for i in range(self.num_envs)], np.int64)
        if seed is None:
            return
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int) else list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds were given for {self.num_envs} streams")
        for stream, value in enumerate(seeds):
            if mask[stream] and value is not None:
                self._seeds[stream], self._episodes[stream] = stream_seed(value), 0
