"""Streams of one Atari game, emulated by threads of the emulator's own vector environment."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ale_py.vector_env import AtariVectorEnv
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from feeds.games import refuse_state, split_seed

_SCREEN = (210, 160)
_FIRE = 1  # the emulator's number of that action


@dataclass(frozen=True)
class Preparation:
    """How a game is shown and played; every choice is made."""

    rom: str
    sticky: float
    life_loss: bool
    noop_max: int
    frame_skip: int
    maxpool: bool
    fire_reset: bool
    clip_rewards: bool
    grey: bool
    size: int
    stack: int
    full_actions: bool
    max_frames: int
    threads: int


class AtariEnvs(VectorEnv[Any, Any, Any]):
    """B streams of uint8 `[stack, size, size]`, newest frame last, zeros before the first; autoreset in the next step.

    Rewards are clipped and lives are counted here and not by the emulator: `info["raw_reward"]` `[B]` is what the tick
    earned, `info["game_over"]` `[B]` is true where the game itself ended. After a life the game goes on, and in the
    next row FIRE is pressed where the game has that button, whatever the agent chose. Where a life ends the episode,
    that row resets: without the button nothing is done in it, and what it earns is added to the next.
    """

    def __init__(self, made: Preparation, streams: int, *, split: str, screen: bool = False) -> None:
        self.made, self.split, self.num_envs = made, split, streams
        self._ale = emulate(made, streams)
        # A second emulator in lockstep sees the same game in colours.
        self._screen = emulate(made, streams, screen=True) if screen else None
        self.frame: np.ndarray | None = None  # uint8 [210, 160, 3] of the first stream, where there is a screen
        self.autoreset_mode = AutoresetMode.NEXT_STEP
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        channels = made.stack if made.grey else 3 * made.stack
        self.single_observation_space = spaces.Box(0, 255, (channels, made.size, made.size), np.uint8)
        self.single_action_space = self._ale.single_action_space
        self.observation_space = batch_space(self.single_observation_space, streams)
        self.action_space = batch_space(self.single_action_space, streams)
        actions = [int(action.value) for action in self._ale.ale.get_action_set()]
        self._fire = actions.index(_FIRE) if made.fire_reset and _FIRE in actions else None
        self._lives = np.zeros(streams, np.int32)
        self._ended = np.zeros(streams, np.bool_)  # the row before ended the episode
        self._life_lost = np.zeros(streams, np.bool_)  # and the game goes on
        self._age = np.zeros(streams, np.int64)  # rows since the episode began
        self._owed = np.zeros(streams, np.float32)

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins a game in every stream; with one seed, stream i is seeded `split_seed(seed, split) + i`."""
        seeds: np.ndarray | None = None
        if seed is not None:
            one = isinstance(seed, int | np.integer)
            chosen = (
                [split_seed(int(seed), self.split) + i for i in range(self.num_envs)]  # type: ignore[arg-type]
                if one
                else [split_seed(int(each), self.split) for each in seed]  # type: ignore[union-attr]
            )
            seeds = np.array(chosen, np.int32)
        obs, info = self._ale.reset(seed=seeds)
        if self._screen is not None:
            self.frame = self._screen.reset(seed=seeds)[0][0, -1]
        self._lives = info["lives"].copy()
        for array in (self._ended, self._life_lost, self._age, self._owed):
            array[:] = 0
        return self._show(obs), {"lives": self._lives.copy()}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        chosen = self._woken(np.asarray(actions))
        obs, earned, terminated, truncated, info = self._ale.step(chosen)
        if self._screen is not None:
            self.frame = self._screen.step(chosen)[0][0, -1]
        resetting, over, lives = self._ended, terminated | truncated, info["lives"]
        raw = self._earned(earned, over)
        # Some games stay at no life for a few frames before they end: there the end speaks.
        self._life_lost = (lives < self._lives) & (lives > 0) & ~over & ~resetting
        if self.made.life_loss:
            terminated = terminated | self._life_lost
        self._age = np.where(resetting, 0, self._age + 1)
        self._lives, self._ended = lives.copy(), terminated | truncated
        reward = np.clip(raw, -1.0, 1.0) if self.made.clip_rewards else raw
        told = {"raw_reward": raw, "game_over": over, "lives": lives.copy()}
        return self._show(obs), reward, terminated, truncated, told

    def state_dict(self) -> None:
        """None: games in flight begin anew."""

    def load_state_dict(self, state: Any) -> None:
        refuse_state(state)

    def _woken(self, actions: np.ndarray) -> np.ndarray:
        """What is done `[B]`: after a life FIRE, and without it nothing where the row resets."""
        action = 0 if self.made.life_loss and self._fire is None else self._fire
        if action is None:
            return actions.astype(np.int64)
        return np.where(self._life_lost, action, actions).astype(np.int64)

    def _earned(self, earned: np.ndarray, over: np.ndarray) -> np.ndarray:
        """Rewards `[B]`, those of rows that reset put off to the next, unless that is of another game."""
        raw = earned.astype(np.float32) + self._owed
        self._owed = np.where(self._ended & ~over, raw, np.float32(0.0))
        raw[self._ended] = 0.0
        return raw

    def _show(self, obs: np.ndarray) -> np.ndarray:
        """Observations whose stacks hold nothing from before the episode: the emulator knows of no lives."""
        made = self.made
        if made.life_loss and int(self._age.min()) < made.stack - 1:
            for stream in np.flatnonzero(self._age < made.stack - 1):
                obs[stream, : made.stack - 1 - self._age[stream]] = 0
        if made.grey:
            return obs
        return np.moveaxis(obs, -1, 2).reshape(self.num_envs, -1, made.size, made.size)


def emulate(made: Preparation, streams: int, *, screen: bool = False) -> AtariVectorEnv:
    """The emulator's vector environment: of whole games, rewards as they are."""
    height, width = _SCREEN if screen else (made.size, made.size)
    return AtariVectorEnv(
        made.rom,
        streams,
        num_threads=made.threads or min(streams, len(os.sched_getaffinity(0))),
        max_num_frames_per_episode=made.max_frames,
        repeat_action_probability=made.sticky,
        full_action_space=made.full_actions,
        autoreset_mode=AutoresetMode.NEXT_STEP,
        img_height=height,
        img_width=width,
        grayscale=made.grey and not screen,
        stack_num=1 if screen else made.stack,
        frameskip=made.frame_skip,
        maxpool=made.maxpool,
        noop_max=made.noop_max + 1,  # the emulator draws fewer than these
        episodic_life=False,
        life_loss_info=False,
        reward_clipping=False,
        use_fire_reset=made.fire_reset,
    )
