"""What entries of a dictionary say of a key: the mean of their values, weighted by how near they are."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def squared_distance(query: Float[Tensor, "q d"], key: Float[Tensor, "q k d"]) -> Float[Tensor, "q k"]:
    """Of each query to keys of its own."""
    return (query.unsqueeze(1) - key).square().sum(-1)


def kernel_mean(
    square: Float[Tensor, "q k"], value: Float[Tensor, "q k"], counted: Bool[Tensor, "q k"], delta: float
) -> Float[Tensor, " q"]:
    """The mean by the weights 1 / (squared distance + delta) (Pritzel et al. 2017, eqs. 1, 2 and 5).

    Of the entries that are `counted`; 0, without a gradient, where none is.
    """
    weight = torch.where(counted, 1.0 / (square + delta), 0.0)
    total = weight.sum(-1)
    return (weight * value).sum(-1) / torch.where(total > 0, total, 1.0)
