"""Action distributions: light, with a generator handed in, and log-probabilities of what was sampled.

`torch.distributions` takes no generator and checks its arguments on every call. Every distribution here speaks of
*raw* actions, points of its own space; a head (`networks.heads`) turns those into actions of the environment. The
leading axes `*b` are free: `[B]` when acting, `[T, B]` along a window.
"""

import math
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

_FORBIDDEN = -1e9  # finite, so that 0 · log 0 stays 0 in the entropy
_TINY = torch.finfo(torch.float32).tiny
_HALF_LOG_TAU = 0.5 * math.log(2.0 * math.pi)
_LOG_2 = math.log(2.0)
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(64)
_QUADRATURE = torch.tensor(np.stack([_NODES, _WEIGHTS / _WEIGHTS.sum()]))  # of the standard normal


@runtime_checkable
class Distribution(Protocol):
    """`sample` and `mode` give raw actions `[*b, ...]`; `log_prob` and `entropy` give `[*b]`, in nats."""

    def sample(self, generator: Generator) -> Tensor: ...

    def mode(self) -> Tensor: ...

    def log_prob(self, raw: Tensor) -> Tensor: ...

    def entropy(self) -> Tensor: ...


class Categorical:
    """One of k choices; where `mask` is False a choice has probability 0. A mask that allows nothing allows all."""

    def __init__(self, logits: Float[Tensor, "*b k"], mask: Bool[Tensor, "*b k"] | None = None) -> None:
        if mask is not None:
            logits = torch.where(mask, logits, _FORBIDDEN)
        self.log_probs = torch.log_softmax(logits, -1)

    def sample(self, generator: Generator) -> Int[Tensor, "*b"]:
        # The first of k exponential clocks with rates p rings with probability p.
        clock = torch.empty_like(self.log_probs).exponential_(generator=generator)
        return (self.log_probs.exp() / clock).argmax(-1)

    def mode(self) -> Int[Tensor, "*b"]:
        return self.log_probs.argmax(-1)

    def log_prob(self, raw: Int[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return self.log_probs.gather(-1, raw.unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Float[Tensor, "*b"]:
        return -(self.log_probs.exp() * self.log_probs).sum(-1)


class MultiCategorical:
    """n independent choices, each of k; unequal numbers of choices are padded and masked."""

    def __init__(self, logits: Float[Tensor, "*b n k"], mask: Bool[Tensor, "*#b n k"] | None = None) -> None:
        self.parts = Categorical(logits, None if mask is None else mask.expand_as(logits))

    def sample(self, generator: Generator) -> Int[Tensor, "*b n"]:
        return self.parts.sample(generator)

    def mode(self) -> Int[Tensor, "*b n"]:
        return self.parts.mode()

    def log_prob(self, raw: Int[Tensor, "*b n"]) -> Float[Tensor, "*b"]:
        return self.parts.log_prob(raw).sum(-1)

    def entropy(self) -> Float[Tensor, "*b"]:
        return self.parts.entropy().sum(-1)


class Gaussian:
    """Independent normals whose spread does not depend on the state; `log_std` has one entry, or one a dimension."""

    def __init__(self, mean: Float[Tensor, "*b a"], log_std: Float[Tensor, " #a"]) -> None:
        self.mean, self.log_std = mean, log_std

    def sample(self, generator: Generator) -> Float[Tensor, "*b a"]:
        return torch.empty_like(self.mean).normal_(generator=generator) * self.log_std.exp() + self.mean

    def mode(self) -> Float[Tensor, "*b a"]:
        return self.mean

    def log_prob(self, raw: Float[Tensor, "*b a"]) -> Float[Tensor, "*b"]:
        distance = (raw - self.mean) * (-self.log_std).exp()
        return -0.5 * distance.square().sum(-1) - self._log_scale()

    def entropy(self) -> Float[Tensor, "*b"]:
        total = self._log_scale() + 0.5 * self.mean.shape[-1]
        return total.expand(self.mean.shape[:-1])

    def _log_scale(self) -> Float[Tensor, ""]:
        size = self.mean.shape[-1]
        return self.log_std.expand(size).sum() + size * _HALF_LOG_TAU


class SquashedGaussian:
    """Independent normals whose spread depends on the state, squashed by tanh into (-1, 1).

    A raw action is the point before squashing, the density is that of the point after it. Gradients flow through
    `sample`; `mode` gives the median.
    """

    def __init__(self, mean: Float[Tensor, "*b a"], log_std: Float[Tensor, "*b a"]) -> None:
        self.mean, self.log_std = mean, log_std

    def sample(self, generator: Generator) -> Float[Tensor, "*b a"]:
        return torch.empty_like(self.mean).normal_(generator=generator) * self.log_std.exp() + self.mean

    def mode(self) -> Float[Tensor, "*b a"]:
        return self.mean

    def log_prob(self, raw: Float[Tensor, "*b a"]) -> Float[Tensor, "*b"]:
        distance = (raw - self.mean) * (-self.log_std).exp()
        return (-0.5 * distance.square() - self.log_std - _HALF_LOG_TAU - self._log_slope(raw)).sum(-1)

    def entropy(self) -> Float[Tensor, "*b"]:
        """By Gauss-Hermite quadrature: it has no closed form."""
        node, weight = _QUADRATURE.to(self.mean)
        at = self.mean.unsqueeze(-1) + self.log_std.exp().unsqueeze(-1) * node
        return (self.log_std + 0.5 + _HALF_LOG_TAU + self._log_slope(at) @ weight).sum(-1)

    @staticmethod
    def _log_slope(raw: Tensor) -> Tensor:
        """log(1 - tanh²), which would be -inf far out if it were computed so."""
        return 2.0 * (_LOG_2 - raw - torch.nn.functional.softplus(-2.0 * raw))


class LogisticNormal:
    """Weights on the simplex whose log-ratios to the last one, cash, are normal (Aitchison and Shen 1980).

    A raw action is the vector of log-ratios: there the density has no corners, and a weight of almost nothing keeps
    its digits. Densities on the simplex differ by a factor that no parameter enters, so ratios of probabilities and
    gradients are the same; the entropy is that of the log-ratios. `mode` gives the median portfolio.
    """

    def __init__(self, scores: Float[Tensor, "*b w"], log_std: Float[Tensor, " #a"]) -> None:
        self.ratios = Gaussian(scores[..., :-1] - scores[..., -1:], log_std)

    def sample(self, generator: Generator) -> Float[Tensor, "*b a"]:
        return self.ratios.sample(generator)

    def mode(self) -> Float[Tensor, "*b a"]:
        return self.ratios.mode()

    def log_prob(self, raw: Float[Tensor, "*b a"]) -> Float[Tensor, "*b"]:
        return self.ratios.log_prob(raw)

    def entropy(self) -> Float[Tensor, "*b"]:
        return self.ratios.entropy()

    @staticmethod
    def weights(raw: Float[Tensor, "*b a"]) -> Float[Tensor, "*b a"]:
        """The weights that log-ratios stand for, cash (1 less their sum) left out."""
        return torch.softmax(torch.nn.functional.pad(raw, (0, 1)), -1)[..., :-1]


class Dirichlet:
    """Weights on the simplex; raw actions hold all of them, cash last. Concentrations of at least 1 are expected.

    `mode` is the point of highest density where all concentrations exceed 1, else the mean.
    """

    def __init__(self, concentration: Float[Tensor, "*b a"]) -> None:
        self.concentration = concentration

    def sample(self, generator: Generator) -> Float[Tensor, "*b a"]:
        gamma = torch._standard_gamma(self.concentration.detach(), generator=generator).clamp(min=_TINY)
        return gamma / gamma.sum(-1, keepdim=True)

    def mode(self) -> Float[Tensor, "*b a"]:
        peaked = (self.concentration > 1.0).all(-1, keepdim=True)
        weight = torch.where(peaked, self.concentration - 1.0, self.concentration)
        return weight / weight.sum(-1, keepdim=True)

    def log_prob(self, raw: Float[Tensor, "*b a"]) -> Float[Tensor, "*b"]:
        density = ((self.concentration - 1.0) * raw.clamp(min=_TINY).log()).sum(-1)
        return density - self._log_beta()

    def entropy(self) -> Float[Tensor, "*b"]:
        total = self.concentration.sum(-1)
        inner = ((self.concentration - 1.0) * torch.digamma(self.concentration)).sum(-1)
        return self._log_beta() + (total - self.concentration.shape[-1]) * torch.digamma(total) - inner

    def _log_beta(self) -> Float[Tensor, "*b"]:
        return torch.lgamma(self.concentration).sum(-1) - torch.lgamma(self.concentration.sum(-1))


def to_show(distribution: Distribution) -> dict[str, Tensor]:
    """What a picture can tell of a distribution: how likely each of its choices is, where it has some; in logs.

    `[*b, k]`, or `[*b, n, k]` for n choices side by side; what a part cannot choose is as good as impossible.
    """
    choices = distribution.parts if isinstance(distribution, MultiCategorical) else distribution
    return {"log_probs": choices.log_probs} if isinstance(choices, Categorical) else {}
