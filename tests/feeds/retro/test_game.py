"""How console games are prepared, on a console that is scripted, and on the one whose rom comes along."""

import sys
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from feeds.errors import FeedError
from feeds.retro import game as module
from feeds.retro.config import RetroConfig, full_name, knows
from feeds.retro.feed import RetroFeed
from feeds.retro.game import Preparation, RetroGame, button_masks, shrinking


class Console:
    """Pixels as bright as the number of frames; a point for a frame with B held."""

    buttons = ("B", "MODE", "UP", "DOWN", "LEFT", "RIGHT", None)
    button_combos = ((0, 4, 8), (0, 16, 32), (0, 1))
    observation_space = spaces.Box(0, 255, (20, 40, 3), np.uint8)

    def __init__(self, ends: int = 1000, shades: tuple[int, ...] = ()) -> None:
        self.em = self.data = self
        self.shades = shades  # of its frames, in place of their number
        self.ends, self.frames, self.held = ends, 0, np.zeros(7, np.uint8)
        self.tape: list[tuple[int, ...]] = []

    def reset(self) -> tuple[np.ndarray, dict[str, Any]]:
        self.frames, self.tape = 1, []
        return self.get_screen(), {}

    def set_button_mask(self, mask: np.ndarray, player: int) -> None:
        self.held = mask

    def step(self) -> None:
        self.frames += 1
        self.tape.append(tuple(self.held))

    def update_ram(self) -> None:
        pass

    def compute_step(self) -> tuple[float, bool, dict[str, Any]]:
        return float(self.held[0]), self.frames >= self.ends, {}

    def get_screen(self, apply_rotation: bool = True) -> np.ndarray:
        return np.full((20, 40, 3), self.shades[self.frames - 1] if self.shades else self.frames % 256, np.uint8)

    def close(self) -> None:
        pass


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Any:
    def build(ends: int = 1000, shades: tuple[int, ...] = (), **settings: Any) -> RetroGame:
        monkeypatch.setattr(module, "start", lambda made: Console(ends, shades))
        config = RetroConfig(**{"sticky": 0.0, "noop_max": 0, "size": 10} | settings)
        return RetroGame(Preparation(game="Toy", **config.model_dump(exclude={"env"})))

    return build


def test_frames_are_stacked_from_zeros(play: Any) -> None:
    game = play(frame_skip=2, maxpool=False)
    seen = [game.reset(seed=0)[0], *(game.step(0)[0] for _ in range(4))]
    assert [obs[:, 0, 0].tolist() for obs in seen] == [
        [0, 0, 0, 1],
        [0, 0, 1, 3],
        [0, 1, 3, 5],
        [1, 3, 5, 7],
        [3, 5, 7, 9],
    ]
    assert game.reset()[0][:, 0, 0].tolist() == [0, 0, 0, 1]
    assert seen[1][:, 0, 0].tolist() == [0, 0, 1, 3]  # what was shown before stays


@pytest.mark.parametrize(("maxpool", "newest"), [(True, [5, 90, 70, 60]), (False, [5, 50, 70, 60])])
def test_the_brighter_of_the_last_two_frames_is_seen(play: Any, maxpool: bool, newest: list[int]) -> None:
    """One step ends darker than the frame before and one brighter; neither sees the frame that is brightest of all."""
    game = play(shades=(5, 200, 90, 50, 240, 30, 70, 60, 60, 60), frame_skip=3, maxpool=maxpool)
    seen = [game.reset(seed=0)[0], *(game.step(0)[0] for _ in range(3))]
    assert [int(obs[-1, 0, 0]) for obs in seen] == newest


def test_an_action_lasts_its_frames_and_earns_their_sum(play: Any) -> None:
    game = play(actions=[[], ["B"]])
    game.reset(seed=0)
    assert [game.step(action)[1] for action in (0, 1, 0)] == [0.0, 4.0, 0.0]


