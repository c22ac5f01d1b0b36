"""Two critics that are read and trained as one: every dense layer of both is one batched product."""

from itertools import pairwise

import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Generator, Tensor, nn

from angle_domains.errors import ConfigError
from angle_domains.networks.boxes import BoxScale
from angle_domains.networks.config import NetworkConfig
from angle_domains.networks.layers import ACTIVATIONS, HIDDEN_GAIN, VALUE_GAIN, linear
from angle_domains.networks.torsos import TORSOS, observation_size
from feeds.base import FeedSpec

# Kinds whose critics read observation and action as one vector. Pooled features of a set would no longer tell which
# asset an action belongs to.
_AS_VECTOR = ("mlp", "set")


class TwinLayers(nn.Module):
    """Two stacks of dense layers with the activation between them; the weights of the two lie side by side."""

    def __init__(self, sizes: tuple[int, ...], activation: str, generator: Generator) -> None:
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for place, (before, after) in enumerate(pairwise(sizes)):
            gain = VALUE_GAIN if place == len(sizes) - 2 else HIDDEN_GAIN
            twins = [linear(before, after, generator, gain).weight.detach().T for _ in range(2)]
            self.weights.append(nn.Parameter(torch.stack(twins)))
            self.biases.append(nn.Parameter(torch.zeros(2, 1, after)))
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: Float[Tensor, "k b i"], twins: int = 2) -> Float[Tensor, "k b o"]:
        """What the first `twins` of the two make of their inputs."""
        for place, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if twins < 2:
                weight, bias = weight[:twins], bias[:twins]
            x = torch.baddbmm(bias, self.activation(x) if place else x, weight)
        return x


class TwinCritics(nn.Module):
    """`forward` gives both critics' values: of the action that is given in a box, of each action of `Discrete`."""

    def __init__(self, spec: FeedSpec, config: NetworkConfig, generator: Generator) -> None:
        super().__init__()
        space = spec.action_space
        if isinstance(space, spaces.Box):
            self.scale: BoxScale | None = BoxScale(space)
            inputs, outputs = space.shape[0], 1
        elif isinstance(space, spaces.Discrete):
            self.scale, inputs, outputs = None, 0, int(space.n)
        else:
            raise ConfigError(f"twin critics need actions in Box or Discrete, those of {spec.name} are {space}")
        self.torsos: nn.ModuleList | None = None
        if config.kind in _AS_VECTOR:
            width, hidden = observation_size(spec), config.hidden
        else:
            torsos = [TORSOS[config.kind](spec, config, generator) for _ in range(2)]
            self.torsos = nn.ModuleList(torsos)
            width, hidden = torsos[0].whole_size, config.hidden[-1:] if inputs else ()
        self.layers = TwinLayers((width + inputs, *hidden, outputs), config.activation, generator)

    def forward(self, obs: Tensor, action: Float[Tensor, "b a"] | None = None, twins: int = 2) -> Tensor:
        """`[2, B]` with an action, else `[2, B, n]`; with `twins=1` of the first critic alone."""
        if self.torsos is None:
            seen = obs.expand(twins, *obs.shape)
        else:
            seen = torch.stack([torso(obs).whole for torso in self.torsos[:twins]])
        if self.scale is None:
            return self.layers(seen, twins)
        assert action is not None
        place = self.scale.place(action)
        return self.layers(torch.cat([seen, place.expand(twins, *place.shape)], -1), twins).squeeze(-1)
