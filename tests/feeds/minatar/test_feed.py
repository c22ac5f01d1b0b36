"""MinAtar's games as images."""

import sys

import numpy as np
import pytest

from feeds.errors import FeedError
from feeds.minatar.config import GAMES, MinAtarConfig, knows, listing
from feeds.minatar.feed import MinAtarFeed, MinAtarGame


def test_names() -> None:
    assert all(knows(name) for name in listing())
    assert knows("MinAtar/Breakout")
    assert not knows("Breakout")
    assert not knows("MinAtar/Pong-v1")
    assert not knows("MinAtar/Breakout-v2")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minatar", None)
    with pytest.raises(FeedError, match=r"pip install 'angle-domains\[minatar\]'"):
        MinAtarFeed(MinAtarConfig())


def test_a_wrong_name_is_told_the_nearest() -> None:
    with pytest.raises(FeedError, match="did you mean 'MinAtar/Breakout-v1'"):
        MinAtarFeed(MinAtarConfig(env="MinAtar/Brekout-v1"))


@pytest.mark.parametrize("game", sorted(GAMES))
def test_every_game_plays(game: str) -> None:
    pytest.importorskip("minatar")
    feed = MinAtarFeed(MinAtarConfig(env=f"MinAtar/{game}"))
    envs = feed.envs(4, split="train")
    obs, _ = envs.reset(seed=0)
    assert obs.shape[2:] == (10, 10)
    envs.action_space.seed(0)
    rows = [envs.step(envs.action_space.sample()) for _ in range(300)]
    assert all(set(np.unique(row[0])) <= {0, 255} for row in rows)
    assert game == "Freeway" or any(row[2].any() for row in rows)


def test_the_older_version_has_all_actions() -> None:
    pytest.importorskip("minatar")
    counts = [
        MinAtarGame(MinAtarConfig(env=f"MinAtar/Breakout{version}")).action_space for version in ("-v0", "-v1", "")
    ]
    assert [space.n for space in counts] == [6, 3, 3]  # type: ignore[attr-defined]


def test_an_episode_is_truncated_in_time() -> None:
    pytest.importorskip("minatar")
    game = MinAtarGame(MinAtarConfig(env="MinAtar/Freeway", max_steps=5))
    game.reset(seed=0)
    assert [game.step(0)[3] for _ in range(5)] == [False] * 4 + [True]


def test_an_episode_after_a_seed_knows_nothing_of_the_one_before() -> None:
    pytest.importorskip("minatar")
    game = MinAtarGame(MinAtarConfig(sticky=0.9))
    tapes = []
    for _ in range(2):
        game.reset(seed=1)
        tapes.append([game.step(a)[0] for a in (1, 1, 2, 2, 1)])
    assert np.array_equal(tapes[0], tapes[1])
