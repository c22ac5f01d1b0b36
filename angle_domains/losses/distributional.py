"""How far distributions of returns are from their targets, one number a sample."""

import torch
from jaxtyping import Float
from torch import Tensor


@torch.no_grad()
def project(
    probability: Float[Tensor, "b k"], place: Float[Tensor, "b k"], support: Float[Tensor, " k"]
) -> Float[Tensor, "b k"]:
    """A distribution whose atoms lie at `place`, shared out among the evenly spaced atoms of `support`.

    Every atom's mass goes to its two neighbours, the nearer the more (Bellemare et al. 2017, eq. 7); all of it to one
    atom where the place is that atom's own, or where it lies beyond the support's ends.
    """
    step = support[1] - support[0]
    kept = place.clamp(support[0], support[-1])
    distance = (kept.unsqueeze(-2) - support.unsqueeze(-1)).abs() / step
    return torch.einsum("bij,bj->bi", (1.0 - distance).clamp(min=0.0), probability)


def cross_entropy(logits: Float[Tensor, "b k"], target: Float[Tensor, "b k"]) -> Float[Tensor, " b"]:
    """Of the distribution with these logits under the target."""
    return -(target * torch.log_softmax(logits, -1)).sum(-1)


def divergence(cross_entropy: Float[Tensor, " b"], target: Float[Tensor, "b k"]) -> Float[Tensor, " b"]:
    """KL(target, distribution) from the cross-entropy of the two; never negative."""
    return (cross_entropy + torch.xlogy(target, target).sum(-1)).clamp(min=0.0)


def quantile_huber(
    quantile: Float[Tensor, "b n"], target: Float[Tensor, "b m"], kappa: float = 1.0
) -> Float[Tensor, " b"]:
    """Huber's quantile regression of n quantiles to m samples: a mean over samples, a sum over quantiles.

    Quantile i stands for the level (i + 1/2) / n (Dabney et al. 2018, eq. 10 and algorithm 1). Below `kappa` the error
    counts as its square over 2 kappa, beyond as its size less kappa / 2; with `kappa` 0 as its size everywhere.
    """
    count = quantile.shape[-1]
    level = (torch.arange(count, device=quantile.device, dtype=quantile.dtype) + 0.5) / count
    error = target.unsqueeze(-2) - quantile.unsqueeze(-1)  # [b, n, m]
    size = error.abs()
    if kappa > 0:
        near = size.clamp(max=kappa)
        size = near * (size - 0.5 * near) / kappa
    side = (level.unsqueeze(-1) - (error.detach() < 0).to(quantile.dtype)).abs()
    return (side * size).mean(-1).sum(-1)
