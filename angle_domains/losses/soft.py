"""Values and losses with an entropy bonus (Haarnoja et al. 2018; Christodoulou 2019)."""

from jaxtyping import Float
from torch import Tensor


def soft_value(
    q: Float[Tensor, " b"], log_prob: Float[Tensor, " b"], temperature: Float[Tensor, ""]
) -> Float[Tensor, " b"]:
    """Of an observation, by one action sampled there; negated it is the loss of a reparameterised policy."""
    return q - temperature * log_prob


def soft_expectation(
    q: Float[Tensor, "b n"], log_probs: Float[Tensor, "b n"], temperature: Float[Tensor, ""]
) -> Float[Tensor, " b"]:
    """Of an observation, over all its actions; negated it is the loss of a policy of choices.

    Forbidden actions have probability 0 and count for nothing, whatever their value.
    """
    return (log_probs.exp() * (q - temperature * log_probs)).sum(-1)


def temperature_loss(
    log_temperature: Float[Tensor, ""], entropy: Float[Tensor, " b"], target: Float[Tensor, "..."]
) -> Float[Tensor, " b"]:
    """Falls with the temperature where there is more entropy than `target`, one for all or each sample."""
    return log_temperature.exp() * (entropy - target).detach()
