"""How Atari games are prepared."""

from typing import Any

import numpy as np
import pytest

from feeds.atari.config import AtariConfig
from feeds.atari.envs import AtariEnvs, emulate
from feeds.atari.feed import AtariFeed
from feeds.games import split_seed


def make(env: str = "BreakoutNoFrameskip-v4", streams: int = 2, split: str = "train", **settings: Any) -> AtariEnvs:
    return AtariFeed(AtariConfig(env=env, **settings)).envs(streams, split=split)


def play(envs: AtariEnvs, ticks: int, actions: int = 4) -> list[Any]:
    obs, info = envs.reset(seed=3)
    chance = np.random.default_rng(0)
    rows: list[Any] = [(obs, None, None, None, info)]
    for _ in range(ticks):
        rows.append(envs.step(chance.integers(0, actions, envs.num_envs)))
    return rows


@pytest.mark.parametrize("life_loss", [False, True])
def test_a_stack_holds_nothing_from_before_its_episode(life_loss: bool) -> None:
    rows = play(make(life_loss=life_loss), 400)
    age, begun, before = np.zeros(2, int), 0, rows[0]
    for row in [rows[0], *rows[1:]]:
        if row is not rows[0]:
            resets = (before[2] | before[3]) if before[2] is not None else np.zeros(2, bool)
            age = np.where(resets, 0, age + 1)
        for stream in range(2):
            known = min(4, age[stream] + 1)
            assert not row[0][stream, : 4 - known].any()
            assert row[0][stream, 4 - known :].reshape(known, -1).any(1).all()
            if age[stream] > 0:  # frames move one place on; the reset row starts afresh
                kept = min(3, age[stream])
                assert np.array_equal(row[0][stream, 3 - kept : 3], before[0][stream, 4 - kept :])
            begun += age[stream] == 0
        before = row
    assert begun >= 5


def test_after_a_life_the_game_goes_on() -> None:
    rows = play(make(streams=1), 700)
    lost = [t for t in range(1, 700) if rows[t][2][0] and not rows[t][4]["game_over"][0]]
    over = [t for t in range(1, 700) if rows[t][4]["game_over"][0]]
    assert len(lost) >= 4 * (len(over) - 1) > 0
    for t in lost:
        assert rows[t + 1][4]["lives"][0] == rows[t][4]["lives"][0] == rows[t - 1][4]["lives"][0] - 1 > 0
        assert not rows[t + 1][2][0]
    for t in over:
        assert rows[t][2][0]
        assert rows[t][4]["lives"][0] == 0
        assert rows[t + 1][4]["lives"][0] == 5


def test_lives_lost_change_no_score_and_no_end_of_the_game() -> None:
    """The same actions, as they reach the game, in an environment that knows of no lives."""
    counted, whole = make(streams=1, clip_rewards=False), make(streams=1, life_loss=False, clip_rewards=False)
    counted.reset(seed=3)
    whole.reset(seed=3)
    chance, lost, games, scores = np.random.default_rng(0), False, 0, np.zeros(2)
    for _ in range(900):
        action = chance.integers(0, 4, 1)
        ours = counted.step(action)
        theirs = whole.step(np.array([1]) if lost else action)
        assert ours[4]["game_over"][0] == (theirs[2] | theirs[3])[0]
        assert np.array_equal(ours[0][0, -1], theirs[0][0, -1])
        scores += ours[4]["raw_reward"][0], theirs[4]["raw_reward"][0]
        lost = bool(ours[2][0] and not ours[4]["game_over"][0])
        games += int(ours[4]["game_over"][0])
    assert games >= 2
    assert scores[0] == scores[1] > 0


def moved(envs: AtariEnvs, action: int, most: int) -> list[Any]:
    """The rows of one action, again and again, to the end of the game."""
    envs.reset(seed=3)
    rows: list[Any] = []
    while len(rows) < most and not (rows and rows[-1][4]["game_over"][0]):
        rows.append(envs.step(np.array([action])))
    return rows


@pytest.mark.parametrize("env", ["BreakoutNoFrameskip-v4", "ALE/Breakout-v5"])
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_policy_that_never_presses_fire_ends_its_game(env: str, split: str) -> None:
    rows = moved(make(env, streams=1, split=split, sticky=0.0), action=3, most=1_500)  # to the left
    assert rows[-1][4]["game_over"][0]
    lives = [int(row[4]["lives"][0]) for row in rows]
    assert sorted(set(lives), reverse=True) == [5, 4, 3, 2, 1, 0]
    ends = sum(bool(row[2][0]) for row in rows)
    assert ends == (5 if split == "train" and env.endswith("v4") else 1)


def test_fire_is_pressed_once_after_each_life_of_a_whole_game() -> None:
    envs = make(streams=1, split="test")
    pressed: list[int] = []
    step = envs._ale.step
    envs._ale.step = lambda actions: pressed.append(int(actions[0])) or step(actions)  # type: ignore[method-assign]
    rows = moved(envs, action=3, most=1_500)
    lives = np.array([5, *(row[4]["lives"][0] for row in rows)])
    lost = np.flatnonzero(np.diff(lives) < 0)
    assert len(lost) == 5
    lost = lost[:-1]  # the last one ends the game
    assert np.flatnonzero(np.array(pressed) == 1).tolist() == (lost + 1).tolist()


