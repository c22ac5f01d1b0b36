import numpy as np
import pytest
import torch
from gymnasium import spaces

from angle_domains.errors import ConfigError
from angle_domains.networks import NetworkConfig
from angle_domains.networks.boxes import BoxScale
from angle_domains.networks.critics import TwinCritics, TwinLayers
from feeds.base import FeedSpec
from tests.contracts import worlds

UNEVEN = spaces.Box(np.array([-1.0, 10.0], np.float32), np.array([3.0, 30.0], np.float32))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def spec_of(action: spaces.Space, size: int = 3) -> FeedSpec:
    return FeedSpec("world", spaces.Box(-1.0, 1.0, (size,), np.float32), action)


def test_the_layers_of_two_are_those_of_each() -> None:
    layers, x = TwinLayers((5, 7, 2), "tanh", generator()), torch.randn(2, 4, 5, generator=generator(1))
    for twin in range(2):
        weights, biases = ([p[twin] for p in part] for part in (layers.weights, layers.biases))
        alone = torch.tanh(x[twin] @ weights[0] + biases[0]) @ weights[1] + biases[1]
        torch.testing.assert_close(layers(x)[twin], alone)
    torch.testing.assert_close(layers(x[:1], 1)[0], layers(x)[0])


def test_the_two_begin_apart_and_orthogonal() -> None:
    weight = TwinLayers((6, 6), "relu", generator()).weights[0].detach()
    assert not torch.allclose(weight[0], weight[1])
    torch.testing.assert_close(weight @ weight.mT, torch.eye(6).expand(2, 6, 6), atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("kind", ["mlp", "set", "window"])
def test_every_kind_of_network_judges_actions(kind: str) -> None:
    spec = worlds.market_spec(simplex=False)
    critics = TwinCritics(spec, NetworkConfig(kind=kind, hidden=(8, 8)), generator())
    obs = torch.randn(5, *spec.observation_space.shape, generator=generator(1))
    action = torch.zeros(5, 4, requires_grad=True)
    value = critics(obs, action)
    assert value.shape == (2, 5)
    torch.testing.assert_close(critics(obs, action, twins=1)[0], value[0])
    value.sum().backward()
    assert (action.grad != 0).all()
    assert all(parameter.grad is not None for parameter in critics.parameters())


def test_choices_are_all_judged_at_once() -> None:
    critics = TwinCritics(spec_of(spaces.Discrete(4)), NetworkConfig(hidden=(8,)), generator())
    assert critics(torch.randn(5, 3, generator=generator(1))).shape == (2, 5, 4)
    with pytest.raises(ConfigError, match="Box or Discrete"):
        TwinCritics(spec_of(spaces.MultiDiscrete([2, 3])), NetworkConfig(), generator())


@pytest.mark.parametrize("kind", ["minatar", "nature", "impala"])
def test_critics_of_pictures_have_eyes_of_their_own(kind: str) -> None:
    side = 10 if kind == "minatar" else 84
    spec = FeedSpec("world", spaces.Box(0, 255, (4, side, side), np.uint8), spaces.Discrete(3))
    critics = TwinCritics(spec, NetworkConfig(kind=kind, hidden=(8,)), generator())
    obs = torch.randint(256, (2, 4, side, side), generator=generator(1)).to(torch.uint8)
    value = critics(obs)
    assert value.shape == (2, 2, 3)
    value[0].sum().backward()
    assert critics.torsos is not None
    graded = [all(p.grad is not None and bool(p.grad.any()) for p in torso.parameters()) for torso in critics.torsos]
    idle = [not any(p.grad is not None and bool(p.grad.any()) for p in torso.parameters()) for torso in critics.torsos]
    assert (graded[0], idle[1]) == (True, True)


def test_critics_read_where_in_the_box_an_action_lies() -> None:
    config = NetworkConfig(hidden=(8,))
    wide, unit = (
        TwinCritics(spec_of(space), config, generator()) for space in (UNEVEN, spaces.Box(-1.0, 1.0, (2,), np.float32))
    )
    obs = torch.randn(3, 3, generator=generator(1))
    action = torch.tensor([[-1.0, 10.0], [1.0, 25.0], [3.0, 30.0]])
    place = torch.tensor([[-1.0, -1.0], [0.0, 0.5], [1.0, 1.0]])
    torch.testing.assert_close(wide(obs, action), unit(obs, place))


def test_places_and_actions_of_a_box_by_hand() -> None:
    scale = BoxScale(UNEVEN)
    place = torch.tensor([[-1.0, 0.5], [2.0, -7.0]])
    torch.testing.assert_close(scale.action(place), torch.tensor([[-1.0, 25.0], [3.0, 10.0]]))
    torch.testing.assert_close(scale.place(torch.tensor([[0.0, 30.0]])), torch.tensor([[-0.5, 1.0]]))
    drawn = scale.uniform(4000, generator())
    torch.testing.assert_close(drawn.mean(0), torch.tensor([1.0, 20.0]), atol=0.4, rtol=0.0)
    assert all(UNEVEN.contains(row.numpy()) for row in drawn)


@pytest.mark.parametrize("space", [spaces.Discrete(2), spaces.Box(0.0, np.inf, (2,)), spaces.Box(0.0, 1.0, (2, 2))])
def test_what_is_no_box_with_edges_is_refused(space: spaces.Space) -> None:
    with pytest.raises(ConfigError):
        BoxScale(space)
