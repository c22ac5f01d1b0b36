"""What an action was worth: sums of rewards along a window, cut where an episode stops.

All take rows as `Window` gives them. `reward` is what it counts at the action (times `Window.paid`). `discount` is
what `Window.discounted` makes of gamma, so it is 0 where the task ended; `real` is 0 at the rows where the environment
was resetting, so a sum over row t+1 goes on only where the action of row t+1 was taken. At a truncation the discount
stays, and the value of the final observation is the bootstrap; what comes back at rows that are not real means nothing
and is to be left out. Returns are targets: no gradient flows through them.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class NStep(NamedTuple):
    """A return of several actions but for its bootstrap: `reward + discount · value of observation number steps`."""

    reward: Float[Tensor, " b"]
    discount: Float[Tensor, " b"]  # gamma to the time that the actions summed took; 0 where the task ended
    steps: Int[Tensor, " b"]  # actions summed, so the place in the window of the observation to bootstrap from


@torch.no_grad()
def gae(
    reward: Float[Tensor, "t b"],
    discount: Float[Tensor, "t b"],
    real: Float[Tensor, "t b"],
    value: Float[Tensor, "t+1 b"],
    lambda_: float,
) -> Float[Tensor, "t b"]:
    """Generalised advantages (Schulman et al. 2016, eq. 16); `value` is that of every observation of the window."""
    delta = reward + discount * value[1:] - value[:-1]
    carry = lambda_ * discount[:-1] * real[1:]
    advantage = torch.empty_like(delta)
    advantage[-1] = delta[-1]
    for t in reversed(range(len(delta) - 1)):
        torch.addcmul(delta[t], carry[t], advantage[t + 1], out=advantage[t])
    return advantage


@torch.no_grad()
def discounted_return(
    reward: Float[Tensor, "t b"],
    discount: Float[Tensor, "t b"],
    real: Float[Tensor, "t b"],
    value: Float[Tensor, "t b"],
) -> Float[Tensor, "t b"]:
    """Discounted rewards up to the end of the window or episode, then `value`, that of the *next* observation."""
    total = torch.empty_like(reward)
    total[-1] = reward[-1] + discount[-1] * value[-1]
    for t in reversed(range(len(reward) - 1)):
        total[t] = reward[t] + discount[t] * torch.where(real[t + 1] > 0, total[t + 1], value[t])
    return total


@torch.no_grad()
def n_step_return(
    reward: Float[Tensor, "t b"],
    discount: Float[Tensor, "t b"],
    real: Float[Tensor, "t b"],
    value: Float[Tensor, "t b"],
) -> Float[Tensor, " b"]:
    """`discounted_return` of the window's first action: n is the window's length, less where the episode stopped."""
    return discounted_return(reward, discount, real, value)[0]


@torch.no_grad()
def n_step_returns(
    reward: Float[Tensor, "t b"], discount: Float[Tensor, "t b"], value: Float[Tensor, "t+1 b"], steps: int
) -> Float[Tensor, "t b"]:
    """Of every action of a whole episode the next `steps` rewards and the value beyond them, or all that are left.

    `value` is that of every observation; the last one's counts where the discount does not end it.
    """
    total = value
    for _ in range(min(steps, len(reward))):
        total = torch.cat([reward + discount * total[1:], value[-1:]])
    return total[:-1]


@torch.no_grad()
def n_step(reward: Float[Tensor, "t b"], discount: Float[Tensor, "t b"], real: Float[Tensor, "t b"]) -> NStep:
    """`n_step_return` before any value is known, so that only one observation of each window has to be valued."""
    taken = torch.cumprod(real, 0)
    factor = torch.where(taken > 0, discount, 1.0)
    grown = torch.cumprod(factor, 0)
    before = torch.cat([torch.ones_like(grown[:1]), grown[:-1]])
    return NStep((taken * before * reward).sum(0), grown[-1], taken.sum(0).to(torch.int64))
