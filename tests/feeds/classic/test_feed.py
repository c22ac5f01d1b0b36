"""What becomes of gymnasium's spaces, and which environments are refused."""

import sys
import textwrap
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv

from feeds.classic.config import ClassicConfig, knows, listing
from feeds.classic.feed import ClassicFeed
from feeds.classic.vector import GameEnvs
from feeds.errors import FeedError
from feeds.games import split_seed


class Toy(gymnasium.Env[Any, Any]):
    """Shows samples of a space, and takes actions of another to heart."""

    def __init__(self, seen: spaces.Space[Any], taken: spaces.Space[Any]) -> None:
        self.observation_space, self.action_space = seen, taken
        self.actions: list[Any] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self.actions.append(action)
        return self.observation_space.sample(), 1.0, False, False, {}


TWO = spaces.Discrete(2)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
    monkeypatch.setattr(gymnasium, "registry", gymnasium.envs.registration.registry)
    gymnasium.register("test/Toy-v0", entry_point=Toy)

    def build(seen: spaces.Space[Any] = TWO, taken: spaces.Space[Any] = TWO, **settings: Any) -> ClassicFeed:
        return ClassicFeed(ClassicConfig(env="test/Toy-v0", kwargs={"seen": seen, "taken": taken}, **settings))

    return build


@pytest.mark.parametrize(
    ("seen", "shape", "kind"),
    [
        (spaces.Box(-1.0, 1.0, (3,), np.float32), (3,), np.float32),
        (spaces.Box(-1.0, 1.0, (3,), np.float64), (3,), np.float32),
        (spaces.Box(-1.0, 1.0, (2, 3), np.float32), (6,), np.float32),
        (spaces.Box(0, 9, (2,), np.int64), (2,), np.float32),
        (spaces.Box(0, 255, (12, 10, 3), np.uint8), (3, 12, 10), np.uint8),
        (spaces.Box(0, 255, (4, 12, 10), np.uint8), (4, 12, 10), np.uint8),
        (spaces.Box(0, 255, (128,), np.uint8), (128,), np.float32),
        (spaces.Discrete(4, start=-1), (4,), np.float32),
        (spaces.MultiDiscrete([2, 3]), (5,), np.float32),
        (spaces.MultiBinary(4), (4,), np.float32),
        (spaces.Tuple([spaces.Discrete(3), spaces.Box(0.0, 1.0, (2,))]), (5,), np.float32),
        (spaces.Dict(a=spaces.Box(0.0, 1.0, (2, 2)), b=spaces.Dict(c=spaces.Discrete(2))), (6,), np.float32),
    ],
)
def test_observations_become_one_array(toy: Any, seen: Any, shape: tuple[int, ...], kind: Any) -> None:
    feed = toy(seen)
    assert feed.spec.observation_space.shape == shape
    assert feed.spec.observation_space.dtype == kind
    envs = feed.envs(2, split="train")
    for obs in (envs.reset(seed=0)[0], envs.step(np.zeros(2, np.int64))[0]):
        assert obs.shape == (2, *shape)
        assert obs.dtype == kind
        assert obs in envs.observation_space


def test_a_category_is_one_hot_and_an_image_is_turned(toy: Any) -> None:
    envs = toy(spaces.Discrete(4, start=-1)).envs(5, split="train")
    assert (envs.reset(seed=0)[0].sum(1) == 1).all()
    seen = spaces.Box(0, 255, (12, 10, 3), np.uint8)
    obs = toy(seen).envs(1, split="train").reset(seed=0)[0]
    seen.seed(split_seed(0, "train"))
    assert np.array_equal(obs[0], seen.sample().transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("taken", "fits"),
    [
        (spaces.Discrete(3, start=-1), spaces.Discrete(3, start=-1)),
        (spaces.MultiDiscrete([2, 3]), spaces.MultiDiscrete([2, 3])),
        (spaces.MultiDiscrete([[2, 3], [4, 5]]), spaces.MultiDiscrete([2, 3, 4, 5])),
        (spaces.Box(-2.0, 1.0, (2,)), spaces.Box(-2.0, 1.0, (2,))),
        (spaces.Box(-2.0, 1.0, (2, 3)), spaces.Box(-2.0, 1.0, (6,))),
        (spaces.Box(-2.0, 1.0, ()), spaces.Box(-2.0, 1.0, (1,))),
    ],
)
def test_actions_have_one_axis_and_reach_the_environment_in_its_shape(toy: Any, taken: Any, fits: Any) -> None:
    feed = toy(taken=taken)
    assert feed.spec.action_space == fits
    envs = feed.envs(2, split="train")
    envs.reset(seed=0)
    action = envs.action_space.sample()
    envs.step(action)
    for stream in range(2):
        (arrived,) = envs.games[stream].unwrapped.actions
        assert np.array_equal(np.ravel(arrived), np.ravel(action[stream]))


