"""From observations `[*b, D]` to features, and the table of all ways of reading what a feed shows."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from angle_domains.errors import ConfigError
from angle_domains.networks.config import NetworkConfig
from angle_domains.networks.features import Features
from angle_domains.networks.images import ImageTorso
from angle_domains.networks.layers import ACTIVATIONS, convolution, linear, stack
from feeds.base import FeedSpec

ASSET_AXIS = {"assets": 0, "tradable": 0, "weights": 0, "pending": 0, "window": 1}  # of the blocks that speak of assets


class MLP(nn.Module):
    """The observation as one vector."""

    def __init__(self, spec: FeedSpec, config: NetworkConfig, generator: Generator) -> None:
        super().__init__()
        self.layers = stack(observation_size(spec), config.hidden, config.activation, generator)
        self.whole_size, self.item_size = config.hidden[-1], 0

    def forward(self, obs: Float[Tensor, "*b d"]) -> Features:
        return Features(self.layers(obs))


class WindowConv(nn.Module):
    """The price window through convolutions over time that all assets share, then all of it as one vector.

    The evaluators are those of Jiang, Xu and Liang (2017), without softmax voting.
    """

    def __init__(self, spec: FeedSpec, config: NetworkConfig, generator: Generator) -> None:
        super().__init__()
        block = spec.block("window")
        if block is None or block.shape[0] < config.kernel:
            raise ConfigError(
                f"network.kind 'window' needs a feed with a price window of at least {config.kernel} bars: "
                "set feed.window, or choose network.kind 'mlp'"
            )
        self.start, self.stop, (self.bars, self.assets) = block.start, block.stop, block.shape
        few, many = config.channels
        self.short = convolution(1, few, config.kernel, generator)
        self.long = convolution(few, many, self.bars - config.kernel + 1, generator)
        self.activation = ACTIVATIONS[config.activation]()
        rest = observation_size(spec) - self.bars * self.assets
        self.layers = stack(rest + self.assets * many, config.hidden, config.activation, generator)
        self.whole_size, self.item_size = config.hidden[-1], 0

    def forward(self, obs: Float[Tensor, "*b d"]) -> Features:
        window = obs[..., self.start : self.stop].unflatten(-1, (self.bars, self.assets)).transpose(-1, -2)
        series = window.reshape(-1, 1, self.bars)
        read = self.activation(self.long(self.activation(self.short(series))))
        read = read.reshape(*obs.shape[:-1], -1)
        return Features(self.layers(torch.cat([obs[..., : self.start], obs[..., self.stop :], read], -1)))


class Pool(nn.Module):
    """One code for a set: the mean of its items, or a mean weighted by a learned score of each."""

    def __init__(self, size: int, kind: str, generator: Generator) -> None:
        super().__init__()
        self.score = linear(size, 1, generator, gain=1.0) if kind == "attention" else None

    def forward(self, items: Float[Tensor, "*b n e"]) -> Float[Tensor, "*b e"]:
        if self.score is None:
            return items.sum(-2) * (1.0 / items.shape[-2])  # the mean, whose gradient would divide every entry
        return (torch.softmax(self.score(items), -2) * items).sum(-2)


class SetEncoder(nn.Module):
    """Every asset, with what concerns all assets, through one encoder (Zaheer et al. 2017).

    In the last layer the assets see one another, through their pooled code. Permuting the assets of the observation
    permutes `items` and leaves `whole` as it is.
    """

    columns: Tensor  # [N · width] of the observation: what each asset's encoder reads

    def __init__(self, spec: FeedSpec, config: NetworkConfig, generator: Generator) -> None:
        super().__init__()
        own, context = _asset_columns(spec)
        columns = torch.tensor([row + context for row in own])
        self.assets, width = columns.shape
        self.register_buffer("columns", columns.flatten(), persistent=False)
        hidden, size = config.hidden[:-1] or config.hidden, config.hidden[-1]
        self.layers = stack(width, hidden, config.activation, generator)
        self.pool_code = Pool(hidden[-1], config.pooling, generator)
        self.mix_item = linear(hidden[-1], size, generator)
        self.mix_whole = linear(hidden[-1], size, generator, bias=False)
        self.activation = ACTIVATIONS[config.activation]()
        self.pool = Pool(size, config.pooling, generator)
        self.whole_size = self.item_size = size

    def forward(self, obs: Float[Tensor, "*b d"]) -> Features:
        code = self.layers(obs.index_select(-1, self.columns).unflatten(-1, (self.assets, -1)))
        mixed = self.mix_item(code).add_(self.mix_whole(self.pool_code(code)).unsqueeze(-2))
        items = self.activation(mixed)
        return Features(self.pool(items), items)


TORSOS: dict[str, type[MLP] | type[WindowConv] | type[SetEncoder] | type[ImageTorso]] = {
    "mlp": MLP,
    "window": WindowConv,
    "set": SetEncoder,
    "nature": ImageTorso,
    "impala": ImageTorso,
    "minatar": ImageTorso,
}


def observation_size(spec: FeedSpec) -> int:
    """Entries of one observation, flattened; ConfigError where it is an image or no array of numbers."""
    shape = spec.observation_space.shape
    if shape is not None and len(shape) == 3 and spec.observation_space.dtype == np.uint8:
        raise ConfigError(
            f"observations of {spec.name} are images: set agent.network.kind to 'nature', 'impala' or 'minatar'"
        )
    if shape is None or not spec.observation_space.is_np_flattenable or spec.observation_space.dtype is None:
        raise ConfigError(f"observations of {spec.name} are {spec.observation_space}: wrap it in FlattenObservation")
    size = 1
    for length in shape:
        size *= length
    return size


def exchangeable_columns(spec: FeedSpec) -> list[int]:
    """For each column of the observation the number of its group: columns that say the same of two assets share one."""
    own, context = _asset_columns(spec)
    group = [0] * (len(own) * len(own[0]) + len(context))
    for row in own:
        for place, column in enumerate(row):
            group[column] = place
    for place, column in enumerate(context):
        group[column] = len(own[0]) + place
    return group


def _asset_columns(spec: FeedSpec) -> tuple[list[list[int]], list[int]]:
    """For each asset the columns of the observation that speak of it, and the columns that speak of none."""
    assets = spec.block("assets")
    if assets is None:
        raise ConfigError(f"network.kind 'set' needs a feed that tells its assets apart, {spec.name} does not")
    own: list[list[int]] = [[] for _ in range(assets.shape[0])]
    context: list[int] = []
    for block in spec.blocks:
        columns = torch.arange(block.start, block.stop).reshape(block.shape)
        of = block.name.partition("/")[0]  # what is said of a block has its name in front
        if of not in ASSET_AXIS:
            context += columns.flatten().tolist()
            continue
        by_asset = columns.movedim(ASSET_AXIS[of], 0).reshape(len(own), -1)
        for asset, row in enumerate(by_asset.tolist()):
            own[asset] += row
    return own, context
