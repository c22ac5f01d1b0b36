"""What an agent would have decided for recorded patients, row by row."""

from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float

from angle_domains.ope.episodes import places
from angle_domains.ope.policies import greedy, soft
from angle_domains.types import Agent, Decision, Percept
from feeds.base import FeedSpec, Rows

OUT = -1e5  # agents put actions that no record supports far below any value: of these they hold no belief


class Intended(NamedTuple):
    """Of every row of a part, its last rows included."""

    action: np.ndarray  # [N, *act] the likeliest action
    policy: Float[np.ndarray, "n a"] | None  # probabilities of discrete actions
    q: Float[np.ndarray, "n a"] | None  # what the agent itself holds them worth; None where it has no such values

    @property
    def sampled(self) -> bool:
        """The policy draws its decisions, and is so another than the likeliest actions, which are taken in use."""
        return self.policy is not None and self.q is None and bool((self.policy.max(1) < 1.0 - 1e-6).any())

    def drawn(self, rows: Rows, seed: int) -> "Intended":
        """With decisions drawn from the policy in place of the likeliest, where it draws; last rows decide nothing."""
        if self.policy is None or not self.sampled:
            return self
        chance = np.random.default_rng(seed).random((len(rows), 1))
        total = self.policy.cumsum(1)
        action = (total < chance * total[:, -1:]).sum(1).astype(self.action.dtype)
        return self._replace(action=np.where(rows.last, self.action, action))


def intended(agent: Agent, rows: Rows, spec: FeedSpec, epsilon: float = 0.0) -> Intended:
    """Reads the episodes side by side, decision by decision, an agent's memory carried along.

    A greedy agent's policy has `epsilon` spread evenly over what is allowed; one that gives probabilities has its own.
    """
    at = places(rows)
    rank = np.zeros(len(rows), np.int64)  # of each row in its episode
    rank[at.row] = at.step
    rank[at.end] = rank[at.end - 1] + 1
    episode = np.cumsum(rows.first) - 1
    memory: Any = None
    columns: dict[str, np.ndarray] = {}
    streams = np.unique(episode[at.row])
    place = np.full(episode.max() + 1, -1)
    place[streams] = np.arange(len(streams))
    for tick in range(int(rank.max()) + 1):
        here = np.flatnonzero((rank == tick) & (place[episode] >= 0))
        chosen = np.zeros(len(streams), np.int64)  # who is over reads any row: nobody asks for the answer
        chosen[place[episode[here]]] = here
        decision = agent.act(_percept(rows, chosen, tick), memory, explore=False)
        memory = decision.memory
        for name, value in told(decision).items():
            column = columns.setdefault(name, np.zeros((len(rows), *value.shape[1:]), value.dtype))
            column[here] = value[place[episode[here]]]
    return Intended(columns["action"], chances(columns, rows.mask, spec, epsilon), columns.get("q"))


def policy_at(
    agent: Agent, obs: Float[np.ndarray, "n d"], spec: FeedSpec, epsilon: float = 0.0
) -> Float[np.ndarray, "n a"] | None:
    """The policy where these are seen; None for an agent whose decisions hang on more than that."""
    no, zero = torch.zeros(len(obs), dtype=torch.bool), torch.zeros(len(obs))
    blank = torch.zeros((len(obs), *(spec.action_space.shape or ())), dtype=torch.int64)
    decision = agent.act(Percept(torch.from_numpy(obs), blank, zero, zero + 1.0, ~no, no), None, explore=False)
    return None if decision.memory is not None else chances(told(decision), None, spec, epsilon)


def chances(
    said: dict[str, np.ndarray], mask: np.ndarray | None, spec: FeedSpec, epsilon: float
) -> Float[np.ndarray, "n a"] | None:
    """Probabilities of discrete actions, from what a decision told."""
    if not isinstance(spec.action_space, spaces.Discrete):
        return None
    if "q" in said:
        return greedy(said["q"].astype(np.float64), mask, epsilon=epsilon)
    return soft(said["log_probs"].astype(np.float64), mask) if "log_probs" in said else None


def _percept(rows: Rows, chosen: np.ndarray, tick: int) -> Percept:
    before = np.maximum(chosen - 1, 0)
    first = rows.first[chosen]
    action = np.where(first.reshape(-1, *[1] * (rows.action.ndim - 1)), 0, rows.action[before])
    return Percept(
        obs=torch.from_numpy(rows.observation[chosen]),
        action=torch.from_numpy(action.astype(rows.action.dtype)),
        reward=torch.from_numpy(rows.reward[chosen].astype(np.float32)),
        discount=torch.from_numpy((~rows.terminated[chosen]).astype(np.float32)),
        first=torch.full((len(chosen),), tick == 0),
        last=torch.from_numpy(rows.last[chosen]),
        mask=None if rows.mask is None else torch.from_numpy(rows.mask[chosen]),
        elapsed=torch.from_numpy(rows.elapsed[chosen].astype(np.float32)),
    )


def told(decision: Decision) -> dict[str, np.ndarray]:
    """The action and what the agent says of all of them."""
    shown = {name: value for name, value in decision.extras.items() if name in ("q", "log_probs")}
    return {name: value.detach().cpu().numpy() for name, value in ({"action": decision.action} | shown).items()}
