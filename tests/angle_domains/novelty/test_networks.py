"""The two networks that novelty is read from, and the reward that they make together."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from angle_domains.networks import NetworkConfig
from angle_domains.novelty import Curiosity, CuriosityConfig
from angle_domains.novelty.distillation import Distillation
from angle_domains.novelty.embedding import Embedding
from feeds.base import FeedSpec
from tests.contracts.trees import assert_same


def spec_of(space: spaces.Space[Any]) -> FeedSpec:
    return FeedSpec("world", space, spaces.Discrete(3), clock="one step", splits=("train",))


VECTORS = spec_of(spaces.Box(-1.0, 1.0, (4,), np.float32))
IMAGES = spec_of(spaces.Box(0, 255, (2, 10, 10), np.uint8))
SMALL = NetworkConfig(hidden=(16,), activation="relu")


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def curiosity(spec: FeedSpec = VECTORS, network: NetworkConfig = SMALL, seed: int = 0) -> Curiosity:
    return Curiosity(CuriosityConfig(), spec, 3, network=network, generator=chance(seed))


def test_codes_tell_the_action_and_leave_out_what_it_has_no_hand_in() -> None:
    """Entry 0 follows the action, entry 1 is noise ten times as large."""
    embedding = Embedding(VECTORS, SMALL, 3, size=4, hidden=32, generator=chance())
    optimizer, random = torch.optim.Adam(embedding.parameters(), lr=3e-3), chance(1)
    for _ in range(300):
        action = torch.randint(3, (1, 64), generator=random)
        noise = torch.randn(2, 64, 4, generator=random) * torch.tensor([0.0, 1.0, 0.0, 0.0])
        obs = noise + torch.tensor([1.0, 0, 0, 0]) * torch.cat([torch.zeros(1, 64), 0.1 * (action - 1.0)]).unsqueeze(-1)
        loss = embedding.loss(obs, action, torch.ones(1, 64))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3 < np.log(3)


def test_rows_between_episodes_teach_nothing() -> None:
    embedding = Embedding(VECTORS, SMALL, 3, size=4, hidden=8, generator=chance())
    obs, action = torch.randn(4, 2, 4, generator=chance(1)), torch.tensor([[0, 1], [2, 0], [1, 1]])
    real = torch.tensor([[1.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    other = action.clone()
    other[1, 0] = 1
    assert torch.equal(embedding.loss(obs, action, real), embedding.loss(obs, other, real))
    assert not torch.equal(embedding.loss(obs, action, real), embedding.loss(obs, other, torch.ones(3, 2)))
    assert embedding.loss(obs, action, torch.zeros(3, 2)).item() == 0.0


def test_the_modulator_by_hand() -> None:
    distillation = Distillation(VECTORS, SMALL, size=8, generator=chance())
    distillation.take_in(torch.tensor([[1.0], [3.0]]))  # mean 2, deviation 1
    got = distillation.modulator(torch.tensor([0.0, 2.0, 3.5, 99.0]), 5.0)
    torch.testing.assert_close(got, torch.tensor([1.0, 1.0, 2.5, 5.0]))


def test_a_predictor_errs_where_it_was_not_trained() -> None:
    distillation = Distillation(VECTORS, SMALL, size=8, generator=chance())
    before = [p.clone() for p in distillation.target.parameters()]
    optimizer, seen = torch.optim.Adam(distillation.parameters(), lr=3e-3), torch.tensor([[1.0, 0, 0, 0]])
    for _ in range(200):
        error = distillation.error(seen)
        optimizer.zero_grad()
        error.mean().backward()
        optimizer.step()
        distillation.take_in(error.detach())
    new = distillation.error(torch.tensor([[0.0, 0, 1, 0]])).detach()
    assert new.item() > 100 * distillation.error(seen).item()
    assert distillation.modulator(distillation.error(seen), 5.0).item() == 1.0
    assert all(map(torch.equal, before, distillation.target.parameters()))


def walk(one: Curiosity, spec: FeedSpec, rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rewards `[rows, 2]` and the observations `[rows, 2, ...]`."""
    memory, rewards = one.blank(2), []
    spec.observation_space.seed(seed)
    obs = np.stack([[spec.observation_space.sample() for _ in range(2)] for _ in range(rows)])
    for row, seen in enumerate(torch.as_tensor(obs)):
        reward, memory = one.look(seen, memory, torch.full((2,), row == 0))
        rewards.append(reward)
    return torch.stack(rewards), torch.as_tensor(obs)


@pytest.mark.parametrize(
    ("spec", "network"), [(VECTORS, SMALL), (IMAGES, NetworkConfig(kind="minatar", hidden=(16,), precision="float32"))]
)
def test_vectors_and_images_are_rewarded_and_learned_from(spec: FeedSpec, network: NetworkConfig) -> None:
    one = curiosity(spec, network)
    rewards, obs = walk(one, spec, 6, 0)
    assert (rewards[0] == 0).all()
    assert (rewards[1:] > 0).all()
    lessons = one.lessons(obs, torch.zeros(5, 2, dtype=torch.int64), torch.ones(5, 2))
    assert lessons.error.shape == (6, 2)
    (lessons.inverse + lessons.error.mean()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in one.parameters())
    assert all(p.grad is None for p in one.distillation.target.parameters())


def test_novelty_over_training_raises_the_reward_up_to_its_limit() -> None:
    one = curiosity()
    one.take_in(torch.tensor([1e-6, 2e-6]))  # whatever is seen stands out
    plain = Curiosity(CuriosityConfig(most=1.0), VECTORS, 3, network=SMALL, generator=chance())
    seen = torch.randn(5, 2, 4, generator=chance(3))
    memory, other = one.blank(2), plain.blank(2)
    for row, obs in enumerate(seen):
        raised, memory = one.look(obs, memory, torch.full((2,), row == 0))
        reward, other = plain.look(obs, other, torch.full((2,), row == 0))
        torch.testing.assert_close(raised, 5.0 * reward)


def test_goes_on_to_the_bit() -> None:
    one, other = curiosity(seed=1), curiosity(seed=2)
    one.take_in(torch.randn(7, generator=chance()).square())
    other.load_state_dict(one.state_dict())
    assert_same(one.state_dict(), other.state_dict())
    optimizers = [torch.optim.Adam(each.parameters(), lr=1e-2) for each in (one, other)]
    obs, action = torch.randn(4, 2, 4, generator=chance(5)), torch.ones(3, 2, dtype=torch.int64)
    memory = one.blank(2)
    for each, optimizer in zip((one, other), optimizers, strict=True):
        lessons = each.lessons(obs, action, torch.ones(3, 2))
        (lessons.inverse + lessons.error.mean()).backward()
        optimizer.step()
        each.take_in(lessons.error.detach())
    assert_same(one.state_dict(), other.state_dict())
    rewards = [each.look(obs[0], memory, torch.zeros(2, dtype=torch.bool))[0] for each in (one, other)]
    assert torch.equal(*rewards)


def test_looking_changes_no_network_and_no_moments_and_two_of_a_seed_are_equal() -> None:
    one, other = curiosity(), curiosity()
    walk(one, VECTORS, 3, 0)
    assert_same(one.state_dict(), other.state_dict())
