"""Random actions that last: how long, until when, and where they must stop."""

from collections import Counter

import numpy as np
import torch
from gymnasium import spaces

from angle_domains.agents import dqn
from angle_domains.networks import NetworkConfig
from angle_domains.types import Percept
from feeds.base import FeedSpec

SPEC = FeedSpec("world", spaces.Box(-1.0, 1.0, (2,), np.float32), spaces.Discrete(3))


def made(**settings: object) -> dqn.DQN:
    config = dqn.DQNConfig(network=NetworkConfig(hidden=(4,)), **settings)  # type: ignore[arg-type]
    return dqn.build(config, SPEC, streams=4, seed=0, device="cpu")


def percept(streams: int, *, first: bool = False, mask: torch.Tensor | None = None) -> Percept:
    no = torch.zeros(streams, dtype=torch.bool)
    zero = torch.zeros(streams)
    return Percept(torch.zeros(streams, 2), zero.long(), zero, zero + 1, no | first, no, mask)


def test_durations_follow_the_power_law() -> None:
    """At an epsilon of 1 a random action follows upon a random action: the first durations of 40,000 streams."""
    agent = made(zeta=2.0)
    memory = agent.act(percept(40_000), None, explore=True).memory
    ticks = Counter((memory[:, 1] + 1).tolist())
    total = sum(n**-2.0 for n in range(1, 1_001))
    for n in (1, 2, 3, 10):
        wanted = 40_000 * n**-2.0 / total
        assert abs(ticks[n] - wanted) < 5 * wanted**0.5
    assert max(ticks) <= 1_000
    assert max(ticks) > 200


def test_an_action_lasts_for_its_ticks_and_no_longer() -> None:
    agent = made(zeta=1.5, epsilon=0.5, epsilon_end=0.5)
    memory, actions, left = None, [], []
    for _ in range(200):
        decision = agent.act(percept(16), memory, explore=True)
        memory = decision.memory
        actions.append(decision.action)
        left.append(memory[:, 1])
    for before, after, action, following in zip(left, left[1:], actions, actions[1:], strict=False):
        lasts = before > 0
        assert torch.equal(after[lasts], before[lasts] - 1)
        assert torch.equal(following[lasts], action[lasts])


def test_a_new_episode_begins_unbound() -> None:
    agent = made(zeta=2.0, epsilon=0.0, epsilon_end=0.0)
    held = torch.tensor([[2, 50]] * 4)
    best = agent.act(percept(4), None, explore=False).action
    begins = torch.zeros(4, dtype=torch.bool)
    action, memory = agent.core._stray(best, begins, held, percept(4), None)
    assert action.tolist() == [2] * 4
    assert memory[:, 1].tolist() == [49] * 4
    action, memory = agent.core._stray(best, begins, held, percept(4, first=True), None)
    assert torch.equal(action, best)
    assert memory[:, 1].tolist() == [0] * 4


def test_an_action_that_is_forbidden_meanwhile_stops() -> None:
    agent = made(zeta=2.0)
    mask = torch.tensor([[True, True, False]] * 4)
    best, begins = torch.ones(4, dtype=torch.long), torch.zeros(4, dtype=torch.bool)
    action, memory = agent.core._stray(best, begins, torch.tensor([[2, 50]] * 4), percept(4, mask=mask), mask)
    assert action.tolist() == [1] * 4
    assert memory[:, 1].tolist() == [0] * 4


def test_without_exploration_nothing_lasts() -> None:
    decision = made(zeta=2.0).act(percept(4), torch.tensor([[2, 50]] * 4), explore=False)
    assert len(set(decision.action.tolist())) == 1
    q = decision.extras["q"]
    assert torch.equal(decision.action, q.argmax(-1))
