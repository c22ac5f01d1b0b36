"""Recurrent conservative Q-learning of choices: what to do follows from all that was seen of an episode so far.

Kumar, Zhou, Tucker and Levine (2020), "Conservative Q-Learning for Offline Reinforcement Learning", arXiv:2006.04779,
on the sequences of Kapturowski, Ostrovski, Quan, Munos and Dabney (2019), "Recurrent Experience Replay in Distributed
Reinforcement Learning" (R2D2).

Differs from the papers:
- Memories begin blank and are burned in; none are stored, since nobody acted when the log was made.
- The target network unrolls a memory of its own over the whole window.
- Windows end where episodes end, and one that begins an episode learns from all its rows, burn-in or not.
- Values are not rescaled, returns are of one step. No recurrent dropout.
"""

import copy
from typing import Annotated, Any

import torch
from gymnasium import spaces
from jaxtyping import Float
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)
from torch import Tensor

from angle_domains.chance import seeded
from angle_domains.errors import ConfigError
from angle_domains.losses.offline import conservative_gap
from angle_domains.losses.value import greedy
from angle_domains.networks import NetworkConfig
from angle_domains.networks.loading import load_network
from angle_domains.networks.q import QHead
from angle_domains.networks.recurrent_q import RecurrentQ
from angle_domains.optim import descend, follow, gradients
from angle_domains.replay import RecordedConfig, beside
from angle_domains.transitions import Sight
from angle_domains.types import Decision, LearnResult, Percept, Window
from feeds.base import FeedSpec

_NETWORK = NetworkConfig(hidden=(64,), activation="relu", recurrent=64)
_REPLAY = RecordedConfig(batch=32, prioritised=True, alpha=0.6, beta=0.4)


