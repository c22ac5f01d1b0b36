"""How a network adapts to a task: by gradient steps from weights that were learned for it, or by ridge regression of
its last layer in closed form. All tasks of a batch adapt at once: each layer is one batched product.

Gradient steps: Finn, Abbeel and Levine (2017), "Model-Agnostic Meta-Learning", arXiv:1703.03400 (second order, and
first order as FOMAML); Raghu, Raghu, Bengio and Vinyals (2020), "Rapid Learning or Feature Reuse?", arXiv:1909.09157
(ANIL: the last layer alone). Closed form: Bertinetto, Henriques, Torr and Vedaldi (2019), "Meta-learning with
differentiable closed-form solvers", arXiv:1805.08136, towards a prior that is learned too, as in Harrison, Sharma and
Pavone (2018), "Meta-Learning Priors for Efficient Online Bayesian Regression", arXiv:1807.08912.

Differs from the papers: a step that would raise the error on a task's support is not taken, and that task's rate is
halved. Rates that were learned for one step otherwise run away when many are made (ANIL with five examples: an error of
5,000 after ten steps where one gave 1.4).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from metalearn.tasks import Examples

Weights = list[Tensor]  # of each layer in turn: `[K, i, o]` and `[K, 1, o]`; K is 1 where all tasks share them


class Network(nn.Module):
    """Dense layers with ReLU between them; the weights can be read from elsewhere, a set for each task."""

    def __init__(self, inputs: int, hidden: tuple[int, ...], outputs: int, generator: Generator) -> None:
        super().__init__()
        self.sizes = (inputs, *hidden, outputs)
        drawn: list[nn.Parameter] = []
        for before, after in pairwise(self.sizes):
            bound = 1.0 / math.sqrt(before)
            for rows in (before, 1):
                drawn.append(nn.Parameter(torch.empty(1, rows, after).uniform_(-bound, bound, generator=generator)))
        self.weights = nn.ParameterList(drawn)

    def for_tasks(self, tasks: int) -> Weights:
        """The network's own weights, seen once for each task."""
        return [weight.expand(tasks, -1, -1) for weight in self.weights]

    def forward(self, x: Float[Tensor, "k n i"], weights: Weights) -> Float[Tensor, "k n o"]:
        return torch.baddbmm(weights[-1], self.features(x, weights), weights[-2])

    def features(self, x: Float[Tensor, "k n i"], weights: Weights) -> Float[Tensor, "k n f"]:
        """What the last layer reads."""
        for place in range(0, len(weights) - 2, 2):
            x = torch.relu(torch.baddbmm(weights[place + 1], x, weights[place]))
        return x


def descend(
    network: Network,
    weights: Weights,
    support: Examples,
    *,
    steps: int,
    rate: float,
    head_only: bool = False,
    second_order: bool = False,
) -> Weights:
    """The weights of each task after gradient steps on its support's mean squared error.

    With `second_order` gradients flow through the steps into `weights`; without, the steps count as constants.
    """
    first = len(weights) - 2 if head_only else 0
    tasks = len(support.x)
    rates = torch.full((tasks, 1, 1), rate)
    weights = [weight.expand(tasks, -1, -1) for weight in weights]
    error = support.error(network(support.x, weights))
    for _ in range(steps):
        moving = weights[first:]
        slopes = torch.autograd.grad(error.sum(), moving, create_graph=second_order)
        moved = [*weights[:first], *(weight - rates * slope for weight, slope in zip(moving, slopes, strict=True))]
        after = support.error(network(support.x, moved))
        better = (after <= error).detach()
        if better.all():
            weights, error = moved, after
            continue
        taken = better.reshape(-1, 1, 1)
        rates = torch.where(taken, rates, 0.5 * rates)
        weights = [torch.where(taken, new, old) for new, old in zip(moved, weights, strict=True)]
        error = support.error(network(support.x, weights))
    return weights


def ridge(
    features: Float[Tensor, "k n f"],
    support: Examples,
    prior: tuple[Float[Tensor, "#k f o"], Float[Tensor, "#k 1 o"]],
    log_penalty: Float[Tensor, ""],
) -> Weights:
    """The last layer that fits each task's support best, drawn towards the prior: with few examples it stays there.

    Solves for the difference from the prior, a row at a time where targets are missing: min over W of
    sum weight (y - phi W)^2 + exp(log_penalty) |W - W0|^2, the bias a feature of 1 among phi. All gradients flow.
    """
    start, bias = prior
    ones = torch.ones_like(features[..., :1])
    phi = torch.cat([features, ones], -1)
    anchor = torch.cat([start, bias], -2)
    residual = support.y - phi @ anchor
    same = bool((support.weight == support.weight[..., :1]).all())
    solve = _solve_small if phi.shape[1] < phi.shape[2] else _solve_large
    if same:
        moved = solve(phi, residual, support.weight[..., 0], log_penalty.exp())
    else:
        columns = [
            solve(phi, residual[..., place : place + 1], support.weight[..., place], log_penalty.exp())
            for place in range(residual.shape[-1])
        ]
        moved = torch.cat(columns, -1)
    head = anchor + moved
    return [head[..., :-1, :], head[..., -1:, :]]


def _solve_small(
    phi: Float[Tensor, "k n f"], residual: Float[Tensor, "k n o"], weight: Float[Tensor, "k n"], penalty: Tensor
) -> Float[Tensor, "k f o"]:
    """By a system as large as the number of examples (Woodbury)."""
    scale = weight.sqrt().unsqueeze(-1)
    rows = scale * phi
    gram = rows @ rows.mT + penalty * torch.eye(rows.shape[1])
    return rows.mT @ torch.cholesky_solve(scale * residual, torch.linalg.cholesky(gram))


def _solve_large(
    phi: Float[Tensor, "k n f"], residual: Float[Tensor, "k n o"], weight: Float[Tensor, "k n"], penalty: Tensor
) -> Float[Tensor, "k f o"]:
    """By a system as large as the number of features."""
    weighted = weight.unsqueeze(-1) * phi
    gram = phi.mT @ weighted + penalty * torch.eye(phi.shape[-1])
    return torch.cholesky_solve(weighted.mT @ residual, torch.linalg.cholesky(gram))


def mixed(own: Sequence[Tensor], adapted: Sequence[Tensor], share: float) -> list[Tensor]:
    """Weights moved the share of the way from the network's own to the mean of those adapted (Reptile's step)."""
    return [mine + share * (theirs.mean(0, keepdim=True) - mine) for mine, theirs in zip(own, adapted, strict=True)]
