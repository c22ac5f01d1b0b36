"""What an agent would have decided for recorded patients."""

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from gymnasium import spaces

from angle_domains.advised import make_agent
from angle_domains.config import load_config
from angle_domains.evaluation.cohort import Intended, intended, policy_at
from angle_domains.loops import OfflineState, offline
from angle_domains.replay import recorded
from angle_domains.tables import AGENTS, resolve
from angle_domains.types import Decision, Percept
from feeds.base import FeedSpec
from feeds.clinical.feed import ClinicalFeed
from tests.feeds.clinical.tables import feed, table
from tests.logs import rows_of

SPEC = FeedSpec("log", spaces.Box(-9, 9, (1,), np.float32), spaces.Discrete(3))
LOG = rows_of(
    [
        {"obs": [5, 6, 7], "action": [1, 2], "reward": [0, 1], "ended": True},
        {"obs": [1, 2], "action": [0], "reward": [3], "ended": False},
        {"obs": [2, 3, 4, 5], "action": [2, 2, 1], "reward": [0, 0, 0], "ended": True},
    ]
)


class Counter:
    """Values the action that is the number of ticks it has seen of an episode, modulo 3; notes what it was shown."""

    def __init__(self) -> None:
        self.seen: list[Percept] = []

    def act(self, percept: Percept, memory: Any, *, explore: bool) -> Decision:
        assert not explore
        self.seen.append(percept)
        ticks = torch.zeros(len(percept.obs)) if memory is None else memory + 1
        q = torch.nn.functional.one_hot(ticks.long() % 3, 3).float()
        return Decision(q.argmax(-1), ticks, {"q": q})


def test_memories_run_along_each_episode() -> None:
    found = intended(Counter(), LOG, SPEC)
    assert found.action.tolist() == [0, 1, 2, 0, 1, 0, 1, 2, 0]
    assert found.policy is not None
    np.testing.assert_array_equal(found.policy.argmax(1), found.action)
    assert (found.policy.max(1) == 1.0).all()


def test_agents_are_shown_what_was_recorded_and_nothing_later() -> None:
    agent = Counter()
    intended(agent, LOG, SPEC)
    first, second = agent.seen[:2]
    assert first.obs[:, 0].tolist() == [5.0, 1.0, 2.0]
    assert first.action.tolist() == [0, 0, 0]
    assert second.obs[:, 0].tolist() == [6.0, 2.0, 3.0]
    assert second.action.tolist() == [1, 0, 2]
    assert second.reward.tolist() == [0.0, 3.0, 0.0]
    assert second.last.tolist() == [False, True, False]


def test_epsilon_is_spread_over_what_is_allowed() -> None:
    mask = np.ones((3, 3), bool)
    mask[:, 0] = False
    masked = rows_of([{"obs": [5, 6, 7], "action": [1, 2], "reward": [0, 1], "ended": True, "mask": mask}], actions=3)
    found = intended(Counter(), masked, SPEC, epsilon=0.2)
    assert found.policy is not None
    np.testing.assert_allclose(found.policy, [[0.0, 0.9, 0.1], [0.0, 0.9, 0.1], [0.0, 0.1, 0.9]])


def test_a_policy_of_more_than_what_is_seen_has_no_table() -> None:
    assert policy_at(Counter(), np.zeros((2, 1), np.float32), SPEC) is None


READERS = [name for name, spec in AGENTS.items() if spec.records and "on_policy" not in spec.loop]


def later_changed(frame: pl.DataFrame, hours: float) -> pl.DataFrame:
    """All that was measured and given after some hours is another, and nothing before."""
    later = pl.col("time_hour") > hours
    changes = {
        "mbp": 130.0 - pl.col("mbp"),
        "lactate": 12.5 - pl.col("lactate"),
        "sofa": 17.0 - pl.col("sofa"),
        "action_vaso": pl.lit(1),
        "norepinephrine": 0.5 - pl.col("norepinephrine"),
    }
    return frame.with_columns(
        pl.when(later).then(new).otherwise(pl.col(name)).cast(frame.schema[name]).alias(name)
        for name, new in changes.items()
    )


def decided(name: str, made: ClinicalFeed, *feeds: ClinicalFeed) -> list[Intended]:
    """What an agent that learned a little from some records decides in others."""
    config = load_config(feed="clinical", agent=name, overrides=("training.source=records",))
    agent = make_agent(config, made.spec, "cpu")
    fill = resolve(AGENTS[name].replay) if AGENTS[name].offline else recorded
    rows = made.episodes("train")
    list(offline(agent, fill(rows, agent, seed=0, device="cpu"), OfflineState(), steps=2))
    return [intended(agent, each.episodes("train"), each.spec) for each in feeds]


@pytest.mark.parametrize("name", READERS)
def test_no_agent_decides_by_what_is_still_to_come(name: str) -> None:
    """By rewards that look ahead an agent learns, but none that reads rewards may: see `check_rewards`."""
    frame, hours = table(), 4.0
    settings: dict[str, Any] = {
        "reward": {"kind": "oviss", "causal": AGENTS[name].rewarded},
        "actions": {"codec": "box"} if name == "td3" else {},
    }
    if name == "vi":  # its states must come back
        settings["states"] = {"masks": False, "since": False, "elapsed": False, "drop": ["mbp", "lactate", "sofa"]}
    made = feed(frame, **settings)
    changed = ClinicalFeed(made.config, frame=later_changed(frame, hours), fitted=made.state_dict())
    one, two = decided(name, made, made, changed)
    until = made.part("train").hours <= hours
    for before, after in zip(one, two, strict=True):
        if before is not None:
            np.testing.assert_array_equal(before[until], after[until])
    assert not np.array_equal(made.episodes("train").reward, changed.episodes("train").reward)


def test_rewards_that_look_ahead_would_be_seen_through() -> None:
    """Why they are refused: what R2D2 holds actions worth hangs on what comes hours later."""
    frame = table()
    made = feed(frame, reward={"kind": "oviss"})
    changed = ClinicalFeed(made.config, frame=later_changed(frame, 4.0), fitted=made.state_dict())
    one, two = (found.q for found in decided("r2d2", made, made, changed))
    assert one is not None
    assert two is not None
    until = made.part("train").hours <= 4.0
    assert not np.array_equal(one[until], two[until])
