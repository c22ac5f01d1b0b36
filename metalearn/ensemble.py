"""Small networks, trained side by side, that foresee what one decision leads to."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, silu, softplus

_LOW, _HIGH = -6.0, 1.0  # soft bounds of a log standard deviation, in units of the changes in the records


class Decisions(NamedTuple):
    """Decisions and what they led to, each `[N, ...]` or for every member `[K, N, ...]`; standardised."""

    inputs: Float[Tensor, "*n i"]  # observation and action
    delta: Float[Tensor, "*n d"]  # how the observation changed
    flag: Float[Tensor, "*n d"]  # 1 where an entry of two values then had the higher
    reward: Float[Tensor, "*n"]
    ended: Float[Tensor, "*n"]  # 1 where the task ended


class Foresight(NamedTuple):
    """What each of K members foresees for each of B decisions."""

    mean: Float[Tensor, "*k b d"]  # of the change
    std: Float[Tensor, "*k b d"]
    flag: Float[Tensor, "*k b d"]  # log-odds of the higher value
    reward: Float[Tensor, "*k b"]  # where the task goes on
    final: Float[Tensor, "*k b"]  # where it ends
    ended: Float[Tensor, "*k b"]  # log-odds of the end


class Ensemble(nn.Module):
    """K networks of one shape; the weights of all lie side by side, so that each layer is one batched product."""

    def __init__(self, members: int, inputs: int, hidden: tuple[int, ...], entries: int, generator: Generator) -> None:
        super().__init__()
        self.members, self.parts = members, [entries, entries, entries, 1, 1, 1]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for before, after in pairwise((inputs, *hidden, sum(self.parts))):
            bound = 1.0 / math.sqrt(before)
            drawn = torch.empty(members, before, after).uniform_(-bound, bound, generator=generator)
            self.weights.append(nn.Parameter(drawn))
            self.biases.append(nn.Parameter(torch.zeros(members, 1, after)))

    def forward(self, inputs: Float[Tensor, "k b i"]) -> Foresight:
        x = inputs
        for place, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, silu(x) if place else x, weight)
        mean, log_std, flag, reward, final, ended = x.split(self.parts, -1)
        log_std = _HIGH - softplus(_HIGH - log_std)
        log_std = _LOW + softplus(log_std - _LOW)
        return Foresight(mean, log_std.exp(), flag, reward.squeeze(-1), final.squeeze(-1), ended.squeeze(-1))

    def foresee(self, inputs: Float[Tensor, "b i"]) -> Foresight:
        """All members on the same decisions."""
        return self(inputs.expand(self.members, *inputs.shape))


def negative_log_likelihood(
    seen: Foresight, came: Decisions, moving: Bool[Tensor, " d"], flag: Bool[Tensor, " d"]
) -> Float[Tensor, "*k b"]:
    """Of what came: changes are normal where entries are `moving`, drawn where they are a `flag`; rewards have unit
    variance, given whether the task ended."""
    normal = 0.5 * ((came.delta - seen.mean) / seen.std).square() + seen.std.log()
    drawn = binary_cross_entropy_with_logits(seen.flag, came.flag, reduction="none")
    foretold = torch.where(came.ended > 0, seen.final, seen.reward)
    loss = (normal * moving).sum(-1) + (drawn * flag).sum(-1) + 0.5 * (came.reward - foretold).square()
    return loss + binary_cross_entropy_with_logits(seen.ended, came.ended, reduction="none")


def resamples(members: int, rows: int, batch: int, updates: int, generator: Generator) -> Iterator[Int[Tensor, "k b"]]:
    """Rows for every update; each member draws from a bootstrap sample of its own."""
    own = torch.randint(rows, (members, rows), generator=generator)
    for _ in range(updates):
        yield own.gather(1, torch.randint(rows, (members, batch), generator=generator))


def annealed(optimizer: torch.optim.Optimizer, rate: float, progress: float) -> None:
    """Sets the learning rate on its way from `rate` to nothing, along half a cosine."""
    for group in optimizer.param_groups:
        group["lr"] = rate * 0.5 * (1.0 + math.cos(math.pi * progress))
