"""What a meta-learner learns from: tasks, each with examples to adapt to and examples to be judged by."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Examples(NamedTuple):
    """n examples of each of K tasks; where `weight` is 0 there is none, or its target was not observed."""

    x: Float[Tensor, "k n i"]
    y: Float[Tensor, "k n o"]
    weight: Float[Tensor, "k n o"]

    @classmethod
    def whole(cls, x: Float[Tensor, "k n i"], y: Float[Tensor, "k n o"]) -> "Examples":
        """Examples that are all there."""
        return cls(x, y, torch.ones_like(y))

    def error(self, predicted: Float[Tensor, "k n o"]) -> Float[Tensor, " k"]:
        """The mean squared error of each task over what was observed; 0 where nothing was."""
        total = (self.weight * (predicted - self.y).square()).sum((1, 2))
        return total / self.weight.sum((1, 2)).clamp(min=1e-9)


class Tasks(NamedTuple):
    support: Examples  # to adapt to
    query: Examples  # to be judged by
