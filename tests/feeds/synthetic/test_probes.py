from collections.abc import Callable

import numpy as np
import pytest

from feeds.errors import FeedError
from feeds.synthetic.probes import PROBES, Probe, probe


def returns(feed: Probe, choose: Callable[[np.ndarray], np.ndarray], episodes: int = 400) -> np.ndarray:
    """Undiscounted returns of episodes that run side by side."""
    state, step = feed.reset(np.arange(episodes), split="test")
    total, over = np.zeros(episodes), np.zeros(episodes, bool)
    while not over.all():
        state, step = feed.step(state, choose(step.observation))
        total += np.where(over, 0.0, step.reward)
        over |= step.terminated | step.truncated
    return total


def never(observation: np.ndarray) -> np.ndarray:
    return np.zeros(len(observation), np.int64)


def always(observation: np.ndarray) -> np.ndarray:
    return np.ones(len(observation), np.int64)


def follow(observation: np.ndarray) -> np.ndarray:
    return (observation[:, 0] > 0).astype(np.int64)


def run_after_the_ball(observation: np.ndarray) -> np.ndarray:
    board = observation.reshape(len(observation), 10, 5)
    ball, paddle = board[:, :9].sum(1).argmax(1), board[:, 9].argmax(1)
    return 1 + np.sign(ball - paddle)


BEST = {
    "constant": never,
    "observation": never,
    "discount": never,
    "action": always,
    "both": follow,
    "catch": run_after_the_ball,
    "chain": always,
}


@pytest.mark.parametrize("name", PROBES)
def test_the_best_policy_earns_the_optimum(name: str) -> None:
    feed = probe(name)
    assert returns(feed, BEST[name]).mean() == pytest.approx(feed.optimum, abs=0.0 if name != "observation" else 0.15)


@pytest.mark.parametrize("name", ["action", "both", "catch", "chain"])
def test_other_policies_earn_less(name: str) -> None:
    feed = probe(name)
    assert returns(feed, never).mean() < feed.optimum - 0.5


def test_the_observation_probe_pays_what_it_shows() -> None:
    state, first = probe("observation").reset(np.arange(50), split="train")
    _, step = probe("observation").step(state, np.zeros(50, np.int64))
    np.testing.assert_array_equal(step.reward, first.observation[:, 0])
    assert set(step.reward.tolist()) == {-1.0, 1.0}


def test_the_discount_probe_pays_one_step_later() -> None:
    feed = probe("discount")
    state, first = feed.reset(np.arange(2), split="train")
    state, second = feed.step(state, np.zeros(2, np.int64))
    _, third = feed.step(state, np.zeros(2, np.int64))
    assert [step.reward.tolist() for step in (second, third)] == [[0.0, 0.0], [1.0, 1.0]]
    assert [bool(step.terminated[0]) for step in (first, second, third)] == [False, False, True]
    assert [float(step.observation[0, 0]) for step in (first, second)] == [0.0, 1.0]


def test_the_chain_is_truncated_not_terminated() -> None:
    feed = probe("chain")
    state, step = feed.reset(np.arange(1), split="train")
    for _ in range(10):
        assert not step.truncated[0]
        state, step = feed.step(state, np.ones(1, np.int64))
    assert step.truncated[0]
    assert not step.terminated[0]


def test_catch_says_which_actions_are_allowed() -> None:
    feed = probe("catch")
    state, step = feed.reset(np.arange(1), split="train")
    assert step.info["action_mask"].tolist() == [[True, True, True]]
    for _ in range(2):
        state, step = feed.step(state, np.zeros(1, np.int64))
    assert step.info["action_mask"].tolist() == [[False, True, True]]


def test_splits_have_other_episodes() -> None:
    feed = probe("catch")
    train, test = (feed.reset(np.arange(100), split=split)[1].observation for split in ("train", "test"))
    assert not np.array_equal(train, test)


def test_mistakes_are_named() -> None:
    with pytest.raises(FeedError, match="did you mean 'catch'"):
        probe("cach")
    with pytest.raises(FeedError, match="did you mean 'train'"):
        probe("catch").reset(np.arange(1), split="trian")
    state, _ = probe("catch").reset(np.arange(1), split="train")
    with pytest.raises(FeedError, match="actions 0 to 2"):
        probe("catch").step(state, np.array([3]))
