"""Networks of action values: plain or dueling, one number or many an action, with noise or without."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn.functional import linear as affine

from angle_domains.networks.config import NetworkConfig, Precision
from angle_domains.networks.layers import ACTIVATIONS, HIDDEN_GAIN, VALUE_GAIN, linear
from angle_domains.networks.precision import compute_dtype, computing_in
from angle_domains.networks.torsos import TORSOS
from feeds.base import FeedSpec

Noise = tuple[Tensor, ...]  # for each noisy layer in turn, what stirs its inputs and its outputs


@dataclass(frozen=True)
class QHead:
    """What stands on the torso."""

    outputs: int = 1  # numbers for each action
    hidden: tuple[int, ...] = ()  # layers between the torso and the outputs; a dueling head has them twice
    dueling: bool = False
    sigma: float | None = None  # of noisy layers, where training starts; None: no noise


class NoisyLinear(nn.Module):
    """A dense layer whose weights and biases are stirred by factorised noise (Fortunato et al. 2018, section 3).

    The noise is handed in, so that one layer can be read under several; without it the means alone speak. Since the
    noise of a weight is a product of one factor for its input and one for its output, it need not be built as a
    matrix: the factors may differ from sample to sample.
    """

    def __init__(self, inputs: int, outputs: int, sigma: float, generator: Generator) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound, generator=generator))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound, generator=generator))
        self.weight_sigma = nn.Parameter(torch.full((outputs, inputs), sigma * bound))
        self.bias_sigma = nn.Parameter(torch.full((outputs,), sigma * bound))

    def forward(self, x: Float[Tensor, "*b i"], noise: tuple[Tensor, Tensor] | None = None) -> Float[Tensor, "*b o"]:
        mean = affine(x, self.weight, self.bias)
        if noise is None:
            return mean
        inputs, outputs = noise
        return mean + outputs * affine(x * inputs, self.weight_sigma, self.bias_sigma)


class Stream(nn.Module):
    """Dense or noisy layers with the activation between them; the last of them computes in float32."""

    def __init__(
        self, sizes: tuple[int, ...], config: NetworkConfig, sigma: float | None, generator: Generator
    ) -> None:
        super().__init__()
        self.precision: Precision = config.precision if config.images else "float32"
        self.noisy = sigma is not None
        self.sizes = sizes
        self.activation = ACTIVATIONS[config.activation]()
        layers: list[nn.Module] = []
        for place, (before, after) in enumerate(pairwise(sizes)):
            gain = VALUE_GAIN if place == len(sizes) - 2 else HIDDEN_GAIN
            layers.append(
                linear(before, after, generator, gain)
                if sigma is None
                else NoisyLinear(before, after, sigma, generator)
            )
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Float[Tensor, "*b i"], noise: Noise | None) -> Float[Tensor, "*b o"]:
        last = len(self.layers) - 1
        if last:
            with computing_in(compute_dtype(self.precision, x.device), x.device):
                for place in range(last):
                    x = self.activation(self._layer(place, x, noise))
        return self._layer(last, x.to(torch.float32), noise)

    def _layer(self, place: int, x: Tensor, noise: Noise | None) -> Tensor:
        return self.layers[place](x) if noise is None else self.layers[place](x, noise[2 * place : 2 * place + 2])


class QNetwork(nn.Module):
    """`forward` maps observations to `head.outputs` numbers for every action."""

    def __init__(self, spec: FeedSpec, config: NetworkConfig, head: QHead, actions: int, generator: Generator) -> None:
        super().__init__()
        self.torso = TORSOS[config.kind](spec, config, generator)
        self.actions, self.head = actions, head
        sizes = (self.torso.whole_size, *head.hidden)

        def stream(outputs: int) -> Stream:
            return Stream((*sizes, outputs), config, head.sigma, generator)

        self.advantage = stream(actions * head.outputs)
        self.value = stream(head.outputs) if head.dueling else None
        factors = [self.advantage.sizes] if self.value is None else [self.advantage.sizes, self.value.sizes]
        self.factors = [size for sizes in factors for pair in pairwise(sizes) for size in pair]

    def forward(self, obs: Tensor, noise: Noise | None = None) -> Float[Tensor, "*b n k"]:
        whole = self.torso(obs).whole
        ours = 2 * len(self.advantage.layers)
        advantage = self.advantage(whole, noise and noise[:ours]).unflatten(-1, (self.actions, self.head.outputs))
        if self.value is None:
            return advantage
        value = self.value(whole, noise and noise[ours:]).unsqueeze(-2)
        return value + advantage - advantage.mean(-2, keepdim=True)

    def draw(self, generator: Generator, *batch: int) -> Noise | None:
        """Noise for one reading, the same for all samples, or of shape `[*batch, ...]`; None for a network without."""
        if self.head.sigma is None:
            return None
        raw = torch.randn((*batch, sum(self.factors)), generator=generator, device=generator.device)
        return (raw.sign() * raw.abs().sqrt()).split(self.factors, -1)


Expectation = Callable[[Float[Tensor, "*b n k"]], Float[Tensor, "*b n"]]  # of the numbers for each action
