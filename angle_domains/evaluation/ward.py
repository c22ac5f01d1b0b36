"""The true worth of an agent's policy where patients can be made up: by treating some."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from angle_domains.ope.policies import greedy, soft
from angle_domains.types import Agent, Decision, Percept
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.synth_rollout import survival
from feeds.clinical.synth_vaso import Value

PATIENTS = 2_000
_SEED = 1_000_003  # of patients whom no log holds


def treated(feed: ClinicalFeed, agent: Agent, patients: int | None = None, *, epsilon: float = 0.0) -> Value | None:
    """The share of new patients who survive under the agent's policy, with its standard error; None where they cannot
    be made up. The patients are the same for every policy."""
    return survival(feed, Doctor(agent, epsilon), patients or PATIENTS, _SEED)


class Doctor:
    """An agent beside many patients at once, its memory carried along from hour to hour.

    A greedy agent does what is best, but for the share `epsilon` of its decisions, which are drawn at random as where
    it is valued; one that gives probabilities draws by them.
    """

    def __init__(self, agent: Agent, epsilon: float = 0.0) -> None:
        self.agent, self.epsilon, self.chance = agent, epsilon, np.random.default_rng(_SEED)
        self.patient: np.ndarray | None = None  # who was there in the hour before
        self.memory: Any = None
        self.action: np.ndarray | None = None

    def __call__(self, obs: np.ndarray, mask: np.ndarray | None, patient: np.ndarray) -> np.ndarray:
        first = self.patient is None
        stayed = np.arange(len(patient)) if self.patient is None else np.searchsorted(self.patient, patient)
        memory = _rows(self.memory, torch.from_numpy(stayed))
        before = (
            torch.zeros(len(obs), dtype=torch.int64) if self.action is None else torch.from_numpy(self.action[stayed])
        )
        decision = self.agent.act(_percept(obs, before, mask, first=first), memory, explore=False)
        self.patient, self.memory, self.action = patient, decision.memory, self._drawn(decision, mask)
        return self.action

    def _drawn(self, decision: Decision, mask: np.ndarray | None) -> np.ndarray:
        action = decision.action.detach().cpu().numpy()
        said = {name: value.detach().cpu().numpy().astype(np.float64) for name, value in decision.extras.items()
                if name in ("q", "log_probs")}  # fmt: skip
        if "q" in said and self.epsilon > 0.0:
            share = greedy(said["q"], mask, epsilon=self.epsilon)
        elif "log_probs" in said:
            share = soft(said["log_probs"], mask)
        else:
            return action
        drawn = (np.cumsum(share, 1) < self.chance.random((len(share), 1))).sum(1)
        return np.minimum(drawn, share.shape[1] - 1).astype(action.dtype)


def _percept(obs: np.ndarray, before: Tensor, mask: np.ndarray | None, *, first: bool) -> Percept:
    no, zero = torch.zeros(len(obs), dtype=torch.bool), torch.zeros(len(obs))
    return Percept(
        obs=torch.from_numpy(obs),
        action=before,
        reward=zero,
        discount=zero + 1.0,
        first=no | first,
        last=no,
        mask=None if mask is None else torch.from_numpy(mask),
        elapsed=zero + (0.0 if first else 1.0),
    )


def _rows(memory: Any, rows: Tensor) -> Any:
    """Of a tensor, or of each in a tuple or dict, what belongs to the patients who stayed."""
    if memory is None:
        return None
    if isinstance(memory, dict):
        return {name: _rows(part, rows) for name, part in memory.items()}
    if isinstance(memory, tuple):
        return tuple(_rows(part, rows) for part in memory)
    return memory[rows]