class RCQLConfig(BaseModel):
    """Defaults are those of the vasopressor pipeline (arXiv:2510.01508), but for tau, which makes no target there.

    Its memory has two layers with dropout between them, and its priorities add 10 where a stay ends in death, told by
    the sign of a reward; here there is one layer, and priorities are of errors alone: windows end where stays do, so
    every death is drawn from anyway.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig = _NETWORK
    sequence: PositiveInt = 20  # actions of a window
    burn_in: NonNegativeInt = 8  # of those the first, from which only the memory learns what came before
    stride: PositiveInt = 10  # actions from one window of an episode to the next
    see_action: bool = True  # the action before is read beside the observation
    gamma: float = Field(default=0.95, ge=0, le=1)
    alpha: NonNegativeFloat = 1e-3  # weight of the gap; 0: plain Q-learning
    learning_rate: PositiveFloat = 1e-3
    max_grad_norm: PositiveFloat = 1.0
    tau: float = Field(default=0.005, gt=0, le=1)  # way that the target network goes at a time
    eta: float = Field(default=0.9, ge=0, le=1)  # share of the largest error in a priority, beside the mean
    replay: Annotated[RecordedConfig, beside(_REPLAY)] = _REPLAY

    @model_validator(mode="after")
    def _windows(self) -> "RCQLConfig":
        if not self.network.recurrent:
            raise ValueError("network.recurrent is 0, and this agent is one with a memory: set it, or use cql")
        if self.burn_in + self.stride > self.sequence:
            raise ValueError(
                f"burn_in={self.burn_in} and stride={self.stride} are more than sequence={self.sequence}: "
                "some actions would never be learned from"
            )
        return self


class RCQL:
    """Learns the value of every action from sequences, and that of unseen actions no higher than it must."""

    def __init__(self, config: RCQLConfig, spec: FeedSpec, *, seed: int, device: str) -> None:
        space = spec.action_space
        if not isinstance(space, spaces.Discrete):
            raise ConfigError(f"action values need a Discrete action space, actions of {spec.name} are {space}")
        self.config, self.replay = config, config.replay
        self.length, self.stride = config.sequence, config.stride
        self.actions, self.first = int(space.n), int(space.start)
        self.see = Sight(config.network, device)
        extra, made = self.actions if config.see_action else 0, seeded(seed, "network")
        self.online = RecurrentQ(spec, config.network, QHead(), self.actions, extra, made).to(self.see.device)
        self.target_network = copy.deepcopy(self.online).requires_grad_(False)
        self.parameters = list(self.online.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=config.learning_rate, fused=True)

    @torch.no_grad()
    def act(self, percept: Percept, memory: Tensor | None, *, explore: bool) -> Decision:
        """The action of the highest value, with or without `explore`; the memory is what was seen so far."""
        mask = None if percept.mask is None else percept.mask.to(self.see.device)
        if memory is None:
            memory = self.online.recurrence.blank(len(percept.obs))
        q, memory = self.online(*self._read(percept, 1), memory.to(self.see.device))
        return Decision(self.first + greedy(q[0], mask), memory, {} if explore else {"q": q[0]})

    def values(self, window: Window) -> tuple[Float[Tensor, "t+1 b n"], Float[Tensor, "t+1 b n"]]:
        """Of all rows, by the online network, with a gradient from the burn-in on, and by the target network.

        Both memories begin blank. What lies beyond the end of the episode that a window starts in means nothing.
        """
        obs, extra, first = self._read(window.percept, len(window.obs))
        first = torch.cat([first[:1], torch.zeros_like(first[1:])])  # another begins beyond the end alone
        memory, early = self.online.recurrence.blank(obs.shape[1]), self.config.burn_in
        before = []
        if early:
            q, memory = self.online(obs[:early], extra[:early], first[:early], memory)
            before, memory = [q], memory.detach()
        q, _ = self.online(obs[early:], extra[early:], first[early:], memory)
        with torch.no_grad():
            held, _ = self.target_network(obs, extra, first, torch.zeros_like(memory))
        return torch.cat([*before, q]), held

    def trained(self, window: Window) -> Float[Tensor, "t b"]:
        """1 for the actions to learn from: taken in the episode that the window starts in, the burn-in over."""
        begun = window.percept.first[0].to(torch.float32)
        late = (torch.arange(len(window.action), device=begun.device) >= self.config.burn_in).to(torch.float32)
        return (window.same_episode * torch.maximum(late.unsqueeze(-1), begun)).to(self.see.device)

    def loss(self, window: Window) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The loss of a batch, what is logged of it, and the priority of each window. No side effect."""
        q, held = self.values(window)
        mask = None if window.percept.mask is None else window.percept.mask.to(q.device)
        action, trained = self._counted(window.action), self.trained(window)
        chosen = q[:-1].gather(-1, action.unsqueeze(-1)).squeeze(-1)
        error = self.target(window, q.detach(), held) - chosen
        gap = conservative_gap(q[:-1], action, None if mask is None else mask[:-1])
        each = trained * (0.5 * error.square() + self.config.alpha * gap)
        count, weight = trained.sum().clamp(min=1.0), window.weight.to(q.device)
        size = error.detach().abs() * trained
        mean = size.sum(0) / trained.sum(0).clamp(min=1.0)
        logged = {
            "loss/q": (0.5 * size.square()).sum() / count,
            "loss/gap": (trained * gap.detach()).sum() / count,
            "value/mean": (trained * chosen.detach()).sum() / count,
        }
        priority = self.config.eta * size.amax(0) + (1.0 - self.config.eta) * mean
        return (weight * each).sum() / count, logged, priority

    @torch.no_grad()
    def target(self, window: Window, q: Tensor, held: Tensor) -> Tensor:
        """`[T, B]`: rewards, bootstrapped from the target network's value of the online network's next action."""
        mask = window.percept.mask
        judged = q[1:] if mask is None else q[1:].masked_fill(~mask[1:].to(q.device), -torch.inf)
        value = held[1:].gather(-1, judged.argmax(-1, keepdim=True)).squeeze(-1)
        gamma = self.config.gamma
        reward, discount = (window.reward * window.paid(gamma)).to(q.device), window.discounted(gamma).to(q.device)
        return torch.addcmul(reward, discount, value)

    def learn(self, window: Window) -> LearnResult:
        """One step of the optimiser; TrainingError where loss or gradient are not finite."""
        loss, logged, priority = self.loss(window)
        norm = descend(loss, self.optimizer, self.parameters, self.config.max_grad_norm)
        follow(self.target_network, self.online, self.config.tau)
        metrics = logged | {"optimiser/gradient_norm": norm}
        return LearnResult(metrics, priority if self.replay.prioritised else None)

    def portrait(self) -> dict[str, Tensor]:
        """The gradients of every part."""
        return gradients(self.online)

    def state_dict(self) -> dict[str, Any]:
        return {
            "online": dict(self.online.state_dict()),
            "target": dict(self.target_network.state_dict()),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it belongs to another network."""
        load_network(self.online, state["online"])
        load_network(self.target_network, state["target"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _counted(self, action: Tensor) -> Tensor:
        """Actions from 0; what stands where none was taken may be no action."""
        return (action.to(self.see.device) - self.first).clamp(min=0)

    def _read(self, percept: Percept, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        """Observations, actions before and beginnings, `[T, B, ...]`, of a percept `[B, ...]` or `[T, B, ...]`."""
        first = percept.first.reshape(rows, -1).to(self.see.device)
        inner = percept.obs.shape[percept.first.ndim :]
        obs = self.see(percept.obs.reshape(first.numel(), *inner)).unflatten(0, first.shape)
        if not self.config.see_action:
            return obs, obs[..., :0], first
        action = self._counted(percept.action.reshape(rows, -1))
        extra = torch.nn.functional.one_hot(action, self.actions).to(torch.float32)
        return obs, extra * (~first).unsqueeze(-1), first


def build(config: RCQLConfig, spec: FeedSpec, *, streams: int, seed: int, device: str) -> RCQL:
    """An RCQL for the observations and actions of a feed; ConfigError where network or actions do not fit them."""
    return RCQL(config, spec, seed=seed, device=device)
