"""Losses for learning from a log, whose actions are all that was ever tried; one number a sample."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def with_taken(mask: Bool[Tensor, "*b n"] | None, action: Int[Tensor, "*b"]) -> Bool[Tensor, "*b n"] | None:
    """The allowed actions and the one that was taken: a log may hold what its rules forbid."""
    return None if mask is None else mask.scatter(-1, action.unsqueeze(-1), True)


def conservative_gap(
    q: Float[Tensor, "*b n"], action: Int[Tensor, "*b"], mask: Bool[Tensor, "*b n"] | None = None
) -> Float[Tensor, "*b"]:
    """How far the soft maximum over all allowed actions lies above the logged one's value (Kumar et al. 2020, eq. 4).

    Never negative: the logged action counts among those allowed.
    """
    allowed = with_taken(mask, action)
    held = q if allowed is None else q.masked_fill(~allowed, -torch.inf)
    return held.logsumexp(-1) - q.gather(-1, action.unsqueeze(-1)).squeeze(-1)


def sampled_gap(
    q: Float[Tensor, "c k b"], log_density: Float[Tensor, "k b"], logged: Float[Tensor, "c b"]
) -> Float[Tensor, " b"]:
    """The same for continuous actions, by k actions and the densities they were drawn by; summed over c critics.

    Without the division by k that would make it a mean, as in the authors' code: thresholds are read so.
    """
    return ((q - log_density).logsumexp(1) - logged).sum(0)


def expectile_loss(error: Float[Tensor, " b"], expectile: float) -> Float[Tensor, " b"]:
    """Squared errors; those above count `expectile`, those below the rest (Kostrikov et al. 2021, eq. 5)."""
    return torch.where(error > 0, expectile, 1.0 - expectile) * error.square()


def advantage_weight(advantage: Float[Tensor, " b"], beta: float, most: float) -> Float[Tensor, " b"]:
    """What imitating an action is worth: exp(beta * advantage), at most `most` (Kostrikov et al. 2021, eq. 7)."""
    return (beta * advantage).exp().clamp(max=most)
