"""Layers with orthogonal weights, drawn from a generator that is handed in."""

import math
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Generator, Tensor, nn

HIDDEN_GAIN = math.sqrt(2.0)
POLICY_GAIN = 0.01
VALUE_GAIN = 1.0

Layer = TypeVar("Layer", nn.Linear, nn.Conv1d, nn.Conv2d)

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}


def linear(inputs: int, outputs: int, generator: Generator, gain: float = HIDDEN_GAIN, bias: bool = True) -> nn.Linear:
    """A dense layer with orthogonal weights and a bias of 0."""
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias)
    return _initialise(layer, generator, gain)


def convolution(inputs: int, outputs: int, kernel: int, generator: Generator) -> nn.Conv1d:
    """A convolution over time with orthogonal weights and a bias of 0."""
    layer = nn.utils.skip_init(nn.Conv1d, inputs, outputs, kernel)
    return _initialise(layer, generator, HIDDEN_GAIN)


def convolution2d(
    inputs: int, outputs: int, kernel: int, generator: Generator, *, stride: int = 1, padding: int = 0
) -> nn.Conv2d:
    """A convolution over an image with orthogonal weights and a bias of 0."""
    layer = nn.utils.skip_init(nn.Conv2d, inputs, outputs, kernel, stride=stride, padding=padding)
    return _initialise(layer, generator, HIDDEN_GAIN)


def stack(inputs: int, hidden: tuple[int, ...], activation: str, generator: Generator) -> nn.Sequential:
    """Dense layers, each followed by the activation."""
    sizes = (inputs, *hidden)
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [linear(before, after, generator), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers)


def _initialise(layer: Layer, generator: Generator, gain: float) -> Layer:
    nn.init.orthogonal_(layer.weight, gain, generator=generator)
    if isinstance(layer.bias, Tensor):
        with torch.no_grad():
            layer.bias.zero_()
    return layer
