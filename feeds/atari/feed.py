"""Atari as a GameFeed."""

import hashlib
from dataclasses import asdict, replace
from typing import Any

import ale_py
import numpy as np
from ale_py import roms

from feeds.atari.config import AtariConfig, game_name, parse_name
from feeds.atari.envs import AtariEnvs, Preparation
from feeds.atari.scores import reference
from feeds.base import FeedSpec
from feeds.games import SPLITS, Camera, check_split, check_streams

_IN_TRAINING = ("life_loss", "clip_rewards")
_FRAME_RATE = 60  # of the console, pictures in a second


class AtariFeed:
    """One game. Rewards are clipped and lives end episodes on the part "train" alone, as far as the settings say so."""

    def __init__(self, config: AtariConfig) -> None:
        self.config = config
        self.made = prepare(config)
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        probe = AtariEnvs(self.made, 1, split="train")
        self.spec = FeedSpec(
            name="atari",
            observation_space=probe.single_observation_space,
            action_space=probe.single_action_space,
            clock=f"{config.frame_skip} frames of {game_name(self.made.rom)}",
            units={"reward": "points"},
            splits=SPLITS,
            stack=config.stack if config.grey and config.stack > 1 else 0,
        )
        probe.close()

    @property
    def game(self) -> str:
        """The game's rom, as in "ms_pacman"."""
        return self.made.rom

    def envs(self, streams: int, *, split: str) -> AtariEnvs:
        return AtariEnvs(self._made_for(split), check_streams(streams), split=split)

    def camera(self, split: str, seed: int) -> Camera:
        """One stream, reset with a seed, and the screen in colours, 210 by 160."""
        envs = AtariEnvs(self._made_for(split), 1, split=split, screen=True)
        envs.reset(seed=seed)

        def frame() -> np.ndarray:
            assert envs.frame is not None
            return envs.frame

        return Camera(envs, frame, _FRAME_RATE / self.made.frame_skip)

    def describe(self) -> dict[str, Any]:
        """The rom by its digest; the profile is the protocol that scores are earned under."""
        rom = roms.get_rom_path(self.made.rom)
        assert rom is not None
        return {
            "name": f"atari/{game_name(self.made.rom)}",
            "digest": hashlib.sha256(rom.read_bytes()).hexdigest(),
            "source": f"ale-py {ale_py.__version__}: {rom.name}",
            "schema": {
                "observation": f"uint8 {list(self.spec.observation_space.shape or ())}",
                "action": str(self.spec.action_space),
            },
            "profile": {
                "protocol": _protocol(self.made),
                "reference": reference(self.made.rom),
            },
        }

    def _made_for(self, split: str) -> Preparation:
        if check_split(split) == "train":
            return self.made
        return replace(self.made, life_loss=False, clip_rewards=False)


def _protocol(made: Preparation) -> dict[str, Any]:
    """What scores depend on; what is done in training alone says so."""
    plain = {key: value for key, value in asdict(made).items() if key != "threads"}
    return {f"{key}_in_training" if key in _IN_TRAINING else key: value for key, value in plain.items()}


def prepare(config: AtariConfig) -> Preparation:
    """The settings with what the name says where they are silent."""
    protocol = parse_name(config.env)
    plain = config.model_dump(exclude={"env"})
    plain["sticky"] = protocol.sticky if config.sticky is None else config.sticky
    plain["life_loss"] = protocol.life_loss if config.life_loss is None else config.life_loss
    return Preparation(rom=protocol.rom, **plain)
