import copy

import numpy as np
import pytest
import torch
from gymnasium import spaces

import angle_domains as ad
from angle_domains.errors import CheckpointError, TrainingError
from angle_domains.networks import NetworkConfig
from angle_domains.q_learning import QLearning
from feeds.base import FeedSpec
from tests.contracts.trees import assert_same

OBSERVATION = spaces.Box(-1.0, 1.0, (2,), np.float32)
BOX, CHOICES = spaces.Box(-2.0, 2.0, (1,), np.float32), spaces.Discrete(3, start=5)
STATES = torch.tensor([[0.5, -0.5], [1.0, 0.0]])
ACTIONS = torch.tensor([[0.5], [-2.0]])


def learner(space: spaces.Space = BOX, hidden: int = 8, seed: int = 0) -> QLearning:
    return QLearning(
        FeedSpec("world", OBSERVATION, space),
        NetworkConfig(hidden=(hidden,)),
        learning_rate=1e-2,
        tau=0.25,
        generator=torch.Generator().manual_seed(seed),
    )


def test_it_is_public() -> None:
    assert ad.QLearning is QLearning


def test_the_future_is_the_lesser_of_both_targets() -> None:
    q = learner()
    with torch.no_grad():
        for parameter in q.target.layers.weights:
            parameter.zero_()
        q.target.layers.biases[-1].copy_(torch.tensor([3.0, 2.0]).reshape(2, 1, 1))
    assert q.Q_future_function(STATES, ACTIONS).tolist() == [2.0, 2.0]
    q = learner()
    both = q.Q_function(STATES, ACTIONS)
    torch.testing.assert_close(q.Q_future_function(STATES, ACTIONS), torch.minimum(both[0], both[1]))
    assert not q.Q_future_function(STATES, ACTIONS).requires_grad


def test_choices_are_named_as_the_environment_names_them() -> None:
    q = learner(CHOICES)
    every = q.Q_future_function(STATES)
    assert every.shape == (2, 3)
    chosen = q.Q_future_function(STATES, torch.tensor([7, 5]))
    torch.testing.assert_close(chosen, torch.stack([every[0, 2], every[1, 0]]))


def test_loss_by_hand_and_weights() -> None:
    q = learner()
    values = q.Q_function(STATES, ACTIONS).detach()
    target = torch.tensor([1.0, -1.0])
    loss, found = q.loss(STATES, ACTIONS, target, torch.tensor([1.0, 0.5]))
    torch.testing.assert_close(found, values)
    each = 0.5 * ((values[0] - target) ** 2 + (values[1] - target) ** 2)
    torch.testing.assert_close(loss.detach(), (each[0] + 0.5 * each[1]) / 2)


def test_learning_moves_the_critics_and_following_the_targets_by_tau() -> None:
    q = learner()
    start = [parameter.detach().clone() for parameter in q.parameters]
    q.learn(q.loss(STATES, ACTIONS, torch.tensor([5.0, -5.0]), torch.ones(2))[0])
    assert_same(start, list(q.target.parameters()))
    q.follow()
    for before, now, target in zip(start, q.parameters, q.target.parameters(), strict=True):
        torch.testing.assert_close(target, before + 0.25 * (now.detach() - before))


def test_it_finds_the_values_it_is_told() -> None:
    q, target = learner(), torch.tensor([3.0, -1.0])
    for _ in range(500):
        q.learn(q.loss(STATES, ACTIONS, target, torch.ones(2))[0])
    torch.testing.assert_close(q.Q_function(STATES, ACTIONS).detach(), target.expand(2, 2), atol=0.05, rtol=0.0)


def test_held_critics_pass_gradients_on_and_take_none() -> None:
    q, actions = learner(), ACTIONS.clone().requires_grad_()
    with q.held():
        q.first_critic(STATES, actions).sum().backward()
    assert actions.grad is not None
    assert (actions.grad != 0).all()
    assert all(parameter.grad is None and parameter.requires_grad for parameter in q.parameters)


def test_a_target_that_is_no_number_leaves_the_critics_as_they_were() -> None:
    q = learner()
    before = [parameter.detach().clone() for parameter in q.parameters]
    with pytest.raises(TrainingError, match="not finite"):
        q.learn(q.loss(STATES, ACTIONS, torch.tensor([float("nan"), 0.0]), torch.ones(2))[0])
    assert_same(before, list(q.parameters))


def test_its_state_goes_on_to_the_bit_and_another_network_is_refused() -> None:
    def step(q: QLearning) -> None:
        q.learn(q.loss(STATES, ACTIONS, torch.tensor([1.0, 2.0]), torch.ones(2))[0])
        q.follow()

    one, other = learner(seed=0), learner(seed=1)
    step(one)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    step(one)
    step(other)
    assert_same(one.state_dict(), other.state_dict())
    with pytest.raises(CheckpointError, match="another network"):
        learner(hidden=9).load_state_dict(one.state_dict())
