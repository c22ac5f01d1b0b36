"""A model of patients, learned from their records: a world to practise in that is wary of what it has not seen.

An ensemble foresees what a decision leads to (Lakshminarayanan, Pritzel and Blundell 2017, arXiv:1612.01474). Practice
is pessimistic in two ways: rewards are lowered where the members disagree (Yu et al. 2020, MOPO, arXiv:2005.13239), and
discrete actions that were hardly ever taken in such a state are forbidden. A policy that does well here has not been
shown to help anybody: it is judged on recorded patients that the model has not seen.
"""

import copy
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from feeds.base import LoggedFeed, Step
from feeds.errors import FeedError
from feeds.random import fold, integers, uniform
from metalearn.dynamics import Dynamics
from metalearn.ensemble import Foresight
from metalearn.settings import PatientModelConfig

Array = Any


class ModelState(NamedTuple):
    key: Array  # [B] int64
    tick: Array  # [B] int64: decisions taken
    obs: Array  # [B, d] float64


class PatientModel:
    """A pure DataFeed over the observations and actions of a logged feed, fitted to its training patients.

    Episodes begin as recorded ones of the part do; member and outcome are drawn anew at each decision. All is computed
    in float64 and seen in float32, so that streams stepped together and alone agree.
    """

    def __init__(
        self, logged: LoggedFeed, config: PatientModelConfig | None = None, dynamics: Dynamics | None = None
    ) -> None:
        space = logged.spec.action_space
        if not isinstance(space, spaces.Discrete | spaces.Box):
            raise FeedError(f"a patient model needs Discrete or Box actions, those of '{logged.spec.name}' are {space}")
        self.config, self.logged, self.device = config or PatientModelConfig(), logged, "cpu"
        self.spec = replace(logged.spec, clock=f"{logged.spec.clock or 'one decision'}, foreseen by a model")
        parts = {split: logged.episodes(split) for split in self.spec.splits}
        train = parts["train"]
        if len(train) - len(train.starts) < 2:
            raise FeedError(f"the training part of '{logged.spec.name}' has fewer than two decisions to learn from")
        self.starts = {
            split: torch.as_tensor(rows.observation[rows.starts], dtype=torch.float64).flatten(1)
            for split, rows in parts.items()
        }
        self.longest = self.config.longest or int((train.stops - train.starts).max()) - 1
        self.hours = float(np.median(train.elapsed[~train.first]))
        if dynamics is None:
            dynamics = Dynamics(self.starts["train"].shape[1], space, self.config)
            dynamics.learn(train)
        self.dynamics = dynamics.requires_grad_(False)

    def reset(self, keys: Array, *, split: str) -> tuple[ModelState, Step]:
        key = torch.as_tensor(keys, dtype=torch.int64, device=self._place)
        starts = self.starts[split].to(self._place)
        state = ModelState(key.clone(), torch.zeros_like(key), starts[integers(key, len(starts), 0)])
        zero = torch.zeros(len(key), dtype=torch.float64, device=self._place)
        return self._told(state, zero, zero > 0, zero > 0, zero)

    @torch.no_grad()
    def step(self, state: ModelState, action: Array) -> tuple[ModelState, Step]:
        key, tick, obs = (torch.as_tensor(array, device=self._place) for array in state)
        chance = fold(key, tick + 1)
        every = self.dynamics.ensemble.foresee(self.dynamics.inputs(obs, torch.as_tensor(action, device=self._place)))
        seen = _of(every, integers(chance, self.config.members, 0))
        ended = uniform(chance, 1) < seen.ended.sigmoid()
        doubt = self.dynamics.doubt(every)
        reward = torch.where(ended, seen.final, seen.reward) * self.dynamics.reward_std - self.config.pessimism * doubt
        following = self.dynamics.following(obs, seen, *chances(chance, obs.shape[1]))
        cut = ~ended & (tick + 1 >= self.longest)
        return self._told(ModelState(key.clone(), tick + 1, following), reward, ended, cut, doubt)

    def to(self, device: str) -> "PatientModel":
        """The same model on "cpu" (NumPy in and out), "torch" or "cuda"."""
        if device == self.device:
            return self
        moved = copy.copy(self)
        moved.device = device
        moved.dynamics = copy.deepcopy(self.dynamics).to(moved._place)
        return moved

    def describe(self) -> dict[str, Any]:
        """The records that the model was fitted to."""
        return self.logged.describe()

    @property
    def _place(self) -> torch.device:
        return torch.device("cuda" if self.device == "cuda" else "cpu")

    def _told(
        self, state: ModelState, reward: Tensor, ended: Tensor, cut: Tensor, doubt: Tensor
    ) -> tuple[ModelState, Step]:
        shape = self.spec.observation_space.shape or (-1,)
        info = {"doubt": doubt, "elapsed": torch.full_like(doubt, self.hours)}
        allowed = self.dynamics.allowed(state.obs)
        if allowed is not None:
            info["action_mask"] = allowed
        obs = state.obs.to(torch.float32).reshape(-1, *shape)
        if self.device != "cpu":
            return state, Step(obs, reward, ended, cut, info)
        told = {name: array.numpy() for name, array in info.items()}
        step = Step(obs.numpy(), reward.numpy(), ended.numpy(), cut.numpy(), told)
        return ModelState(*(array.numpy() for array in state)), step


def _of(every: Foresight, member: Tensor) -> Foresight:
    """What one member each foresees."""
    return Foresight(*(part[member, torch.arange(len(member), device=member.device)] for part in every))


def chances(key: Tensor, entries: int) -> tuple[Tensor, Tensor]:
    """Standard normal and uniform numbers `[B, entries]` (Box-Muller)."""
    counter = torch.arange(entries, device=key.device) + 2
    first, second, third = (uniform(key[:, None], counter + entries * part) for part in range(3))
    return (-2.0 * (1.0 - first).log()).sqrt() * (2.0 * torch.pi * second).cos(), third
