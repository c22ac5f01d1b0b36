"""What an agent would have decided for recorded patients."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from angle_domains.evaluation.cohort import intended, policy_at
from angle_domains.types import Decision, Percept
from feeds.base import FeedSpec
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