@pytest.mark.parametrize(
    ("seen", "taken", "word"),
    [
        (TWO, spaces.MultiBinary(3), "fit no agent"),
        (TWO, spaces.Dict(a=TWO), "fit no agent"),
        (TWO, spaces.Box(0, 9, (2,), np.int64), "fit no agent"),
        (spaces.Sequence(TWO), TWO, "no fixed length"),
        (spaces.Graph(spaces.Box(0.0, 1.0, (2,)), None), TWO, "no fixed length"),
    ],
)
def test_other_spaces_are_refused_in_a_sentence(toy: Any, seen: Any, taken: Any, word: str) -> None:
    with pytest.raises(FeedError, match=f"test/Toy-v0: .*{word}"):
        toy(seen, taken)


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1"])
def test_streams_run_as_in_gymnasiums_own_vector_environment(name: str) -> None:
    feed = ClassicFeed(ClassicConfig(env=name, max_steps=15))
    ours = feed.envs(3, split="validation")
    theirs = SyncVectorEnv([lambda: feed._make()] * 3)
    obs, _ = ours.reset(seed=7)
    assert np.array_equal(obs, theirs.reset(seed=split_seed(7, "validation"))[0])
    ours.action_space.seed(0)
    ends = 0
    for _ in range(60):
        action = ours.action_space.sample()
        mine, other = ours.step(action), theirs.step(action)
        assert all(np.array_equal(a, b) for a, b in zip(mine[:4], other[:4], strict=True))
        assert [a.dtype for a in mine[:4]] == [b.dtype for b in other[:4]]
        assert set(mine[4]) == set(other[4])
        assert all(np.array_equal(mine[4][key], other[4][key]) for key in mine[4])
        ends += int((mine[2] | mine[3]).sum())
    assert ends > 2


def test_what_a_game_tells_by_names_of_ours_is_left_out() -> None:
    class Teller(gymnasium.Env[Any, Any]):
        observation_space, action_space = spaces.Box(-1.0, 1.0, (2,), np.float32), spaces.Discrete(2)

        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
            return np.zeros(2, np.float32), {"game_over": False, "level": 1}

        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            return np.zeros(2, np.float32), 1.0, True, False, {"game_over": False, "raw_reward": 0.0, "level": 2}

    envs = GameEnvs(Teller, 2, split="train")
    assert envs.reset(seed=0)[1].keys() == {"level", "_level"}
    info = envs.step(np.zeros(2, np.int64))[4]
    assert info.keys() == {"level", "_level"}
    assert info["level"].tolist() == [2, 2]


def test_a_time_limit_truncates(toy: Any) -> None:
    envs = toy(max_steps=3).envs(1, split="train")
    envs.reset(seed=0)
    assert [envs.step(np.zeros(1, int))[3][0] for _ in range(8)] == [0, 0, 1, 0, 0, 0, 1, 0]


def test_wrong_names_are_told_the_nearest() -> None:
    with pytest.raises(FeedError, match="no environment 'CartPol-v1'.*did you mean 'CartPole-v1'"):
        ClassicFeed(ClassicConfig(env="CartPol-v1"))
    with pytest.raises(FeedError, match="nowhere:Env-v0: the module 'nowhere' cannot be imported"):
        ClassicFeed(ClassicConfig(env="nowhere:Env-v0"))
    with pytest.raises(FeedError, match=r"cannot be made with .*length"):
        ClassicFeed(ClassicConfig(env="CartPole-v1", kwargs={"length": 1}))


def test_a_missing_package_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "Box2D", None)
    for name in [name for name in sys.modules if name.startswith("gymnasium.envs.box2d")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(FeedError, match=r"LunarLander-v3 needs .* pip install 'angle-domains\[box2d\]'"):
        ClassicFeed(ClassicConfig(env="LunarLander-v3"))


def test_lunar_lander_lands() -> None:
    pytest.importorskip("Box2D")
    feed = ClassicFeed(ClassicConfig(env="LunarLander-v3"))
    assert feed.spec.observation_space.shape == (8,)
    envs = feed.envs(2, split="train")
    envs.reset(seed=0)
    assert any(envs.step(np.zeros(2, int))[2].any() for _ in range(200))


def test_a_third_partys_environment_is_imported_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_games.py").write_text(
        textwrap.dedent("""
            import gymnasium
            from gymnasium.envs.classic_control import CartPoleEnv

            class Mine(CartPoleEnv):
                pass

            gymnasium.register("theirs/Mine-v3", entry_point="their_games:Mine", max_episode_steps=9)
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert knows("their_games:theirs/Mine-v3")
        feed = ClassicFeed(ClassicConfig(env="their_games:theirs/Mine-v3"))
        assert feed.describe()["profile"]["protocol"]["max_steps"] == 9
        with pytest.raises(FeedError, match="did you mean 'theirs/Mine-v3'"):
            ClassicFeed(ClassicConfig(env="their_games:theirs/Mine-v2"))
    finally:
        gymnasium.registry.pop("theirs/Mine-v3", None)


def test_the_digest_is_of_id_and_arguments() -> None:
    digests = [
        ClassicFeed(ClassicConfig(env="Pendulum-v1", kwargs=kwargs)).describe()["digest"]
        for kwargs in ({}, {"g": 9.81}, {})
    ]
    assert digests[0] == digests[2] != digests[1]


def test_what_draws_no_pictures_says_so(toy: Any) -> None:
    with pytest.raises(FeedError, match="draws no pictures"):
        toy().camera("test", 0)


def test_pictures_without_their_package_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = ClassicFeed(ClassicConfig(env="MountainCar-v0")).camera("test", 0)
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(FeedError, match="pictures of MountainCar-v0 need a package: .*pygame"):
        camera.frame()


def test_other_feeds_names_are_not_listed() -> None:
    import ale_py

    gymnasium.register_envs(ale_py)
    names = listing()
    assert {"CartPole-v1", "LunarLander-v3"} <= set(names)
    assert not [name for name in names if name.startswith(("ALE/", "angle_domains/Market", "PongNoFrameskip"))]
    assert not knows("ALE/Pong-v5")
    assert not knows("angle_domains/Market-v0")