@pytest.mark.parametrize(
    ("env", "lives", "settings"),
    [
        ("PongNoFrameskip-v4", 0, {}),  # no life is lost
        ("MsPacmanNoFrameskip-v4", 3, {}),  # no such button
        ("BreakoutNoFrameskip-v4", 5, {"fire_reset": False}),
    ],
)
def test_other_whole_games_are_played_as_the_emulator_has_them(env: str, lives: int, settings: dict[str, Any]) -> None:
    envs = make(env, streams=1, split="test", **settings)
    whole, chance = emulate(envs.made, 1), np.random.default_rng(0)
    obs, info = envs.reset(seed=3)
    assert np.array_equal(obs, whole.reset(seed=np.array([split_seed(3, "test")]))[0])
    least = info["lives"][0]
    assert least == lives
    for _ in range(900):
        action = chance.integers(0, 4, 1)
        ours, theirs = envs.step(action), whole.step(action)
        assert all(np.array_equal(a, b) for a, b in zip(ours[:4], theirs[:4], strict=True))
        least = min(least, ours[4]["lives"][0])
    assert least < lives or lives == 0


def test_what_a_row_that_resets_earns_is_told_in_the_next_but_in_no_other_game() -> None:
    envs, no = make(), np.zeros(2, np.bool_)
    envs._ended[:] = True
    assert envs._earned(np.array([3, 3]), np.array([False, True])).tolist() == [0.0, 0.0]
    envs._ended = np.array([False, True])  # the second game ended as it went on after a life; now it resets
    assert envs._earned(np.array([1, 0]), no).tolist() == [4.0, 0.0]
    envs._ended[:] = False
    assert envs._earned(np.array([1, 1]), no).tolist() == [1.0, 1.0]


def test_rewards_are_clipped_in_training_alone() -> None:
    train = play(make("SpaceInvadersNoFrameskip-v4"), 300)
    raw = np.array([row[4]["raw_reward"] for row in train[1:]])
    assert raw.max() > 1
    assert np.array_equal(np.clip(raw, -1, 1), np.array([row[1] for row in train[1:]]))
    test = play(make("SpaceInvadersNoFrameskip-v4", split="test"), 300)
    assert all(np.array_equal(row[1], row[4]["raw_reward"]) for row in test[1:])
    assert all(np.array_equal(row[2] | row[3], row[4]["game_over"]) for row in test[1:])


def test_sticky_actions_change_the_game() -> None:
    plain, sticky, again = (play(make(sticky=p, life_loss=False), 60) for p in (0.0, 0.25, 0.25))
    assert np.array_equal(sticky[-1][0], again[-1][0])
    assert not np.array_equal(plain[-1][0], sticky[-1][0])


def test_a_game_without_end_is_truncated() -> None:
    rows = play(make("Pong", streams=1, max_frames=400), 120, actions=6)
    ends = [t for t, row in enumerate(rows) if t and row[3][0]]
    assert ends
    assert not any(row[2][0] for row in rows[1:])
    assert all(rows[t][4]["game_over"][0] for t in ends)


def test_the_camera_keeps_step_with_a_game_of_sticky_actions() -> None:
    feed = AtariFeed(AtariConfig(env="Breakout", sticky=0.25, life_loss=True))
    for split in ("train", "test"):
        camera, envs = feed.camera(split, 11), feed.envs(1, split=split)
        assert isinstance(camera.envs, AtariEnvs)
        assert camera.envs._screen is not None
        seen: list[Any] = []
        step = camera.envs._screen.step
        camera.envs._screen.step = lambda action, step=step, seen=seen: seen.append(step(action)) or seen[-1]
        envs.reset(seed=11)
        chance, score = np.random.default_rng(0), 0.0
        for _ in range(600):
            action = chance.integers(0, 4, 1)
            ours, theirs = camera.envs.step(action), envs.step(action)
            screen = seen[-1]
            assert all(np.array_equal(a, b) for a, b in zip(ours[:4], theirs[:4], strict=True))
            assert (screen[2] | screen[3])[0] == ours[4]["game_over"][0]
            assert screen[4]["lives"][0] == ours[4]["lives"][0]
            score += float(screen[1][0]) - float(ours[4]["raw_reward"][0])
        assert abs(score) <= 1  # what a row that resets earned is told one row later
        assert camera.frame().shape == (210, 160, 3)
        assert camera.frame().std(axis=2).max() > 0  # it has colours


def test_colours_are_channels() -> None:
    feed = AtariFeed(AtariConfig(env="Breakout", grey=False, size=42))
    assert feed.spec.stack == 0
    assert feed.spec.observation_space.shape == (12, 42, 42)
    envs = feed.envs(2, split="train")
    obs, _ = envs.reset(seed=0)
    assert not obs[:, :9].any()
    assert len({int(obs[0, channel].astype(int).sum()) for channel in (9, 10, 11)}) == 3


def test_the_number_of_threads_changes_nothing() -> None:
    one, two = (play(make(streams=4, threads=threads), 60) for threads in (1, 2))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(one, two, strict=True))
