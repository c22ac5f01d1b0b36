"""Rows of a part as models read them, and what every entry is called."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from angle_domains.config import load_config
from angle_domains.outlook.walk import entry_names, walk
from angle_domains.records import records_of
from angle_domains.tables import make_feed
from angle_domains.types import Decision, Percept
from feeds.base import Block, FeedSpec


class Left:
    """Pushes to the left: a pole falls after eight to ten steps."""

    def act(self, percept: Percept, memory: Any, *, explore: bool) -> Decision:
        assert not explore
        return Decision(torch.zeros(len(percept.obs), dtype=torch.int64))


def test_whole_episodes_are_walked_stream_by_stream() -> None:
    config = load_config(feed="classic", agent="dqn", env="CartPole-v1")
    found = walk(config, make_feed("classic", config.feed), Left(), split="validation", episodes=11, seed=0, limit=500)  # type: ignore[arg-type]
    states = found.states
    assert int(states.first.sum()) == 11
    assert int(states.terminated.sum()) == 11
    assert torch.equal(states.terminated, states.last)
    lengths = np.diff(np.append(np.flatnonzero(states.first.numpy()), states.rows))
    assert lengths.min() >= 8
    assert lengths.max() <= 12
    assert bool((states.reward[~states.first] == 1.0).all())
    assert not states.reward[states.first].any()
    assert states.action is not None
    assert not states.action.any()
    assert found.names == ("entry 0", "entry 1", "entry 2", "entry 3")
    assert found.when[states.first.numpy()].tolist() == [0.0] * 11
    assert found.tick.max() == lengths.max() - 1


def test_long_episodes_are_cut() -> None:
    config = load_config(feed="classic", agent="dqn", env="CartPole-v1")
    found = walk(config, make_feed("classic", config.feed), Left(), split="validation", episodes=3, seed=0, limit=4)  # type: ignore[arg-type]
    assert found.states.rows == 15
    assert not found.states.terminated.any()


def test_records_are_walked_as_they_lie() -> None:
    config = load_config(feed="clinical", agent="cql", options={"feed.patients": 100})
    feed = make_feed("clinical", config.feed)
    found = walk(config, feed, Left(), split="validation", episodes=1, seed=0, limit=1)  # type: ignore[arg-type]
    assert torch.equal(found.states.observation, records_of(feed, "validation").observation)
    assert len(found.names) == found.states.observation.shape[1]


def test_entries_are_named_by_block_feature_and_asset() -> None:
    spec = FeedSpec(
        name="two",
        observation_space=spaces.Box(-1.0, 1.0, (8,), np.float32),
        action_space=spaces.Discrete(2),
        blocks=(
            Block("assets", 0, (2, 2), ("a", "b")),
            Block("weights", 4, (2,), ("XX", "YY")),
            Block("account", 6, (2,), ("cash", "drawdown")),
        ),
    )
    assert entry_names(spec) == (
        "assets a XX", "assets b XX", "assets a YY", "assets b YY", "weights XX", "weights YY", "account cash",
        "account drawdown",
    )  # fmt: skip
