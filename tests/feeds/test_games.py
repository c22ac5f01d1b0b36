"""What every source of games keeps, and what the command line needs to know of them."""

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from angle_domains.config_env import feed_of_env
from angle_domains.errors import ConfigError
from angle_domains.tables import FEEDS, feed_entry, resolve
from feeds.base import GameFeed
from feeds.errors import FeedError
from feeds.games import SPLITS, split_seed

GAMES = {
    "atari": {"env": "Breakout", "max_frames": 120},
    "classic": {"env": "MountainCar-v0", "max_steps": 12},
    "minatar": {"env": "MinAtar/Breakout-v1"},
    "retro": {"env": "Airstriker-Genesis-v0", "max_frames": 60},
}
EXTRAS = {"minatar": "minatar", "retro": "stable_retro"}


def build(name: str) -> Any:
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])
    entry = feed_entry(name)
    return resolve(entry.build)(resolve(entry.config)(**GAMES[name]))


def play(envs: Any, ticks: int, *, seed: int, chance: int = 0) -> list[Any]:
    """obs, reward, terminated, truncated, info of every tick, under random actions."""
    envs.reset(seed=seed)
    envs.action_space.seed(chance)
    return [envs.step(envs.action_space.sample()) for _ in range(ticks)]


@pytest.fixture(scope="module", params=sorted(name for name in GAMES if name in FEEDS))
def feed(request: pytest.FixtureRequest) -> Any:
    return build(request.param)


def test_a_feed_of_games_is_one_by_its_protocol(feed: Any) -> None:
    assert isinstance(feed, GameFeed)
    assert feed.spec.splits == SPLITS


def test_rows_fit_the_spaces(feed: Any) -> None:
    envs = feed.envs(3, split="train")
    obs, _ = envs.reset(seed=0)
    assert envs.observation_space == envs.observation_space.__class__(
        envs.observation_space.low, envs.observation_space.high, dtype=obs.dtype.type
    )
    for seen in [obs, *(row[0] for row in play(envs, 10, seed=0))]:
        assert seen in envs.observation_space
        assert seen.shape == (3, *feed.spec.observation_space.shape)
        assert seen.dtype == feed.spec.observation_space.dtype
    assert envs.single_action_space == feed.spec.action_space
    envs.close()


def test_a_stream_resets_in_the_step_after_its_end(feed: Any) -> None:
    envs = feed.envs(2, split="train")
    assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    ended, resets = np.zeros(2, bool), 0
    for _, reward, terminated, truncated, _ in play(envs, 120, seed=0):
        assert (np.asarray(reward)[ended] == 0).all()
        assert not (terminated | truncated)[ended].any()
        resets += int(ended.sum())
        ended = terminated | truncated
    assert resets > 1
    envs.close()


def test_one_seed_gives_one_game(feed: Any) -> None:
    first, again, other = (play(feed.envs(2, split="train"), 60, seed=seed) for seed in (4, 4, 5))
    assert all(same(one, two) for one, two in zip(first, again, strict=True))
    assert not all(same(one, two) for one, two in zip(first, other, strict=True))


def test_arrays_of_a_tick_stay_as_they_were(feed: Any) -> None:
    envs = feed.envs(2, split="train")
    rows = []
    for row in play(envs, 5, seed=0):
        rows.append((row, [np.array(part) for part in row[:4]]))
    assert all(np.array_equal(part, copy) for row, copies in rows for part, copy in zip(row[:4], copies, strict=True))
    envs.close()


def test_parts_have_seeds_of_their_own(feed: Any) -> None:
    rows = {split: play(feed.envs(2, split=split), 40, seed=4) for split in SPLITS}
    for one, two in (("train", "validation"), ("validation", "test"), ("train", "test")):
        assert not all(np.array_equal(a[0], b[0]) for a, b in zip(rows[one], rows[two], strict=True))
    with pytest.raises(FeedError, match="'tset'.*did you mean 'test'"):
        feed.envs(1, split="tset")


def test_games_in_flight_are_not_saved(feed: Any) -> None:
    envs = feed.envs(1, split="train")
    assert envs.state_dict() is None
    envs.load_state_dict(None)
    with pytest.raises(FeedError, match="begin anew"):
        envs.load_state_dict({})
    envs.close()
    with pytest.raises(FeedError, match="at least one stream"):
        feed.envs(0, split="train")


def test_the_description_is_ready_for_json(feed: Any) -> None:
    told = feed.describe()
    assert json.loads(json.dumps(told)) == told
    assert set(told) == {"name", "digest", "source", "schema", "profile"}
    assert len(told["digest"]) == 64


def test_a_camera_shows_what_the_agent_plays(feed: Any) -> None:
    camera = feed.camera("test", 3)
    envs = feed.envs(1, split="test")
    envs.reset(seed=3)
    before = camera.frame().copy()
    assert before.dtype == np.uint8
    assert before.ndim == 3
    assert before.shape[2] == 3
    envs.action_space.seed(0)
    for _ in range(20):
        action = envs.action_space.sample()
        assert same(camera.envs.step(action), envs.step(action))
        assert camera.frame().shape == before.shape
    assert not np.array_equal(camera.frame(), before)
    camera.envs.close()
    envs.close()


def test_names_lead_to_feeds() -> None:
    names = {
        "Pong": "atari",
        "ALE/MsPacman-v5": "atari",
        "BreakoutNoFrameskip-v4": "atari",
        "CartPole-v1": "classic",
        "my_package:MyEnv-v0": "classic",
        "MinAtar/SpaceInvaders-v1": "minatar",
        "MinAtar/Breakout": "minatar",
        "angle_domains/Market-v0": "market",
        "angle_domains/Clinical-v0": "clinical",
        "angle_domains/Records-v0": "clinical",
        "angle_domains/IcuSepsis-v0": "icu-sepsis",
        "angle_domains/DeepSea-v0": "classic",
        "angle_domains/Recall-v0": "classic",
        "adult#001": "glucose",
        "CartPole-v99": None,
        "Airstriker-Genesis-v0": "retro",
        "SonicTheHedgehog-Genesis": "retro",
    }
    assert {name: feed_of_env(name) for name in names} == {
        name: owner if owner in FEEDS else None for name, owner in names.items()
    }


def test_settings_load_no_emulator_and_no_torch() -> None:
    code = (
        "import sys\n"
        "from angle_domains.tables import FEEDS, resolve\n"
        "for entry in FEEDS.values():\n    resolve(entry.config), entry.knows and resolve(entry.knows)('CartPole-v1')\n"
        "print([name for name in ('ale_py', 'torch', 'stable_retro', 'minatar') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_seeds_of_parts_lie_apart() -> None:
    seeds = [split_seed(seed, split) for seed in range(50) for split in SPLITS]
    assert len(set(seeds)) == len(seeds)
    assert min(np.diff(sorted(seeds))) > 64
    assert max(seeds) < 2**30


def test_an_error_of_the_settings_names_the_key() -> None:
    from angle_domains.config import AgentConfig

    wrong = {"feed": {"name": "atari", "stiky": 0.1}, "agent": {"name": "ppo"}}
    with pytest.raises(ConfigError, match="sticky"):
        AgentConfig.from_dict(wrong)


def same(one: Any, two: Any) -> bool:
    """Whether two ticks are equal to the bit."""
    return all(np.array_equal(a, b) for a, b in zip(one[:4], two[:4], strict=True))
