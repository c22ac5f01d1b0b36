"""From images `[*b, C, H, W]` to features: the networks of the Atari and MinAtar papers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float, Shaped
from torch import Generator, Tensor, nn

from angle_domains.errors import ConfigError
from angle_domains.networks.config import NetworkConfig
from angle_domains.networks.features import Features
from angle_domains.networks.layers import ACTIVATIONS, convolution2d, stack
from angle_domains.networks.opening import Opening
from angle_domains.networks.precision import compute_dtype, computing_in
from feeds.base import FeedSpec


class Residual(nn.Module):
    """Adds to its input what two convolutions make of it."""

    def __init__(self, channels: int, activation: str, generator: Generator) -> None:
        super().__init__()
        act = ACTIVATIONS[activation]
        first, second = (convolution2d(channels, channels, 3, generator, padding=1) for _ in range(2))
        self.layers = nn.Sequential(act(), first, act(), second)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return x + self.layers(x)


Layers = tuple[nn.Conv2d, list[nn.Module]]  # what reads the images, and what follows


def nature(channels: int, activation: str, generator: Generator) -> Layers:
    """Three convolutions (Mnih et al. 2015)."""
    act = ACTIVATIONS[activation]
    rest = [convolution2d(32, 64, 4, generator, stride=2), act(), convolution2d(64, 64, 3, generator), act()]
    return convolution2d(channels, 32, 8, generator, stride=4), [act(), *rest]


def impala(channels: int, activation: str, generator: Generator) -> Layers:
    """Fifteen convolutions: three times one, a pool and two residual blocks (Espeholt et al. 2018, figure 3)."""
    layers: list[nn.Module] = []
    for before, after in ((channels, 16), (16, 32), (32, 32)):
        layers += [convolution2d(before, after, 3, generator, padding=1), nn.MaxPool2d(3, 2, padding=1)]
        layers += [Residual(after, activation, generator) for _ in range(2)]
    first, *rest = layers
    assert isinstance(first, nn.Conv2d)
    return first, [*rest, ACTIVATIONS[activation]()]


def minatar(channels: int, activation: str, generator: Generator) -> Layers:
    """One convolution (Young and Tian 2019)."""
    return convolution2d(channels, 16, 3, generator), [ACTIVATIONS[activation]()]


@dataclass(frozen=True)
class Body:
    """The convolutions of a kind."""

    build: Callable[[int, str, Generator], Layers]  # (channels, activation, generator)
    smallest: int  # height and width that it can read


BODIES = {"nature": Body(nature, 36), "impala": Body(impala, 1), "minatar": Body(minatar, 3)}


class ImageTorso(nn.Module):
    """Convolutions, then dense layers. Images of whole numbers are divided by the greatest that their space allows.

    They come as they are, and take their floating-point form here alone: in a replay and in a minibatch they are bytes.
    """

    def __init__(self, spec: FeedSpec, config: NetworkConfig, generator: Generator) -> None:
        super().__init__()
        body, (channels, height, width) = BODIES[config.kind], image_shape(spec, config.kind)
        if min(height, width) < body.smallest:
            raise ConfigError(
                f"network.kind '{config.kind}' needs images of at least {body.smallest} by {body.smallest}, those of "
                f"{spec.name} are {height} by {width}: did you mean 'minatar' or 'impala'?"
            )
        self.precision = config.precision
        reads, layers = body.build(channels, config.activation, generator)
        self.opening, self.body = Opening(reads, _scale(spec)), nn.Sequential(*layers)
        with torch.no_grad():
            size = self.body(self.opening(torch.zeros(1, channels, height, width), torch.float32)).numel()
        self.dense = stack(size, config.hidden, config.activation, generator)
        self.whole_size, self.item_size = (size, *config.hidden)[-1], 0

    def forward(self, obs: Shaped[Tensor, "*b c h w"]) -> Features:
        dtype, images = compute_dtype(self.precision, obs.device), obs.reshape(-1, *obs.shape[-3:])
        with computing_in(dtype, obs.device):
            seen = self.body(self.opening(images, dtype))
            whole = self.dense(seen.permute(0, 2, 3, 1).flatten(1))  # channels lie innermost: no copy
        return Features(whole.to(torch.float32).reshape(*obs.shape[:-3], self.whole_size))


def image_shape(spec: FeedSpec, kind: str) -> tuple[int, int, int]:
    """Channels, height and width; ConfigError where observations are no images."""
    space = spec.observation_space
    if not isinstance(space, spaces.Box) or len(space.shape) != 3:
        raise ConfigError(
            f"network.kind '{kind}' reads images [channels, height, width], observations of {spec.name} are {space}: "
            "did you mean 'mlp'?"
        )
    channels, height, width = space.shape
    return channels, height, width


def _scale(spec: FeedSpec) -> float:
    """What brings images of whole numbers, 0 to 255 most often, to the range from 0 to 1."""
    space = spec.observation_space
    assert isinstance(space, spaces.Box)
    return 1.0 / float(space.high.max()) if np.issubdtype(space.dtype, np.integer) else 1.0
