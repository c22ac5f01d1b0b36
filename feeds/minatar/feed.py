"""MinAtar as a GameFeed: images of one channel for each kind of thing, 0 or 255, `[C, 10, 10]`."""

import hashlib
import json
import logging
from importlib.metadata import version
from typing import Any

import numpy as np
from gymnasium import spaces

from feeds.base import FeedSpec
from feeds.classic.vector import GameEnvs
from feeds.errors import FeedError, nearest
from feeds.games import SPLITS, Camera, check_split, check_streams
from feeds.minatar.config import MinAtarConfig, listing, split_name

_PIXELS = 16  # of a cell in pictures


class MinAtarGame:
    """One game with the interface of a gymnasium environment."""

    def __init__(self, config: MinAtarConfig) -> None:
        found = split_name(config.env)
        if found is None:
            raise FeedError(f"no MinAtar game is called '{config.env}': {nearest(config.env, listing())}")
        module, all_actions = found
        self._config, self._module = config, module
        self._game = _environment(module, config)
        self._actions = list(range(6)) if all_actions else list(self._game.minimal_action_set())
        height, width, channels = self._game.state_shape()
        self.observation_space: spaces.Space[Any] = spaces.Box(0, 255, (channels, height, width), np.uint8)
        self.action_space: spaces.Space[Any] = spaces.Discrete(len(self._actions))
        self._steps = 0

    def reset(self, *, seed: int | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        if seed is not None:
            self._game.seed(seed)
            self._game.last_action = 0  # the package would carry it over
        self._game.reset()
        self._steps = 0
        return self._see(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        reward, over = self._game.act(self._actions[action])
        self._steps += 1
        return self._see(), float(reward), bool(over), self._steps >= self._config.max_steps, {}

    def render(self) -> np.ndarray:
        """uint8 `[160, 160, 3]`: a colour for each channel, the last on top."""
        state = np.asarray(self._game.state())
        top = (state * np.arange(1, state.shape[-1] + 1)).max(-1)
        picture = _palette(state.shape[-1])[top.astype(np.int64)]
        return picture.repeat(_PIXELS, 0).repeat(_PIXELS, 1)

    def close(self) -> None:
        pass

    def _see(self) -> np.ndarray:
        return np.asarray(self._game.state()).transpose(2, 0, 1) * np.uint8(255)


class MinAtarFeed:
    """One game; its parts differ in their seeds alone."""

    def __init__(self, config: MinAtarConfig) -> None:
        self.config = config
        probe = MinAtarGame(config)
        self.spec = FeedSpec(
            name="minatar",
            observation_space=probe.observation_space,
            action_space=probe.action_space,
            clock=f"one step of {config.env}",
            units={"reward": "points"},
            splits=SPLITS,
        )

    def envs(self, streams: int, *, split: str) -> GameEnvs:
        return GameEnvs(lambda: MinAtarGame(self.config), check_streams(streams), split=check_split(split))

    def camera(self, split: str, seed: int) -> Camera:
        """One stream, reset with a seed, and its picture, 160 by 160."""
        envs = self.envs(1, split=split)
        envs.reset(seed=seed)
        return Camera(envs, envs.games[0].render)

    def describe(self) -> dict[str, Any]:
        """The game by name and version of the package; the profile is the protocol of scores."""
        profile = self.config.model_dump() | {"package": f"minatar {version('minatar')}"}
        text = json.dumps([self.config.env, profile["package"]])
        return {
            "name": f"minatar/{self.config.env.removeprefix('MinAtar/')}",
            "digest": hashlib.sha256(text.encode()).hexdigest(),
            "source": profile["package"],
            "schema": {"observation": str(self.spec.observation_space), "action": str(self.spec.action_space)},
            "profile": profile,
        }


def _environment(module: str, config: MinAtarConfig) -> Any:
    quiet = logging.getLogger().manager.disable
    logging.disable(logging.WARNING)  # the package warns that it cannot draw; we draw
    try:
        from minatar import Environment  # here: an extra
    except ImportError as error:
        raise FeedError(f"{config.env} needs MinAtar: pip install 'angle-domains[minatar]'") from error
    finally:
        logging.disable(quiet)
    return Environment(module, sticky_action_prob=config.sticky, difficulty_ramping=config.ramping)


def _palette(channels: int) -> np.ndarray:
    """uint8 `[1 + channels, 3]`: black, then hues around the circle."""
    turn = np.arange(channels)[:, None] / channels * 2 * np.pi + np.array([0.0, 2.1, 4.2])
    return np.concatenate([np.zeros((1, 3)), 140 + 115 * np.cos(turn)]).astype(np.uint8)
