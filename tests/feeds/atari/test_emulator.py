"""What an agent sees of an Atari game, against the emulator itself, stepped frame by frame."""

from typing import Any

import ale_py
import numpy as np
import pytest
from ale_py import ALEInterface, roms

from feeds.atari.config import AtariConfig
from feeds.atari.envs import AtariEnvs
from feeds.atari.feed import AtariFeed
from feeds.games import split_seed
from feeds.retro.game import shrinking

ROWS, COLUMNS = shrinking(210, 84), shrinking(160, 84).T
INVADERS: dict[str, Any] = {"env": "SpaceInvaders", "sticky": 0.0, "noop_max": 0, "fire_reset": False}


def make(streams: int = 1, **settings: Any) -> AtariEnvs:
    return AtariFeed(AtariConfig(**settings)).envs(streams, split="train")


def emulator(rom: str) -> ALEInterface:
    """The bare game, at its first frame."""
    ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ALEInterface()
    ale.setInt("random_seed", split_seed(3, "train"))
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(roms.get_rom_path(rom))
    ale.reset_game()
    return ale


def small(grey: np.ndarray) -> np.ndarray:
    """A grey screen as the agent sees it: the mean of areas."""
    return np.rint(ROWS @ grey.astype(np.float32) @ COLUMNS)


def differs(seen: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference of two pictures; the emulator's own arithmetic rounds some pixels by 1."""
    return float(np.abs(seen.astype(np.float32) - expected).max())


def test_by_default_an_observation_is_four_grey_frames_of_84_by_84() -> None:
    feed = AtariFeed(AtariConfig(env="Pong"))
    envs = feed.envs(2, split="train")
    obs, _ = envs.reset(seed=3)
    assert (obs.shape, obs.dtype) == ((2, 4, 84, 84), np.uint8)
    assert feed.spec.observation_space.shape == (4, 84, 84)
    assert (feed.spec.observation_space.dtype, feed.spec.stack) == (np.uint8, 4)
    ale = emulator("pong")
    seen = make(env="Pong", noop_max=0, fire_reset=False).reset(seed=3)[0][0]
    assert not seen[:3].any()
    assert differs(seen[3], small(ale.getScreenGrayscale())) <= 1


@pytest.mark.parametrize("maxpool", [True, False])
@pytest.mark.parametrize("skip", [1, 2, 4])
def test_an_action_lasts_its_frames_and_the_brighter_pixel_of_the_last_two_is_seen(skip: int, maxpool: bool) -> None:
    """Shots of the invaders flicker, so that what the last frame alone shows is something else."""
    envs, ale = make(**INVADERS, frame_skip=skip, maxpool=maxpool), emulator("space_invaders")
    seen = envs.reset(seed=3)[0][0, -1]
    assert differs(seen, small(ale.getScreenGrayscale())) <= 1
    actions, chance = ale.getMinimalActionSet(), np.random.default_rng(0)
    earned = flickers = 0.0
    for _ in range(720 // skip):
        action = int(chance.integers(len(actions)))
        obs, _, _, _, info = envs.step(np.array([action]))
        shown, reward = [], 0.0
        for _ in range(skip):
            reward += ale.act(actions[action])
            shown.append(ale.getScreenGrayscale())
        expected = np.maximum(shown[-1], shown[-2]) if maxpool and skip > 1 else shown[-1]
        assert differs(obs[0, -1], small(expected)) <= 1
        assert info["raw_reward"][0] == reward
        earned += reward
        flickers += skip > 1 and differs(small(np.maximum(shown[-1], shown[-2])), small(shown[-1])) > 30
    assert earned > 0
    assert flickers > 20 or skip == 1


@pytest.mark.parametrize(("most", "games"), [(0, 3), (2, 9)])
def test_games_begin_after_frames_without_action_from_none_to_as_many_as_allowed(most: int, games: int) -> None:
    envs, ale, frames = make(env="Freeway", noop_max=most), emulator("freeway"), []
    for _ in range(most + 3):  # in Freeway each is another
        frames.append(small(ale.getScreenGrayscale()))
        ale.act(0)
    begun = set()
    for seed in range(games):
        seen = envs.reset(seed=seed)[0][0, -1]
        begun |= {place for place, frame in enumerate(frames) if differs(seen, frame) <= 1} or {None}
    assert begun == set(range(most + 1))


def test_with_all_actions_there_are_eighteen_in_the_emulators_order() -> None:
    settings = {"env": "Freeway", "sticky": 0.0, "noop_max": 0, "maxpool": False, "fire_reset": False}
    assert make(**settings).single_action_space.n == 3  # none, up and down
    envs, ale = make(**settings, full_actions=True), emulator("freeway")
    assert envs.single_action_space.n == len(ale.getLegalActionSet()) == 18
    envs.reset(seed=3)
    for action in np.random.default_rng(0).integers(18, size=60):
        obs = envs.step(np.array([action]))[0]
        for _ in range(4):
            ale.act(ale.getLegalActionSet()[action])
        assert differs(obs[0, -1], small(ale.getScreenGrayscale())) <= 1
