"""From features to a distribution of raw actions, and between raw actions and those of the environment.

`raw` is the inverse of `action`; actions at the edge of an open set are moved a little inside.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Bool, Float
from torch import Tensor, nn

from angle_domains.distributions import (
    Categorical,
    Dirichlet,
    Distribution,
    Gaussian,
    LogisticNormal,
    MultiCategorical,
    SquashedGaussian,
)
from angle_domains.errors import ConfigError
from angle_domains.networks.boxes import BoxScale
from feeds.base import FeedSpec

_LOG_STD = (-20.0, 2.0)  # bounds of a spread that depends on the observation
_INSIDE = 1e-3  # of half a box: a density squashed into it has no value at the edges, where logged actions may lie
_LEAST = 1e-6  # weight of an asset, likewise

HeadKind = Literal["auto", "gaussian", "squashed", "deterministic", "dirichlet", "logistic_normal"]


class CategoricalHead(nn.Module):
    """One choice of `Discrete`."""

    def __init__(self, space: spaces.Discrete) -> None:
        super().__init__()
        self.start = int(space.start)
        self.per_item, self.whole = 0, int(space.n)

    def forward(self, parameters: Float[Tensor, "*b p"], mask: Bool[Tensor, "*b p"] | None = None) -> Distribution:
        return Categorical(parameters, mask)

    def action(self, raw: Tensor) -> Tensor:
        return raw + self.start

    def raw(self, action: Tensor) -> Tensor:
        return action - self.start


class MultiCategoricalHead(nn.Module):
    """The choices of `MultiDiscrete`; masks hold the choices of all its parts side by side."""

    start: Tensor
    place: Tensor | None

    def __init__(self, space: spaces.MultiDiscrete) -> None:
        super().__init__()
        counts: list[int] = space.nvec.astype(int).ravel().tolist()
        self.most, self.parts = max(counts), len(counts)
        even = min(counts) == self.most
        self.per_item, self.whole = (self.most, 0) if even else (0, sum(counts))
        self.register_buffer("start", torch.as_tensor(space.start.ravel()), persistent=False)
        self.register_buffer("place", None if even else _padding(counts), persistent=False)

    def forward(self, parameters: Float[Tensor, "*b p"], mask: Bool[Tensor, "*b p"] | None = None) -> Distribution:
        logits = self._parts(parameters)
        allowed = None if mask is None else self._parts(mask)
        if self.place is not None:
            allowed = self.place >= 0 if allowed is None else allowed & (self.place >= 0)
        return MultiCategorical(logits, allowed)

    def action(self, raw: Tensor) -> Tensor:
        return raw + self.start

    def raw(self, action: Tensor) -> Tensor:
        return action - self.start

    def _parts(self, flat: Tensor) -> Tensor:
        """`[*b, p]` to `[*b, parts, most]`; places that do not exist hold some other entry."""
        if self.place is None:
            return flat.unflatten(-1, (self.parts, self.most))
        return flat.index_select(-1, self.place.clamp(min=0).flatten()).unflatten(-1, (self.parts, self.most))


class GaussianHead(nn.Module):
    """A point of `Box`. Where the box is bounded a raw action of -1 or 1 is its edge, and what lies beyond is clipped.

    Densities are those of the raw action, before clipping.
    """

    low: Tensor
    high: Tensor
    centre: Tensor
    reach: Tensor

    def __init__(self, space: spaces.Box, log_std: float, shared_std: bool) -> None:
        super().__init__()
        if space.shape is None or len(space.shape) != 1:
            raise ConfigError(f"actions of shape {space.shape} are not supported: flatten them to one axis")
        self.per_item, self.whole = 1, 0
        self.log_std = nn.Parameter(torch.full((1 if shared_std else space.shape[0],), log_std))
        bounded = space.is_bounded()
        low, high = torch.as_tensor(space.low), torch.as_tensor(space.high)
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("high", high, persistent=False)
        self.register_buffer("centre", (low + high) / 2 if bounded else torch.zeros_like(low), persistent=False)
        self.register_buffer("reach", (high - low) / 2 if bounded else torch.ones_like(low), persistent=False)

    def forward(self, parameters: Float[Tensor, "*b p"], mask: Tensor | None = None) -> Distribution:
        return Gaussian(parameters, self.log_std)

    def action(self, raw: Float[Tensor, "*b a"]) -> Float[Tensor, "*b a"]:
        return (self.centre + self.reach * raw).clamp(self.low, self.high)

    def raw(self, action: Float[Tensor, "*b a"]) -> Float[Tensor, "*b a"]:
        return (action - self.centre) / self.reach


class SquashedGaussianHead(nn.Module):
    """A point inside a bounded `Box`, by a normal squashed by tanh whose spread depends on the observation."""

    def __init__(self, space: spaces.Box) -> None:
        super().__init__()
        self.per_item, self.whole = 2, 0
        self.scale = BoxScale(space)

    def forward(self, parameters: Float[Tensor, "*b p"], mask: Tensor | None = None) -> Distribution:
        mean, log_std = parameters.unflatten(-1, (-1, 2)).unbind(-1)
        return SquashedGaussian(mean, log_std.clamp(*_LOG_STD))

    def action(self, raw: Float[Tensor, "*b a"]) -> Float[Tensor, "*b a"]:
        return self.scale.action(raw.tanh())

    def raw(self, action: Float[Tensor, "*b a"]) -> Float[Tensor, "*b a"]:
        return self.scale.place(action).clamp(_INSIDE - 1.0, 1.0 - _INSIDE).atanh()


class DeterministicHead(nn.Module):
    """A point inside a bounded `Box`, the mode; samples lie about it with a spread that is not learned.

    A raw action of -1 or 1 is an edge, and what lies beyond is clipped.
    """

    log_std: Tensor

    def __init__(self, space: spaces.Box, log_std: float) -> None:
        super().__init__()
        self.per_item, self.whole = 1, 0
        self.scale = BoxScale(space)
        self.register_buffer("log_std", torch.tensor([log_std]), persistent=False)

    def forward(self, parameters: Float[Tensor, "*b p"], mask: Tensor | None = None) -> Distribution:
        return Gaussian(parameters.tanh(), self.log_std)

    def action(self, raw: Float[Tensor, "*b a"]) -> Float[Tensor, "*b a"]:
        return self.scale.action(raw)

    def raw(self, action: Float[Tensor, "*b a"]) -> Float[Tensor, "*b a"]:
        return self.scale.place(action)


class LogisticNormalHead(nn.Module):
    """Weights of a long-only portfolio, cash the rest."""

    def __init__(self, space: spaces.Box, log_std: float, shared_std: bool) -> None:
        super().__init__()
        self.per_item, self.whole = 1, 1
        self.log_std = nn.Parameter(torch.full((1 if shared_std else space.shape[0],), log_std))

    def forward(self, parameters: Float[Tensor, "*b p"], mask: Tensor | None = None) -> Distribution:
        return LogisticNormal(parameters, self.log_std)

    def action(self, raw: Float[Tensor, "*b a"]) -> Float[Tensor, "*b a"]:
        return LogisticNormal.weights(raw)

    def raw(self, action: Float[Tensor, "*b a"]) -> Float[Tensor, "*b a"]:
        return (action.clamp(min=_LEAST) / (1.0 - action.sum(-1, keepdim=True)).clamp(min=_LEAST)).log()


class DirichletHead(nn.Module):
    """Weights of a long-only portfolio, cash the rest; concentrations are 1 + softplus, so the density has one peak."""

    def __init__(self, space: spaces.Box) -> None:
        super().__init__()
        self.per_item, self.whole = 1, 1

    def forward(self, parameters: Float[Tensor, "*b p"], mask: Tensor | None = None) -> Distribution:
        return Dirichlet(1.0 + nn.functional.softplus(parameters))

    def action(self, raw: Float[Tensor, "*b w"]) -> Float[Tensor, "*b a"]:
        return raw[..., :-1]

    def raw(self, action: Float[Tensor, "*b a"]) -> Float[Tensor, "*b w"]:
        whole = torch.cat([action, 1.0 - action.sum(-1, keepdim=True)], -1).clamp(min=_LEAST)
        return whole / whole.sum(-1, keepdim=True)


Head = (
    CategoricalHead
    | MultiCategoricalHead
    | GaussianHead
    | SquashedGaussianHead
    | DeterministicHead
    | LogisticNormalHead
    | DirichletHead
)

_CONTINUOUS: dict[str, Callable[[spaces.Box, float, bool], Head]] = {
    "logistic_normal": LogisticNormalHead,
    "dirichlet": lambda space, log_std, shared_std: DirichletHead(space),
    "gaussian": GaussianHead,
    "squashed": lambda space, log_std, shared_std: SquashedGaussianHead(space),
    "deterministic": lambda space, log_std, shared_std: DeterministicHead(space, log_std),
}


def make_head(kind: HeadKind, spec: FeedSpec, *, log_std: float, shared_std: bool) -> Head:
    """The head for a feed's actions; ConfigError where the kind does not fit them."""
    space: spaces.Space[Any] = spec.action_space
    if isinstance(space, spaces.Box):
        if kind in ("dirichlet", "logistic_normal") and not spec.simplex:
            raise ConfigError(
                f"agent.head '{kind}' chooses long-only weights that sum to 1 with cash, and actions of {spec.name} "
                "are not: did you mean 'gaussian'?"
            )
        usual = "logistic_normal" if spec.simplex else "gaussian"
        return _CONTINUOUS[usual if kind == "auto" else kind](space, log_std, shared_std)
    if kind != "auto":
        raise ConfigError(f"agent.head '{kind}' is for continuous actions, {spec.name} has {space}: use 'auto'")
    if isinstance(space, spaces.Discrete):
        return CategoricalHead(space)
    if isinstance(space, spaces.MultiDiscrete):
        return MultiCategoricalHead(space)
    raise ConfigError(f"actions in {space} are not supported: Box, Discrete and MultiDiscrete are")


def _padding(counts: list[int]) -> Tensor:
    """`[parts, most]`: the flat place of each choice, -1 where a part has fewer choices."""
    first = np.cumsum([0, *counts[:-1]])
    place = np.arange(max(counts)) + first[:, None]
    return torch.as_tensor(np.where(np.arange(max(counts)) < np.array(counts)[:, None], place, -1))
