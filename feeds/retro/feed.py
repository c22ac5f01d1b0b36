"""Console games as a GameFeed: each stream an emulator in a process of its own."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, VectorEnv

from feeds.base import FeedSpec
from feeds.errors import FeedError, nearest
from feeds.games import SPLITS, Camera, check_split, check_streams, refuse_state, split_seed
from feeds.retro.config import RetroConfig, full_name, listing
from feeds.retro.game import Preparation, RetroGame


class RetroEnvs(VectorEnv[Any, Any, Any]):
    """B games side by side in worker processes that write what they see into shared memory.

    Rewards are clipped here, on the part "train" alone; `info["raw_reward"]` `[B]` is what the tick earned.
    """

    def __init__(self, made: Preparation, streams: int, *, split: str) -> None:
        self.made, self.split, self.num_envs = made, split, streams
        games = [partial(RetroGame, made)] * streams
        # Workers that are forked would inherit the threads of torch in whatever state they are. A script of one's own
        # must therefore stand under `if __name__ == "__main__"`, as Python's multiprocessing wants it.
        self.workers = AsyncVectorEnv(games, context="forkserver", autoreset_mode=AutoresetMode.NEXT_STEP)
        self.autoreset_mode = AutoresetMode.NEXT_STEP
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = self.workers.single_observation_space
        self.single_action_space = self.workers.single_action_space
        self.observation_space = self.workers.observation_space
        self.action_space = self.workers.action_space

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins a game in every stream; with one seed, stream i is seeded `split_seed(seed, split) + i`."""
        seeds: int | list[int | None] | None = None
        if isinstance(seed, int | np.integer):
            seeds = split_seed(int(seed), self.split)
        elif seed is not None:
            seeds = [split_seed(int(each), self.split) for each in seed]
        return self.workers.reset(seed=seeds)[0], {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        obs, raw, terminated, truncated, _ = self.workers.step(np.asarray(actions))
        clips = self.made.clip_rewards and self.split == "train"
        reward = np.clip(raw, -1.0, 1.0) if clips else raw
        return obs, reward, terminated, truncated, {"raw_reward": raw, "game_over": terminated | truncated}

    def picture(self) -> np.ndarray:
        """uint8 `[H, W, 3]`: the screen of the first stream."""
        return np.asarray(self.workers.call("render")[0])

    def state_dict(self) -> None:
        """None: games in flight begin anew."""

    def load_state_dict(self, state: Any) -> None:
        refuse_state(state)

    def close_extras(self, **kwargs: Any) -> None:
        self.workers.close(**kwargs)


_FRAME_RATE = 60  # of the consoles, pictures in a second


class RetroFeed:
    """One game; FeedError says how to get the emulator or the rom where one is missing."""

    def __init__(self, config: RetroConfig) -> None:
        self.config = config
        self.rom = find_rom(config.env)
        self.made = Preparation(game=full_name(config.env), **config.model_dump(exclude={"env"}))
        probe = RetroGame(self._checked())
        self.spec = FeedSpec(
            name="retro",
            observation_space=probe.observation_space,
            action_space=probe.action_space,
            clock=f"{config.frame_skip} frames of {self.made.game}",
            units={"reward": "points"},
            splits=SPLITS,
            stack=config.stack if config.stack > 1 else 0,
        )
        probe.close()  # a process has room for one emulator

    def envs(self, streams: int, *, split: str) -> RetroEnvs:
        return RetroEnvs(self.made, check_streams(streams), split=check_split(split))

    def camera(self, split: str, seed: int) -> Camera:
        """One stream, reset with a seed, and the console's screen."""
        envs = self.envs(1, split=split)
        envs.reset(seed=seed)
        return Camera(envs, envs.picture, _FRAME_RATE / self.made.frame_skip)

    def describe(self) -> dict[str, Any]:
        """The rom by its digest; the profile is the protocol that scores are earned under."""
        space = self.spec.observation_space
        profile = asdict(self.made)
        profile["clip_rewards_in_training"] = profile.pop("clip_rewards")
        if not isinstance(self.made.actions, str):
            profile["actions"] = [list(pressed) for pressed in self.made.actions]
        return {
            "name": f"retro/{self.made.game}",
            "digest": hashlib.sha256(self.rom.read_bytes()).hexdigest(),
            "source": f"stable-retro {version('stable-retro')}: {self.rom.name}",
            "schema": {"observation": f"uint8 {list(space.shape or ())}", "action": str(self.spec.action_space)},
            "profile": {"protocol": profile},
        }

    def _checked(self) -> Preparation:
        """The preparation; FeedError where a state or scenario is named that the game does not have."""
        folder = self.rom.parent
        states = {path.stem for path in folder.glob("*.state")}
        if self.made.state is not None and self.made.state not in states:
            raise FeedError(f"{self.made.game} has no state '{self.made.state}': {nearest(self.made.state, states)}")
        scenarios = {path.stem for path in folder.glob("*.json")} - {"data", "metadata"}
        wanted = self.made.scenario
        if wanted is not None and wanted not in scenarios:
            raise FeedError(f"{self.made.game} has no scenario '{wanted}': {nearest(wanted, scenarios)}")
        return self.made


def find_rom(name: str) -> Path:
    """The file of a game; FeedError where the emulator, the game or its rom is missing."""
    try:
        from stable_retro import data  # here: an extra
    except ImportError as error:
        raise FeedError(f"{name} needs stable-retro: pip install 'angle-domains[retro]'") from error
    game = full_name(name)
    if game not in listing():
        raise FeedError(f"no console game is called '{name}': {nearest(game, listing())}")
    try:
        return Path(data.get_romfile_path(game))
    except FileNotFoundError as error:
        raise FeedError(
            f"the rom of {game} is not there, and may not come along: import your own from a folder of roms by "
            "`python -m stable_retro.import FOLDER`"
        ) from error
