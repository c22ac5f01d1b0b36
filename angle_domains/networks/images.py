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


def nature(channels: int, activation: str, generator: Generator) -> nn.Sequential:
    """Three convolutions (Mnih et al. 2015)."""
    act = ACTIVATIONS[activation]
    return nn.Sequential(
        convolution2d(channels, 32, 8, generator, stride=4),
        act(),
        convolution2d(32, 64, 4, generator, stride=2),
        act(),
        convolution2d(64, 64, 3, generator),
        act(),
    )


def impala(channels: int, activation: str, generator: Generator) -> nn.Sequential:
    """Fifteen convolutions: three times one, a pool and two residual blocks (Espeholt et al. 2018, figure 3)."""
    layers: list[nn.Module] = []
    for before, after in ((channels, 16), (16, 32), (32, 32)):
        layers += [convolution2d(before, after, 3, generator, padding=1), nn.MaxPool2d(3, 2, padding=1)]
        layers += [Residual(after, activation, generator) for _ in range(2)]
    return nn.Sequential(*layers, ACTIVATIONS[activation]())


def minatar(channels: int, activation: str, generator: Generator) -> nn.Sequential:
    """One convolution (Young and Tian 2019)."""
    return nn.Sequential(convolution2d(channels, 16, 3, generator), ACTIVATIONS[activation]())


@dataclass(frozen=True)
class Body:
    """The convolutions of a kind."""

    build: Callable[[int, str, Generator], nn.Sequential]  # (channels, activation, generator)
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
        self.scale = _scale(spec)
        self.precision = config.precision
        self.body = body.build(channels, config.activation, generator)
        with torch.no_grad():
            size = self.body(torch.zeros(1, channels, height, width)).numel()
        self.dense = stack(size, config.hidden, config.activation, generator)
        self.whole_size, self.item_size = (size, *config.hidden)[-1], 0

    def forward(self, obs: Shaped[Tensor, "*b c h w"]) -> Features:
        dtype = compute_dtype(self.precision, obs.device)
        frames = obs.reshape(-1, *obs.shape[-3:]).to(dtype)
        if self.scale != 1.0:
            frames = frames * self.scale if obs.is_floating_point() else frames.mul_(self.scale)  # ours: it is a copy
        frames = frames.contiguous(memory_format=torch.channels_last)  # after the cast: both at once take twice as long
        with computing_in(dtype, obs.device):
            whole = self.dense(self.body(frames).flatten(1))
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