def test_sticky_frames_repeat_the_buttons_before(play: Any) -> None:
    game = play(actions=[[], ["B"]], sticky=1.0)
    game.reset(seed=0)
    assert game.step(1)[1] == 0.0
    game = play(ends=10_000, actions=[[], ["B"]], sticky=0.25)
    game.reset(seed=0)
    earned = [game.step(1)[1] + 4.0 - game.step(0)[1] for _ in range(500)]  # first frames stick with chance 0.25
    assert np.mean(earned) == pytest.approx(8.0 - 2 * sum(0.25**k for k in range(1, 5)), abs=0.15)


def test_the_end_and_the_time_limit(play: Any) -> None:
    game = play(ends=7)
    game.reset(seed=0)
    assert [game.step(0)[2:4] for _ in range(2)] == [(False, False), (True, False)]
    game = play(max_frames=8)
    game.reset(seed=0)
    assert [game.step(0)[2:4] for _ in range(2)] == [(False, False), (False, True)]


def test_games_begin_at_different_frames(play: Any) -> None:
    game = play(noop_max=30)
    starts = [int(game.reset(seed=seed)[0][-1, 0, 0]) for seed in range(200)]
    assert min(starts) == 1
    assert max(starts) == 31


def test_sets_of_actions() -> None:
    console = Console()
    simple = button_masks(console, "simple")
    assert len(simple) == len(np.unique(simple, axis=0)) == 5 * 2
    assert not simple[0].any()
    assert not simple[:, 1].any()  # MODE
    assert len(button_masks(console, "all")) == 3 * 3 * 2
    assert button_masks(console, (("LEFT", "B"),)).tolist() == [[1, 0, 0, 0, 1, 0, 0]]


def test_a_button_that_is_not_there_is_a_mistake() -> None:
    with pytest.raises(FeedError, match="no button 'LEFTT'.*did you mean 'LEFT'"):
        button_masks(Console(), (("LEFTT",),))


def test_pictures_shrink_by_the_mean_of_areas() -> None:
    np.testing.assert_allclose(shrinking(4, 2), [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    np.testing.assert_allclose(shrinking(3, 2), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]], atol=1e-6)
    np.testing.assert_allclose(shrinking(224, 84).sum(1), 1.0, atol=1e-5)


def test_names() -> None:
    assert full_name("SonicTheHedgehog-Genesis") == "SonicTheHedgehog-Genesis-v0"
    assert full_name("Airstriker-Genesis-v0") == "Airstriker-Genesis-v0"
    assert knows("SonicTheHedgehog-Genesis")
    assert not knows("CartPole-v1")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stable_retro", None)
    with pytest.raises(FeedError, match=r"pip install 'angle-domains\[retro\]'"):
        RetroFeed(RetroConfig())


def test_a_missing_rom_is_told_how_to_import_one() -> None:
    pytest.importorskip("stable_retro")
    with pytest.raises(FeedError, match=r"SonicTheHedgehog-Genesis-v0 is not there.*python -m stable_retro\.import"):
        RetroFeed(RetroConfig(env="SonicTheHedgehog-Genesis"))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"env": "Airstrikr-Genesis"}, "did you mean 'Airstriker-Genesis-v0'"),
        ({"state": "Level2"}, "no state 'Level2'.*did you mean 'Level1'"),
        ({"scenario": "scenari"}, "no scenario 'scenari'.*did you mean 'scenario'"),
        ({"actions": [["LEFTT"]]}, "no button 'LEFTT'"),
    ],
)
def test_mistakes_are_told_in_one_sentence(settings: dict[str, Any], sentence: str) -> None:
    pytest.importorskip("stable_retro")
    with pytest.raises(FeedError, match=sentence):
        RetroFeed(RetroConfig(**settings))


def test_rewards_are_clipped_in_training_alone() -> None:
    pytest.importorskip("stable_retro")
    feed = RetroFeed(RetroConfig())
    for split in ("train", "test"):
        envs = feed.envs(1, split=split)
        envs.reset(seed=0)
        envs.action_space.seed(0)
        rows = [envs.step(envs.action_space.sample()) for _ in range(400)]
        reward, raw = (
            np.array(values) for values in zip(*((row[1], row[4]["raw_reward"]) for row in rows), strict=True)
        )
        assert raw.max() > 1.0
        assert np.array_equal(reward, np.clip(raw, -1.0, 1.0) if split == "train" else raw)
        envs.close()
