import numpy as np
import pytest
import torch
from gymnasium import spaces

from angle_domains.errors import ConfigError
from angle_domains.networks import NetworkConfig
from angle_domains.networks.torsos import TORSOS
from feeds.base import FeedSpec

KINDS = {"nature": (4, 84, 84), "impala": (4, 84, 84), "minatar": (6, 10, 10)}


def spec_of(shape: tuple[int, ...], high: float = 255, dtype: type = np.uint8) -> FeedSpec:
    return FeedSpec("games", spaces.Box(0, high, shape, dtype), spaces.Discrete(3))


def torso_of(kind: str, shape: tuple[int, ...] | None = None, seed: int = 0, **settings: object) -> torch.nn.Module:
    config = NetworkConfig(kind=kind, **{"precision": "float32"} | settings)
    return TORSOS[kind](spec_of(shape or KINDS[kind]), config, torch.Generator().manual_seed(seed))


def images(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_sizes_are_those_of_the_papers() -> None:
    nature = (4 * 64 + 1) * 32 + (32 * 16 + 1) * 64 + (64 * 9 + 1) * 64 + (64 * 7 * 7 + 1) * 512
    assert count(torso_of("nature")) == nature == 1_684_128
    assert count(torso_of("minatar")) == (6 * 9 + 1) * 16 + (16 * 8 * 8 + 1) * 128
    convolutions = [m for m in torso_of("impala").modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 15
    assert [torso_of(kind).whole_size for kind in KINDS] == [512, 256, 128]
    assert torso_of("impala").dense[0].in_features == 32 * 11 * 11


@pytest.mark.parametrize("kind", KINDS)
def test_leading_axes_come_back(kind: str) -> None:
    torso, obs = torso_of(kind), images(3, 2, *KINDS[kind])
    before = obs.clone()
    whole = torso(obs).whole
    assert whole.shape == (3, 2, torso.whole_size)
    assert whole.dtype == torch.float32
    assert torch.equal(obs, before)
    torch.testing.assert_close(whole[1, 1], torso(obs[1, 1]).whole, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_are_read_as_numbers_from_0_to_1(kind: str) -> None:
    obs = images(2, *KINDS[kind])
    torso = torso_of(kind)
    plain = TORSOS[kind](
        spec_of(KINDS[kind], 1.0, np.float32),
        NetworkConfig(kind=kind, precision="float32"),
        torch.Generator().manual_seed(0),
    )
    torch.testing.assert_close(torso(obs).whole, plain(obs.float() / 255).whole, atol=1e-4, rtol=1e-3)


def test_bytes_that_are_flags_stay_as_they_are() -> None:
    flags = TORSOS["minatar"](spec_of((6, 10, 10), 1), NetworkConfig(kind="minatar"), torch.Generator())
    assert flags.opening.scale == 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_tells_the_same_to_its_precision_and_leaves_the_weights_in_float32(kind: str) -> None:
    obs = images(4, *KINDS[kind])
    whole, rough = (torso_of(kind, precision=precision)(obs).whole for precision in ("float32", "bfloat16"))
    assert rough.dtype == torch.float32
    assert 0.0 < (whole - rough).norm() / whole.norm() < 0.03
    torso = torso_of(kind, precision="bfloat16")
    torso(obs).whole.sum().backward()
    assert {parameter.grad.dtype for parameter in torso.parameters()} == {torch.float32}


def test_weights_are_orthogonal_and_drawn_from_the_given_generator() -> None:
    before = torch.get_rng_state()
    one, other, third = (torso_of("nature", seed=seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    weight = one.opening.layer.weight.flatten(1)
    torch.testing.assert_close(weight @ weight.T, 2.0 * torch.eye(32), atol=1e-5, rtol=1e-5)
    assert torch.equal(weight, other.opening.layer.weight.flatten(1))
    assert not torch.equal(weight, third.opening.layer.weight.flatten(1))


def test_without_dense_layers_the_convolutions_speak() -> None:
    torso = torso_of("nature", hidden=())
    assert torso(images(2, 4, 84, 84)).whole.shape == (2, torso.whole_size) == (2, 3136)


def test_settings_that_are_not_given_are_those_of_the_kind() -> None:
    vector, image = NetworkConfig(), NetworkConfig(kind="nature", shared=False)
    assert (vector.hidden, vector.activation, vector.shared) == ((64, 64), "tanh", False)
    assert (image.hidden, image.activation, image.shared) == ((512,), "relu", False)
    assert NetworkConfig(kind="impala").shared
    with pytest.raises(ValueError, match="at least one layer"):
        NetworkConfig(hidden=())


@pytest.mark.parametrize(
    ("kind", "shape", "clause"),
    [
        ("nature", (4,), "did you mean 'mlp'"),
        ("nature", (84, 84), "channels, height, width"),
        ("nature", (4, 10, 10), "at least 36 by 36"),
        ("minatar", (4, 2, 10), "at least 3 by 3"),
        ("mlp", (4, 84, 84), "'nature', 'impala' or 'minatar'"),
    ],
)
def test_what_does_not_fit_is_a_mistake_of_the_user(kind: str, shape: tuple[int, ...], clause: str) -> None:
    with pytest.raises(ConfigError, match=clause):
        torso_of(kind, shape)
