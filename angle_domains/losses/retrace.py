"""Targets for every row of a sequence: returns of n actions, and Retrace in rescaled space.

Rows are as `Window` gives them and as `losses.returns` takes them: a sum goes on over row t+1 only where its action
was taken; where an episode was cut short, the value of its final observation is the bootstrap. Targets of rows that
are not real mean nothing and are to be left out. No gradient flows through them.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from angle_domains.losses.rescale import EPSILON, rescale, restore

_TINY = 1e-8  # beneath every probability that an action was drawn by


class Taken(NamedTuple):
    """What was done and what came of it."""

    action: Int[Tensor, "t b"]
    behaviour: Float[Tensor, "t b"]  # the probability that the action was drawn by
    reward: Float[Tensor, "t b"]
    discount: Float[Tensor, "t b"]  # gamma included; 0 where the task ended
    real: Float[Tensor, "t b"]  # 0 where the environment was resetting


@torch.no_grad()
def n_step_sequence(
    reward: Float[Tensor, "t b"],
    discount: Float[Tensor, "t b"],
    real: Float[Tensor, "t b"],
    value: Float[Tensor, "t+1 b"],
    n: int,
) -> Float[Tensor, "t b"]:
    """Of each row `returns.n_step_return`: n rewards, fewer where window or episode end, then `value` from there.

    `value` is that of every observation of the window.
    """
    total = value
    for _ in range(min(n, len(reward))):
        total = reward + discount * torch.cat(
            [torch.where(real[1:] > 0, total[1 : len(real)], value[1:-1]), value[-1:]]
        )
    return total


@torch.no_grad()
def transformed_retrace(
    taken: Taken,
    q: Float[Tensor, "r b n"],
    probability: Float[Tensor, "r b n"],
    lambda_: float,
    epsilon: float = EPSILON,
) -> Float[Tensor, "t b"]:
    """Rescaled targets of the actions taken (Munos et al. 2016, arXiv:1606.02647; Badia et al. 2020, arXiv:2003.13350).

    `q` are rescaled values of all observations, so r is t + 1, by the target network; `probability` is the policy that
    is valued. The trace at a row is c = lambda · min(1, probability / behaviour). It is cut at the end of the window
    and of the episode, where the expected value of the last observation is what is left.
    """
    plain = restore(q, epsilon)
    expected = (probability * plain).sum(-1)[1:]
    chosen, likely = (x[:-1].gather(-1, taken.action.unsqueeze(-1)).squeeze(-1) for x in (plain, probability))
    trace = torch.where(taken.real > 0, lambda_ * (likely / taken.behaviour.clamp(min=_TINY)).clamp(max=1.0), 0.0)
    target = taken.reward + taken.discount * expected
    for t in reversed(range(len(target) - 1)):
        beyond = torch.where(trace[t + 1] > 0, trace[t + 1] * (target[t + 1] - chosen[t + 1]), 0.0)
        target[t] += taken.discount[t] * beyond
    return rescale(target, epsilon)
