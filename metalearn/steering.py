"""How an agent's Q function tells a forecaster which errors matter.

Q maps states `[B, D]` to values of actions `[B, A]` and is only read: gradients flow through it to the forecast, and
none reaches its parameters as long as the caller takes gradients with respect to the forecaster's alone.

Gradient-weighted errors: Voelcker, Liao, Garg and Farahmand (2022), "Value Gradient weighted Model-Based Reinforcement
Learning", arXiv:2204.01464 (VaGraM). Matched action values over all actions and the gate by explained variance are our
own; they follow the value equivalence of Grimm, Barreto, Singh and Silver (2020), arXiv:2011.03506.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from metalearn.settings import Coupling

Q = Callable[[Tensor], Tensor]

_KEPT = 0.01  # of the plain loss that always stays: what Q does not look at must not run away
_CLIP = 0.95  # quantile of gradient norms beyond which they are cut


def matched_values(forecast: Float[Tensor, "b d"], came: Float[Tensor, "b d"], q: Q) -> Float[Tensor, ""]:
    """How far the values of all actions at the forecast are from those at what came, against how they vary at all."""
    with torch.no_grad():
        wanted = q(came)
        spread = wanted.var(0, correction=0).mean().clamp(min=1e-8)
    return (q(forecast) - wanted).square().mean() / spread


def gradient_weights(came: Float[Tensor, "b d"], q: Q) -> Float[Tensor, "b d"]:
    """The squared slopes of the best action's value at what came, long ones cut, with a mean of 1."""
    with torch.enable_grad():
        at = came.detach().requires_grad_()
        [slope] = torch.autograd.grad(q(at).max(-1).values.sum(), at)
    norm = slope.norm(dim=-1, keepdim=True)
    slope = slope * (torch.quantile(norm, _CLIP) / norm.clamp(min=1e-12)).clamp(max=1.0)
    squared = slope.square()
    return squared / squared.mean().clamp(min=1e-12)


def gate(value: Float[Tensor, " b"], came: Float[Tensor, " b"]) -> float:
    """How much Q is heard, from 0 to 1: the share of the variance of returns that a line through its values explains.

    A line, since agents hold returns in units of their own, and beyond the rows that are summed here. `came` are
    sampled returns, never bootstrapped targets: those would flatter Q. An agent that learned from these very rows is
    flattered all the same. 0 where Q ranks them the wrong way.
    """
    spread = value.var(correction=0) * came.var(correction=0)
    if not spread > 0:
        return 0.0
    together = ((value - value.mean()) * (came - came.mean())).mean()
    return float((together.clamp(min=0.0).square() / spread).clamp(max=1.0))


class Steering:
    """Joins the plain loss of a forecast and what Q makes of it."""

    def __init__(self, coupling: Coupling, entries: int, generator: Generator) -> None:
        self.coupling = coupling
        self.heard = 0.0  # the gate
        around = torch.randperm(entries, generator=generator)
        self.order = torch.empty_like(around)  # in which "shuffled" hands entries to Q: none stays in its place
        self.order[around] = around.roll(1)

    def seen_by(self, q: Q) -> Q:
        """Q as this coupling reads it: "shuffled" confuses the entries of states, as a control."""
        return (lambda states: q(states[..., self.order])) if self.coupling == "shuffled" else q

    def listen(self, value: Float[Tensor, " b"], came: Float[Tensor, " b"]) -> float:
        """Sets the gate from values of actions that were taken, as `seen_by` reads them, and the returns that came."""
        self.heard = gate(value, came)
        return self.heard

    def loss(
        self, plain: Float[Tensor, ""], forecast: Float[Tensor, "b d"], came: Float[Tensor, "b d"], q: Q
    ) -> Float[Tensor, ""]:
        """What the forecaster is to descend; `forecast` and `came` are whole states, as Q reads them.

        Where Q has one value for a state and none for its actions, errors are weighted by its slope: matching the
        values of states alone leads astray (Voelcker et al. 2025, arXiv:2505.22772).
        """
        share = {"none": 0.0, "gradient": 1.0, "values": 1.0}.get(self.coupling, self.heard)
        if share == 0.0:
            return plain
        q = self.seen_by(q)
        with torch.no_grad():
            choices = q(came).shape[-1]
        if self.coupling == "gradient" or choices == 1:
            told = (gradient_weights(came, q) * (forecast - came).square()).mean()
        else:
            told = matched_values(forecast, came, q)
        return share * told + (1.0 - share + _KEPT) * plain
