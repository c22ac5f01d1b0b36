"""Whole episodes of a vector environment, played by an agent as it would act in earnest."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from jaxtyping import Bool, Float, Int
from torch import Tensor

from angle_domains.loops import advance, begin, spread
from angle_domains.showing import EPISODE_LIMIT
from angle_domains.types import Agent, Decision, Percept

STREAMS = 16  # episodes played side by side


@dataclass(frozen=True)
class Episodes:
    """What whole episodes came to; `returns` are sums of rewards as the game gives them, neither clipped nor scaled."""

    returns: Float[np.ndarray, " e"]
    lengths: Int[np.ndarray, " e"]  # actions
    cut: int = 0  # that had no end within the limit: their returns are of what was played


class Chance:
    """Acts uniformly at random among what is allowed: what any agent must beat."""

    def __init__(self, space: spaces.Space[Any], seed: int) -> None:
        self.space, self.generator = space, np.random.default_rng(seed)

    def act(self, percept: Percept, memory: Any = None, *, explore: bool = False) -> Decision:
        return Decision(self.draw(len(percept.last), percept.mask))

    def draw(self, count: int, mask: Tensor | None) -> Tensor:
        """`[count, *act]` actions."""
        space, generator = self.space, self.generator
        if isinstance(space, spaces.Discrete):
            weight = generator.random((count, int(space.n)))
            if mask is not None:
                weight = np.where(mask.cpu().numpy(), weight, -1.0)
            return torch.as_tensor(weight.argmax(-1) + int(space.start))
        if isinstance(space, spaces.MultiDiscrete):
            if mask is not None:
                return self._parts(space, mask.cpu().numpy().reshape(count, -1))
            return torch.as_tensor(space.start + generator.integers(space.nvec, size=(count, *space.shape)))
        assert isinstance(space, spaces.Box)
        low, high = (np.clip(bound, -1e3, 1e3) for bound in (space.low, space.high))
        return torch.as_tensor(generator.uniform(low, high, (count, *space.shape)).astype(space.dtype))

    def _parts(self, space: spaces.MultiDiscrete, mask: Bool[np.ndarray, "b m"]) -> Tensor:
        """A choice of each part, whose masks stand side by side."""
        weight = np.where(mask, self.generator.random(mask.shape), -1.0)
        parts = np.split(weight, np.cumsum(space.nvec.ravel())[:-1], -1)
        chosen = np.stack([part.argmax(-1) for part in parts], -1)
        return torch.as_tensor(space.start + chosen.reshape(-1, *space.shape))


def play_episodes(
    agent: Agent | Chance,
    envs: VectorEnv[Any, Any, Any],
    *,
    episodes: int,
    seed: int,
    epsilon: float = 0.0,
    limit: int = EPISODE_LIMIT,
) -> Episodes:
    """`episodes` whole episodes; each stream's share is fixed beforehand, so that short ones do not push long ones out.

    The agent does not explore; with probability `epsilon` an action is drawn at random in its place, as protocols of
    games with a deterministic start ask. An episode is cut after `limit` actions; as no stream can be reset alone, what
    its stream still owes is played once the others are done, in streams that begin anew.
    """
    quota = np.full(envs.num_envs, episodes // envs.num_envs)
    quota[: episodes % envs.num_envs] += 1
    chance = Chance(envs.single_action_space, seed)
    found: list[tuple[float, int, bool]] = []
    while (quota > 0).any():
        state = begin(envs, seed)
        stuck = np.zeros(envs.num_envs, bool)
        while ((quota > 0) & ~stuck).any():
            decision = agent.act(state.percept, state.memory, explore=False)
            action = disturbed(decision.action.detach(), chance, state.percept.mask, epsilon)
            over, returns, lengths = advance(envs, state, action, decision.memory)
            ended = over.numpy()
            endless = ~ended & (lengths.numpy() >= limit)
            for stream in np.flatnonzero((ended | endless) & ~stuck & (quota > 0)):
                found.append((float(returns[stream]), int(lengths[stream]), bool(endless[stream])))
                quota[stream] -= 1
            stuck |= endless
        seed = spread(seed)  # what is left begins elsewhere
    gained, taken, cut = zip(*found, strict=True)
    return Episodes(np.array(gained), np.array(taken), sum(cut))


def disturbed(action: Tensor, chance: Chance, mask: Tensor | None, epsilon: float) -> Tensor:
    """The actions, each replaced by a random one with probability `epsilon`."""
    if epsilon <= 0.0:
        return action
    drawn = chance.draw(len(action), mask).to(action)
    struck = torch.as_tensor(chance.generator.random(len(action)) < epsilon, device=action.device)
    return torch.where(struck.reshape(-1, *[1] * (action.ndim - 1)), drawn, action)
