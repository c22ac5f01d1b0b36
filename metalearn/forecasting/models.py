"""Forecasters that learn by gradients. All anchor on the last value that was seen, and can be run under `vmap`.

NLinear: Zeng, Chen, Zhang and Xu (2023), "Are Transformers Effective for Time Series Forecasting?", arXiv:2205.13504,
here with quantiles, with gaps told, and with the level, which the difference from the last value would hide. TSMixer:
Chen, Li, Yoder, Arik and Pfister (2023), arXiv:2303.06053, with layer norms and no dropout. GRU-D: Che, Purushotham,
Cho, Sontag and Liu (2018), arXiv:1606.01865, the decay of inputs alone.

`typical`, a buffer, is how far each variable moves in a tick (`histories.typical_change`); it begins at 1.
"""

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from metalearn.forecasting.histories import History
from metalearn.forecasting.quantiles import LEVELS, ordered


def dense(inputs: int, outputs: int, generator: Generator, *, share: float = 1.0) -> nn.Linear:
    """Weights uniform within 1 / sqrt(inputs) times `share`, a bias of 0."""
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
    bound = share / math.sqrt(inputs)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.zero_()
    return layer


def anchored(
    history: History, scale: Float[Tensor, "*b d"], raw: Float[Tensor, "*b h d q"]
) -> Float[Tensor, "*b h d q"]:
    """Quantiles about the last value, in units of how far the variable moves."""
    return history.last()[..., None, :, None] + scale[..., None, :, None] * ordered(raw)


class NLinear(nn.Module):
    """Each variable from its own past, by weights that all variables share or by weights of its own."""

    typical: Tensor

    def __init__(
        self, length: int, variables: int, horizons: int, generator: Generator, *, shared: bool = False
    ) -> None:
        super().__init__()
        self.horizons = horizons
        groups, outputs = 1 if shared else variables, horizons * len(LEVELS)
        self.register_buffer("typical", torch.ones(variables))
        width = 2 * length + 1
        bound = 0.1 / math.sqrt(width)
        self.weight = nn.Parameter(torch.empty(groups, width, outputs).uniform_(-bound, bound, generator=generator))
        self.bias = nn.Parameter(torch.zeros(groups, outputs))

    def forward(self, history: History) -> Float[Tensor, "*b h d q"]:
        scale = history.scale(self.typical)
        # the values about their own mean, and that mean: as far apart as they can be told, so that descent is quick
        relative, level = history.relative(scale), (history.level() / scale).unsqueeze(-2)
        mean = relative.sum(-2, keepdim=True) / history.seen.sum(-2, keepdim=True).clamp(min=1.0)
        about = (relative - mean) * history.seen
        read = torch.cat([about, 1.0 - history.seen, mean + level], -2).mT  # [*b, d, 2 l + 1]
        raw = (read.unsqueeze(-2) @ self.weight).squeeze(-2) + self.bias
        return anchored(history, scale, raw.unflatten(-1, (self.horizons, len(LEVELS))).transpose(-2, -3))


class Mixer(nn.Module):
    """Layers that mix ticks, then variables, in turn."""

    typical: Tensor

    def __init__(
        self, length: int, variables: int, horizons: int, generator: Generator, *, layers: int = 2, hidden: int = 64
    ) -> None:
        super().__init__()
        self.register_buffer("typical", torch.ones(variables))
        self.variables, width = variables, 3 * variables
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * layers))
        self.over_time = nn.ModuleList(dense(length, length, generator) for _ in range(layers))
        self.widen = nn.ModuleList(dense(width, hidden, generator) for _ in range(layers))
        self.narrow = nn.ModuleList(dense(hidden, width, generator, share=0.1) for _ in range(layers))
        self.ahead = dense(length, horizons, generator)
        self.head = dense(width, variables * len(LEVELS), generator, share=0.1)

    def forward(self, history: History) -> Float[Tensor, "*b h d q"]:
        scale = history.scale(self.typical)
        level = (history.level() / scale).unsqueeze(-2).expand_as(history.value)
        x = torch.cat([history.relative(scale), 1.0 - history.seen, level], -1)
        for place, (over_time, widen, narrow) in enumerate(zip(self.over_time, self.widen, self.narrow, strict=True)):
            x = x + torch.relu(over_time(self.norms[2 * place](x).mT)).mT
            x = x + narrow(torch.relu(widen(self.norms[2 * place + 1](x))))
        raw = self.head(self.ahead(x.mT).mT)
        return anchored(history, scale, raw.unflatten(-1, (self.variables, len(LEVELS))))


class DecayingGRU(nn.Module):
    """A recurrent cell for series measured now and then: what was seen long ago fades to the mean."""

    typical: Tensor

    def __init__(self, length: int, variables: int, horizons: int, generator: Generator, *, hidden: int = 64) -> None:
        super().__init__()
        self.register_buffer("typical", torch.ones(variables))
        self.variables, self.horizons, self.hidden = variables, horizons, hidden
        self.decay = nn.Parameter(torch.full((variables,), 0.05))
        self.delay = nn.Parameter(torch.zeros(variables))
        self.read = dense(3 * variables, 3 * hidden, generator)
        self.keep = dense(hidden, 3 * hidden, generator)
        self.head = dense(hidden, horizons * variables * len(LEVELS), generator, share=0.1)

    def forward(self, history: History) -> Float[Tensor, "*b h d q"]:
        since = history.since()
        fading = torch.exp(-torch.relu(self.decay * since + self.delay))
        before = history.value[..., 0, :]  # where it was not seen: what was known by then
        state = torch.zeros_like(before[..., :1]).expand(*before.shape[:-1], self.hidden)
        for tick in range(history.value.shape[-2]):
            seen = history.seen[..., tick, :]
            filled = seen * history.value[..., tick, :] + (1.0 - seen) * fading[..., tick, :] * before
            before = torch.where(seen > 0, history.value[..., tick, :], before)
            state = self._cell(torch.cat([filled, seen, since[..., tick, :].log1p()], -1), state)
        raw = self.head(state).unflatten(-1, (self.horizons, self.variables, len(LEVELS)))
        return anchored(history, history.scale(self.typical), raw)

    def _cell(self, x: Float[Tensor, "*b i"], state: Float[Tensor, "*b c"]) -> Float[Tensor, "*b c"]:
        """Cho et al. (2014), the reset before the product with the state's weights as in cuDNN."""
        read, write, new = self.read(x).chunk(3, -1)
        read_kept, write_kept, new_kept = self.keep(state).chunk(3, -1)
        update = torch.sigmoid(write + write_kept)
        candidate = torch.tanh(new + torch.sigmoid(read + read_kept) * new_kept)
        return update * state + (1.0 - update) * candidate
