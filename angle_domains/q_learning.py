"""QLearning: twin critics that learn from one another's target copies, for agents whose policy is a network of its own.

Fujimoto, van Hoof and Meger (2018), "Addressing Function Approximation Error in Actor-Critic Methods",
arXiv:1802.09477: of two targets the lesser is believed.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Generator, Tensor

from angle_domains.losses.twin import twin_error
from angle_domains.networks import NetworkConfig
from angle_domains.networks.critics import TwinCritics
from angle_domains.networks.loading import load_network
from angle_domains.optim import descend, follow, gradients
from feeds.base import FeedSpec


class QLearning:
    """Twin critics, the target copies that follow them, and their optimiser.

    States are observations `[B, *obs]` as networks read them, actions `[B, *act]` those of the environment. Where
    actions are `Discrete` and none are given, the values are those of all of them, `[..., B, n]`.
    """

    def __init__(
        self,
        spec: FeedSpec,
        network: NetworkConfig,
        *,
        learning_rate: float,
        tau: float,
        generator: Generator,
        device: str = "cpu",
    ) -> None:
        network.check_no_memory()
        self.tau = tau
        space = spec.action_space
        self.first = int(space.start) if isinstance(space, spaces.Discrete) else None
        self.online = TwinCritics(spec, network, generator).to(device)
        self.target = copy.deepcopy(self.online).requires_grad_(False)
        self.parameters = list(self.online.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=learning_rate, fused=True)

    def Q_function(self, states: Tensor, actions: Tensor | None = None) -> Float[Tensor, "2 b *n"]:
        """What both critics hold of actions."""
        return self._values(self.online, states, actions)

    @torch.no_grad()
    def Q_future_function(self, states: Tensor, actions: Tensor | None = None) -> Float[Tensor, "b *n"]:
        """The lesser of the two target critics' values."""
        return self.worth(states, actions)

    def worth(self, states: Tensor, actions: Tensor | None = None) -> Float[Tensor, "b *n"]:
        """The same with gradients to the states."""
        return self._values(self.target, states, actions).amin(0)

    def first_critic(self, states: Tensor, actions: Tensor) -> Float[Tensor, " b"]:
        """What the first critic alone holds of actions in a box: a policy that climbs it needs no second."""
        return self.online(states, actions, twins=1)[0]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within, gradients flow through the critics to the actions, and none are made for the critics themselves."""
        for parameter in self.parameters:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in self.parameters:
                parameter.requires_grad_(True)

    def loss(
        self, states: Tensor, actions: Tensor, target: Float[Tensor, " b"], weight: Float[Tensor, " b"]
    ) -> tuple[Tensor, Float[Tensor, "2 b"]]:
        """Half the squared errors of both critics, and their values. No side effect."""
        q = self.Q_function(states, actions)
        return (weight * twin_error(q, target)).mean(), q.detach()

    def learn(self, loss: Tensor) -> Tensor:
        """One step of the critics; gives the norm of the gradient. TrainingError where that is not finite."""
        return descend(loss, self.optimizer, self.parameters, math.inf)

    def follow(self) -> None:
        """Moves the target copies by `tau`."""
        follow(self.target, self.online, self.tau)

    @torch.no_grad()
    def portrait(self, states: Tensor, actions: Tensor) -> dict[str, Tensor]:
        """What each critic holds of these actions, and the critics' gradients."""
        first, second = self.Q_function(states, actions)
        return {"value/q1": first, "value/q2": second, **gradients(self.online, "gradient/q")}

    def state_dict(self) -> dict[str, Any]:
        return {
            "online": dict(self.online.state_dict()),
            "target": dict(self.target.state_dict()),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it belongs to other networks."""
        load_network(self.online, state["online"])
        load_network(self.target, state["target"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _values(self, critics: TwinCritics, states: Tensor, actions: Tensor | None) -> Tensor:
        if self.first is None:
            return critics(states, actions)
        values = critics(states)
        if actions is None:
            return values
        chosen = (actions - self.first).expand(2, -1).unsqueeze(-1)
        return values.gather(-1, chosen).squeeze(-1)
