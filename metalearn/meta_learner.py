"""A meta-learner: a network trained over many tasks so that a few examples of a new one are enough.

Reptile: Nichol, Achiam and Schulman (2018), "On First-Order Meta-Learning Algorithms", arXiv:1803.02999; the other ways
to adapt stand in `inner`.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from metalearn.inner import Network, Weights, descend, mixed, ridge
from metalearn.settings import InnerConfig
from metalearn.tasks import Examples, Tasks

_LEAST = -8.0  # of the logarithm of the penalty: without one, histories alike cannot be solved for


class MetaLearner(nn.Module):
    """Adapts to the support of tasks, and learns from how that does on their queries."""

    def __init__(self, config: InnerConfig, inputs: int, outputs: int, generator: Generator) -> None:
        super().__init__()
        self.config = config
        self.network = Network(inputs, config.hidden, outputs, generator)
        self.log_penalty = nn.Parameter(torch.zeros(()))  # of ridge, learned with the features
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate, fused=True)
        self.updates = 0  # batches of tasks that it learned from

    def adapt(self, support: Examples, *, steps: int | None = None, learning: bool = False) -> Weights:
        """Weights for each task; `learning` lets gradients flow into the network's own."""
        with torch.enable_grad():
            weights = self._adapted(support, self.config.steps if steps is None else steps, learning=learning)
        return weights if learning else [weight.detach() for weight in weights]

    def _adapted(self, support: Examples, steps: int, *, learning: bool) -> Weights:
        inner, own = self.config.inner, self.network.for_tasks(len(support.x))
        if inner == "none":
            return own
        if inner == "ridge":
            features = self.network.features(support.x, own)
            prior = (self.network.weights[-2], self.network.weights[-1])
            head = ridge(features, support, prior, self.log_penalty.clamp(min=_LEAST))
            return [*own[:-2], *head]
        return descend(
            self.network,
            own,
            support,
            steps=steps,
            rate=self.config.rate,
            head_only=inner == "anil",
            second_order=learning and inner in ("maml", "anil"),
        )

    def predict(self, x: Float[Tensor, "k n i"], weights: Weights) -> Float[Tensor, "k n o"]:
        return self.network(x, weights)

    def loss(self, tasks: Tasks) -> Float[Tensor, ""]:
        """The mean squared error on the queries after adapting to the supports. No side effect."""
        weights = self.adapt(tasks.support, learning=True)
        return tasks.query.error(self.predict(tasks.query.x, weights)).mean()

    def learn(self, tasks: Tasks) -> dict[str, float]:
        """One update from a batch of tasks; what is to be logged of it."""
        self.updates += 1
        if self.config.inner == "reptile":
            return self._follow(tasks)
        loss = self.loss(tasks)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters(), self.config.max_grad_norm)
        if torch.isfinite(norm):  # else this batch teaches nothing
            self.optimizer.step()
        return {"loss": float(loss.detach()), "gradient_norm": float(norm)}

    def _follow(self, tasks: Tasks) -> dict[str, float]:
        """Moves towards what the tasks, support and query together, adapted to."""
        whole = Examples(*(torch.cat(pair, 1) for pair in zip(tasks.support, tasks.query, strict=True)))
        adapted = self.adapt(whole)
        with torch.no_grad():
            before = tasks.query.error(self.predict(tasks.query.x, self.network.for_tasks(len(whole.x)))).mean()
            moved = mixed(list(self.network.weights), adapted, self.config.reptile_share)
            torch._foreach_copy_(list(self.network.weights), moved)
        return {"loss": float(before)}

    def state(self) -> dict[str, Any]:
        """Weights and optimiser, to be saved; `restore` puts them back."""
        told = {"network": dict(self.state_dict()), "optimizer": self.optimizer.state_dict()}
        return told | {"updates": self.updates}

    def restore(self, state: dict[str, Any]) -> None:
        self.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.updates = state["updates"]
