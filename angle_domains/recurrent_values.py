"""What agents share whose action values follow from all that was seen of an episode so far."""

import copy
from typing import Any, NamedTuple

import torch
from gymnasium import spaces
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from angle_domains.errors import ConfigError
from angle_domains.networks import NetworkConfig
from angle_domains.networks.loading import load_network
from angle_domains.networks.q import QHead
from angle_domains.networks.recurrent_q import RecurrentQ
from angle_domains.optim import gradients
from angle_domains.transitions import Sight
from angle_domains.types import Percept, Window
from feeds.base import FeedSpec

MEMORY = "start/memory"  # the extra that keeps what was remembered before a row


class Unrolled(NamedTuple):
    """Values of every row of a window."""

    online: Float[Tensor, "t b n"]  # with a gradient from the burn-in on
    target: Float[Tensor, "t b n"]


class Reading(NamedTuple):
    """Rows as the networks read them."""

    obs: Tensor  # [T, B, *obs]
    extra: Float[Tensor, "t b e"]
    first: Bool[Tensor, "t b"]


class RecurrentValues:
    """An online RecurrentQ and the target copy that follows it.

    Beside observations they read the action and the reward that led there, blank where an episode begins, and
    `beside` further numbers a row. ConfigError where actions are no `Discrete` or the network has no memory.
    """

    def __init__(
        self, spec: FeedSpec, network: NetworkConfig, head: QHead, *, beside: int, made: Generator, device: str
    ) -> None:
        space = spec.action_space
        if not isinstance(space, spaces.Discrete):
            raise ConfigError(f"action values need a Discrete action space, actions of {spec.name} are {space}")
        self.actions, self.first = int(space.n), int(space.start)
        self.see = Sight(network, device)
        self.device = self.see.device
        self.extra = self.actions + 1 + beside
        self.online = RecurrentQ(spec, network, head, self.actions, self.extra, made).to(self.device)
        self.target = copy.deepcopy(self.online).requires_grad_(False)
        self.parameters = list(self.online.parameters())

    def blank(self, streams: int) -> Float[Tensor, "b 2 h"]:
        return self.online.recurrence.blank(streams)

    def read(self, percept: Percept, *beside: Float[Tensor, "*b _"]) -> Reading:
        """A percept `[B, ...]` as a sequence of one row, or `[T, B, ...]` as it is."""
        rows = len(percept.first) if percept.first.ndim == 2 else 1
        first = percept.first.reshape(rows, -1).to(self.device)
        inner = percept.obs.shape[percept.first.ndim :]
        obs = self.see(percept.obs.reshape(first.numel(), *inner)).unflatten(0, first.shape)
        action = one_hot(self.counted(percept.action.reshape(rows, -1)), self.actions).to(torch.float32)
        reward = percept.reward.reshape(rows, -1, 1).to(self.device)
        before = torch.cat([action, reward], -1) * ~first.unsqueeze(-1)
        more = [each.reshape(*first.shape, -1).to(self.device, torch.float32) for each in beside]
        return Reading(obs, torch.cat([before, *more], -1), first)

    def counted(self, action: Int[Tensor, "*b"]) -> Int[Tensor, "*b"]:
        """Actions from 0; what stands where none was taken may be no action."""
        return (action.to(self.device) - self.first).clamp(0, self.actions - 1)

    @torch.no_grad()
    def act(self, reading: Reading, memory: Tensor) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b 2 h"]]:
        """The online network's values of one row, and the memory after it."""
        q, memory = self.online(*reading, memory.to(self.device))
        return q[0], memory

    def unroll(self, reading: Reading, memory: Tensor, burn_in: int) -> Unrolled:
        """By both networks, each unrolling a memory of its own from the same stored one.

        No gradient flows from the rows after the burn-in into the memory that it left, and the rows of the burn-in
        have one only where an episode begins among them, for else nobody learns from them.
        """
        before: list[Tensor] = []
        late, begun = memory, memory
        if burn_in:
            early = Reading(*(part[:burn_in] for part in reading))
            with torch.set_grad_enabled(bool(early.first.any())):
                q, late = self.online(*early, begun)
            before, late = [q], late.detach()
        q, _ = self.online(*(part[burn_in:] for part in reading), late)
        with torch.no_grad():
            held, _ = self.target(*reading, begun)
        return Unrolled(torch.cat([*before, q]), held)

    def copy(self) -> None:
        """The target becomes what the online network is."""
        torch._foreach_copy_(list(self.target.parameters()), [p.detach() for p in self.parameters])

    def worth(self, obs: Tensor, *beside: Float[Tensor, "b _"]) -> Float[Tensor, "b n"]:
        """The target network's values of observations `[B, *obs]` that begin an episode."""
        seen, streams = self.see(obs).unsqueeze(0), len(obs)
        before = torch.zeros(1, streams, self.actions + 1, device=self.device)
        extra = torch.cat([before, *(each.unsqueeze(0) for each in beside)], -1)
        begun = torch.ones(1, streams, dtype=torch.bool, device=self.device)
        q, _ = self.target(seen, extra, begun, self.blank(streams))
        return q[0]

    def gradients(self, name: str = "gradient") -> dict[str, Tensor]:
        """Of every part of the online network, after an update."""
        return gradients(self.online, name)

    def publish(self) -> dict[str, Tensor]:
        """A copy of what decisions are made by: the online network."""
        return {name: tensor.clone() for name, tensor in self.online.state_dict().items()}

    def adopt(self, state: dict[str, Tensor]) -> None:
        """Decides by what was published; CheckpointError where it belongs to another network."""
        load_network(self.online, state)

    def state_dict(self) -> dict[str, Any]:
        return {"online": dict(self.online.state_dict()), "target": dict(self.target.state_dict())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it belongs to another network."""
        load_network(self.online, state["online"])
        load_network(self.target, state["target"])


def check_sequences(network: NetworkConfig, trace: int, period: int) -> None:
    """ValueError where there is no memory, or sequences do not overlap in what is learned from."""
    if not network.recurrent:
        raise ValueError("network.recurrent is 0, and this agent is one with a memory: set it, or use dqn")
    if period > trace:
        raise ValueError(f"period={period} is more than trace={trace}: some rows would never be learned")


def stored(window: Window, blank: Tensor) -> Tensor:
    """The memory `[B, ...]` kept with the first row of a window, that from which it was decided; or none was."""
    kept = window.extras.get(MEMORY)
    return blank if kept is None else kept[0].to(blank.device)


def trained(window: Window, burn_in: int, device: torch.device) -> Float[Tensor, "t b"]:
    """1 for the actions to learn from: those taken with the burn-in over, or since an episode began in the window."""
    rows = torch.arange(len(window.action), device=device).unsqueeze(-1)
    begun = window.percept.first[:-1].to(device).cumsum(0) > 0
    return window.real.to(device) * ((rows >= burn_in) | begun)


def of_sequences(error: Float[Tensor, "t b"], counts: Float[Tensor, "t b"], eta: float) -> Float[Tensor, " b"]:
    """The priority of each sequence: eta times its largest error and 1 - eta times its mean one (R2D2, section 2.3)."""
    size = error.abs() * counts
    return eta * size.amax(0) + (1.0 - eta) * size.sum(0) / counts.sum(0).clamp(min=1.0)


def epsilons(streams: int, base: float, exponent: float) -> Float[Tensor, " b"]:
    """The share of random actions in each stream, base^(1 + exponent i / (N - 1)) (Horgan et al. 2018, section 4).

    A single stream has that in the middle.
    """
    place = torch.linspace(0.0, 1.0, streams, dtype=torch.float64) if streams > 1 else torch.full((1,), 0.5)
    return (base ** (1.0 + exponent * place)).to(torch.float32)
