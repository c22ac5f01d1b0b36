import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from angle_domains.novelty.episodic import EpisodicConfig, blank, look, nearest, worth


class Slow:
    """Algorithm 1 of the paper read word by word, for one stream."""

    def __init__(self, config: EpisodicConfig) -> None:
        self.config = config
        self.memory: list[list[float]] = []
        self.distances: list[float] = []

    def look(self, embedding: list[float], first: bool) -> float:
        if first:
            self.memory = []
        k = self.config.neighbours
        near = sorted(sum((a - b) ** 2 for a, b in zip(embedding, m, strict=True)) for m in self.memory)[:k]
        known = bool(self.memory)
        self.memory = [*self.memory, embedding][-self.config.capacity :]
        self.distances += near
        mean = sum(self.distances) / max(len(self.distances), 1)
        similarity = 0.0
        for distance in near:
            rate = max((distance / mean if mean > 0 else 0.0) - self.config.cluster, 0.0)
            similarity += self.config.epsilon / (rate + self.config.epsilon)
        similarity = math.sqrt(similarity) + self.config.constant
        return 0.0 if similarity > self.config.most_similar or not known else 1.0 / similarity


@pytest.mark.parametrize(("capacity", "neighbours", "rows"), [(30_000, 10, 150), (7, 3, 40), (2, 5, 20), (100, 1, 130)])
def test_it_is_the_algorithm(capacity: int, neighbours: int, rows: int) -> None:
    config = EpisodicConfig(capacity=capacity, neighbours=neighbours, epsilon=1e-3, most_similar=1.5)
    chance, streams = torch.Generator().manual_seed(rows), 3
    slow, memory = [Slow(config) for _ in range(streams)], blank(streams, 2)
    for row in range(rows):
        embedding = torch.randint(-3, 4, (streams, 2), generator=chance).to(torch.float32)
        first = torch.rand(streams, generator=chance) < (1.0 if row == 0 else 0.02)
        reward, memory = look(config, memory, embedding, first)
        expected = [one.look(embedding[b].tolist(), bool(first[b])) for b, one in enumerate(slow)]
        torch.testing.assert_close(reward, torch.tensor(expected), rtol=1e-4, atol=1e-6)


@given(st.integers(0, 2**31), st.integers(1, 30), st.integers(1, 12))
def test_nearest_are_those_of_all_distances(seed: int, held: int, neighbours: int) -> None:
    chance = torch.Generator().manual_seed(seed)
    place, embedding = torch.randn(2, 30, 4, generator=chance), torch.randn(2, 4, generator=chance)
    count = torch.tensor([held, 0])
    got = nearest(place, count, embedding, neighbours)
    expected = (place[0, :held] - embedding[0]).square().sum(-1).sort().values[:neighbours]
    torch.testing.assert_close(got[0, : len(expected)], expected, rtol=1e-5, atol=1e-5)
    assert got[0, len(expected) :].isinf().all()
    assert got[1].isinf().all()


def test_worth_by_hand() -> None:
    config = EpisodicConfig(epsilon=0.5, cluster=0.5, constant=0.1, neighbours=2)
    # in units of the mean: 0 within the cluster, so alike, and 2 - .5: 1 + .5 / (1.5 + .5)
    got = worth(config, torch.tensor([[0.8, 4.0]]), torch.tensor([2.0]))
    assert got.item() == pytest.approx(1 / (math.sqrt(1.25) + 0.1))
    few = worth(config, torch.tensor([[4.0, torch.inf]]), torch.tensor([2.0]))
    assert few.item() == pytest.approx(1 / (math.sqrt(0.25) + 0.1))


def test_what_comes_back_is_worth_less_and_a_new_episode_forgets() -> None:
    config, memory = EpisodicConfig(), blank(1, 2)
    rewards = []
    for x, first in [(0.0, True), (1.0, False), (2.0, False), (1.0, False), (1.0, True), (2.0, False)]:
        reward, memory = look(config, memory, torch.tensor([[x, 0.0]]), torch.tensor([first]))
        rewards.append(reward.item())
    assert rewards[0] == rewards[4] == 0.0
    assert rewards[3] == pytest.approx(1.0, rel=0.01)
    assert min(rewards[1], rewards[2], rewards[5]) > 50


def test_too_much_of_the_same_is_worth_nothing() -> None:
    config, memory = EpisodicConfig(neighbours=5, most_similar=1.5), blank(1, 1)
    rewards = []
    for row in range(5):
        reward, memory = look(config, memory, torch.zeros(1, 1), torch.tensor([row == 0]))
        rewards.append(reward.item())
    assert rewards[1] > 0  # √1 + c
    assert rewards[3:] == [0.0, 0.0]  # √3 + c and more


def test_asking_the_same_again_gives_the_same() -> None:
    config, chance = EpisodicConfig(), torch.Generator().manual_seed(0)
    memory = blank(2, 3)
    for row in range(70):
        x, first = torch.randn(2, 3, generator=chance), torch.full((2,), row == 0)
        once, _ = look(config, memory, x, first)
        again, memory = look(config, memory, x, first)
        assert torch.equal(once, again)
    assert memory["place"].shape[1] == 128


def test_streams_are_apart() -> None:
    config, chance = EpisodicConfig(), torch.Generator().manual_seed(0)
    x = torch.randn(20, 2, 3, generator=chance)
    both, alone = blank(2, 3), blank(1, 3)
    for row in range(20):
        first = torch.tensor([row == 0, row % 7 == 0])
        pair, both = look(config, both, x[row], first)
        single, alone = look(config, alone, x[row, :1], first[:1])
        torch.testing.assert_close(pair[:1], single)
