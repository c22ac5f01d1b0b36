from collections.abc import Callable

import numpy as np
import pytest

from feeds import random
from feeds.errors import FeedError
from feeds.synthetic.deeps import deep_sea, long_chain, recall
from feeds.synthetic.probes import Law, Probe
from tests.contracts.feed_contract import FeedContract

LAWS: dict[str, Law] = {
    "deep_sea": deep_sea(5),
    "plain sea": deep_sea(4, mapping=None),
    "long_chain": long_chain(6),
    "recall": recall(3, choices=4),
}


class TestFeeds(FeedContract):
    @pytest.fixture(params=LAWS)
    def feed(self, request: pytest.FixtureRequest) -> Probe:
        return Probe(request.param, LAWS[request.param])


def episodes(law: Law, choose: Callable[[np.ndarray, int], np.ndarray], streams: int = 400) -> np.ndarray:
    """Undiscounted returns of episodes side by side, actions chosen by observation and time."""
    feed = Probe("world", law)
    state, step = feed.reset(np.arange(streams), split="test")
    total, over, time = np.zeros(streams), np.zeros(streams, bool), 0
    while not over.all():
        state, step = feed.step(state, choose(step.observation, time))
        total += np.where(over, 0.0, step.reward)
        over |= step.terminated | step.truncated
        time += 1
    return total


def chance(actions: int) -> Callable[[np.ndarray, int], np.ndarray]:
    generator = np.random.default_rng(0)
    return lambda seen, time: generator.integers(0, actions, len(seen))


def to_the_right(size: int, mapping: int | None) -> Callable[[np.ndarray, int], np.ndarray]:
    def choose(seen: np.ndarray, time: int) -> np.ndarray:
        cell = seen.argmax(1)
        return np.ones(len(seen), np.int64) if mapping is None else random.integers(cell, 2, mapping)

    return choose


@pytest.mark.parametrize("mapping", [None, 0, 3])
@pytest.mark.parametrize("size", [1, 2, 7, 10])
def test_the_dive_to_the_right_earns_the_optimum(size: int, mapping: int | None) -> None:
    law = deep_sea(size, mapping=mapping)
    np.testing.assert_allclose(episodes(law, to_the_right(size, mapping), 3), law.optimum)
    assert law.optimum == pytest.approx(0.99)
    away = to_the_right(size, mapping)
    np.testing.assert_array_equal(episodes(law, lambda seen, time: 1 - away(seen, time), 3), 0.0)


def test_chance_finds_the_treasure_once_in_two_to_the_power_of_the_size() -> None:
    found = episodes(deep_sea(4), chance(2), 20_000) > 0.5
    assert found.mean() == pytest.approx(2.0**-4, abs=0.006)
    assert not (episodes(deep_sea(20), chance(2), 2_000) > 0.5).any()


def test_the_sea_by_hand() -> None:
    """Right, left, right in three rows: two moves to the right are paid for, the treasure stays where it is."""
    feed = Probe("sea", deep_sea(3, mapping=None))
    state, step = feed.reset(np.arange(1), split="train")
    seen, rewards = [step.observation[0].nonzero()[0].tolist()], []
    for action in (1, 0, 1):
        state, step = feed.step(state, np.array([action]))
        seen.append(step.observation[0].nonzero()[0].tolist())
        rewards.append(float(step.reward[0]))
    assert seen == [[0], [4], [6], []]
    np.testing.assert_allclose(rewards, [-0.01 / 3, 0.0, -0.01 / 3])
    assert step.terminated[0]


def test_mappings_differ_and_mix_both_actions() -> None:
    cells = np.arange(100)
    one, other = (random.integers(cells, 2, mapping) for mapping in (0, 1))
    assert (one != other).any()
    assert 30 < one.sum() < 70


def test_the_chain_pays_at_its_far_end_and_a_crumb_at_the_near_one() -> None:
    law = long_chain(20)
    np.testing.assert_allclose(episodes(law, lambda seen, time: np.ones(len(seen), np.int64), 2), law.optimum)
    crumbs = episodes(law, lambda seen, time: np.zeros(len(seen), np.int64), 2)
    np.testing.assert_allclose(crumbs, 0.001 * 29)
    assert (episodes(law, chance(2), 2_000) >= 1.0).mean() < 0.01
    _, step = Probe("chain", law).reset(np.arange(1), split="train")
    assert step.observation[0].tolist() == [1.0, 1.0] + [0.0] * 18


@pytest.mark.parametrize(("delay", "choices"), [(0, 2), (3, 2), (10, 4)])
def test_recall_pays_who_remembers_and_no_more_than_chance_to_who_does_not(delay: int, choices: int) -> None:
    law, sign = recall(delay, choices=choices), []

    def remember(seen: np.ndarray, time: int) -> np.ndarray:
        sign.append(seen[:, :choices].argmax(1))
        assert seen[:, :choices].any() == (time == 0)
        assert seen[:, choices].all() == seen[:, choices].any() == (time == delay + 1)
        return sign[0]

    assert (episodes(law, remember) == law.optimum).all()
    assert len(sign) == delay + 2
    for fixed in range(choices):
        earned = episodes(law, lambda seen, time: np.full(len(seen), fixed), 4_000)  # noqa: B023
        assert earned.mean() == pytest.approx(1 / choices, abs=0.03)


def test_mistakes_are_named() -> None:
    for make in (lambda: deep_sea(0), lambda: long_chain(2), lambda: recall(-1), lambda: recall(1, choices=1)):
        with pytest.raises(FeedError, match="got|needed"):
            make()
