"""Families of policies that explore less or more: how much novelty counts for each, and how far it looks ahead.

Policy 0 only exploits. Badia et al. (2020), "Never Give Up", arXiv:2002.06038, appendix A; "Agent57",
arXiv:2003.13350, appendix A.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from angle_domains.errors import ConfigError

_LONG = 8  # policies of Agent57 that look further ahead than those of Never Give Up


class Family(NamedTuple):
    """Of n policies."""

    beta: Float[Tensor, " n"]  # what the reward for novelty counts
    gamma: Float[Tensor, " n"]


def ngu(count: int = 32, *, beta: float = 0.3, longest: float = 0.997, shortest: float = 0.99) -> Family:
    """Discounts from `longest`, of the policy that exploits, to `shortest`, evenly on the scale of log(1 - gamma)."""
    return Family(_betas(count, beta), torch.tensor(_spread(count, longest, shortest)))


def agent57(
    count: int = 32, *, beta: float = 0.3, longest: float = 0.9999, middle: float = 0.997, shortest: float = 0.99
) -> Family:
    """Discounts that fall from `longest` to `middle` along a sigmoid over eight policies, then to `shortest`.

    ConfigError for fewer than ten policies. Implementations read the paper's formula in different ways: taken to the
    letter the sigmoid rises from `middle` to `longest`; here discounts fall all the way.
    """
    if count < _LONG + 2:
        raise ConfigError(
            f"a family as Agent57 has it needs {_LONG + 2} policies or more, got {count}: use that of NGU"
        )
    steep = [longest + (middle - longest) * _sigmoid(10.0 * (2 * j - 6) / 6) for j in range(1, _LONG - 1)]
    gamma = [longest, *steep, middle, *_spread(count - _LONG, middle, shortest)]
    return Family(_betas(count, beta), torch.tensor(gamma))


def _betas(count: int, most: float) -> Float[Tensor, " n"]:
    """0, then a sigmoid, then `most`."""
    if count < 1:
        raise ConfigError(f"a family has one policy or more, got {count}")
    between = [most * _sigmoid(10.0 * (2 * j - (count - 2)) / (count - 2)) for j in range(1, count - 1)]
    return torch.tensor([0.0, *between, most][:count])


def _spread(count: int, longest: float, shortest: float) -> list[float]:
    ends = math.log(1.0 - longest), math.log(1.0 - shortest)
    share = [j / max(count - 1, 1) for j in range(count)]
    return [1.0 - math.exp((1.0 - each) * ends[0] + each * ends[1]) for each in share]


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))
