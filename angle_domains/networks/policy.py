"""The network of an actor-critic: a distribution of actions and a value for every observation."""

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Generator, Tensor, nn

from angle_domains.distributions import Distribution
from angle_domains.errors import ConfigError
from angle_domains.networks.config import NetworkConfig
from angle_domains.networks.features import Features, Torso
from angle_domains.networks.heads import Head, HeadKind, make_head
from angle_domains.networks.layers import POLICY_GAIN, VALUE_GAIN, linear
from angle_domains.networks.recurrence import Past, Recurrence
from angle_domains.networks.torsos import TORSOS
from feeds.base import FeedSpec


class Readout(nn.Module):
    """Features to the parameters of a head: those of all items first, then those that belong to none."""

    def __init__(self, torso: Torso, size: int, head: Head, items: int, generator: Generator) -> None:
        super().__init__()
        self.by_item = torso.item_size > 0
        if not self.by_item:
            self.whole: nn.Linear | None = linear(size, items * head.per_item + head.whole, generator, POLICY_GAIN)
            return
        self.item = linear(torso.item_size, head.per_item, generator, POLICY_GAIN)
        self.whole = linear(size, head.whole, generator, POLICY_GAIN) if head.whole else None

    def forward(self, features: Features) -> Float[Tensor, "*b p"]:
        if not self.by_item or features.items is None:
            assert self.whole is not None
            return self.whole(features.whole)
        parameters = self.item(features.items).flatten(-2)
        if self.whole is None:
            return parameters
        return torch.cat([parameters, self.whole(features.whole)], -1)


class PolicyModel(nn.Module):
    """`forward` maps one batch of observations to a distribution, `forward_tensor` the same over `[T, B, ...]`.

    The value of an observation stands beside it, through a body of its own unless the configuration shares one; an
    actor whose critics are elsewhere is built without (`values=False`).
    """

    def __init__(
        self,
        spec: FeedSpec,
        config: NetworkConfig,
        head: HeadKind,
        *,
        log_std: float,
        generator: Generator,
        values: bool = True,
    ) -> None:
        super().__init__()
        torso = TORSOS[config.kind]
        self.head = make_head(head, spec, log_std=log_std, shared_std=config.kind == "set")
        self.policy_torso = torso(spec, config, generator)
        if self.policy_torso.item_size and not self.head.per_item:
            raise ConfigError(f"network.kind 'set' decides asset by asset, actions of {spec.name} are not of that form")
        items = spec.action_space.shape[0] if spec.action_space.shape else 0
        size = config.recurrent or self.policy_torso.whole_size
        self.recurrence = Recurrence(self.policy_torso.whole_size, size, generator) if config.recurrent else None
        self.readout = Readout(self.policy_torso, size, self.head, items, generator)
        self.shared = config.shared
        self.value_torso = None if config.shared or not values else torso(spec, config, generator)
        self.value_out = linear(size, 1, generator, VALUE_GAIN) if values else None

    def forward(self, obs: Shaped[Tensor, "b *obs"], mask: Bool[Tensor, "b m"] | None = None) -> Distribution:
        return self.head(self.readout(self.policy_torso(obs)), mask)

    def forward_tensor(
        self, obs: Shaped[Tensor, "t b *obs"], mask: Bool[Tensor, "t b m"] | None = None
    ) -> Distribution:
        return self.head(self.readout(self.policy_torso(obs)), mask)

    def value(self, obs: Tensor) -> Tensor:
        """`[*b]`, of observations `[*b, *obs]`."""
        torso = self.policy_torso if self.value_torso is None else self.value_torso
        return self._value(torso(obs).whole)

    def evaluate(
        self, obs: Tensor, mask: Bool[Tensor, "n m"] | None = None, past: Past | None = None
    ) -> tuple[Distribution, Float[Tensor, " n"]]:
        """Distribution and value of observations `[n, *obs]`, the shared body read once.

        With a `past` they are those of sequences `[T, B, *obs]`, flattened, of the rows that it asks for.
        """
        if past is not None:
            return self._judge(Features(self._remember(obs, past)[0]), mask)
        features = self.policy_torso(obs)
        distribution = self.head(self.readout(features), mask)
        whole = features.whole if self.value_torso is None else self.value_torso(obs).whole
        return distribution, self._value(whole)

    def step(
        self, obs: Shaped[Tensor, "b *obs"], mask: Bool[Tensor, "b m"] | None, past: Past
    ) -> tuple[Distribution, Float[Tensor, " b"], Float[Tensor, "b 2 n"]]:
        """Distribution, value and memory after one row of a recurrent network."""
        whole, memory = self._remember(obs.unsqueeze(0), past)
        return *self._judge(Features(whole), mask), memory

    def _remember(self, obs: Tensor, past: Past) -> tuple[Float[Tensor, "n h"], Float[Tensor, "b 2 h"]]:
        assert self.recurrence is not None
        read, memory = self.recurrence(self.policy_torso(obs).whole, past)
        rows = read.flatten(0, 1)
        return rows if past.rows is None else rows.index_select(0, past.rows), memory

    def _judge(self, features: Features, mask: Tensor | None) -> tuple[Distribution, Float[Tensor, " n"]]:
        return self.head(self.readout(features), mask), self._value(features.whole)

    def _value(self, whole: Float[Tensor, "*b h"]) -> Float[Tensor, "*b"]:
        assert self.value_out is not None, "the model was built without values"
        return self.value_out(whole).squeeze(-1)
