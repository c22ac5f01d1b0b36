"""A model of patients, learned from their records: a world to practise in that is wary of what it has not seen.

An ensemble foresees what a decision leads to (Lakshminarayanan, Pritzel and Blundell 2017, arXiv:1612.01474). Practice
is pessimistic in two ways: rewards are lowered where the members disagree (Yu et al. 2020, MOPO, arXiv:2005.13239), and
discrete actions that were hardly ever taken in such a state are forbidden, as are those that the codec of the records
does not have there. A policy that does well here has not been
shown to help anybody: it is judged on recorded patients that the model has not seen.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from feeds.base import LoggedFeed, Step
from feeds.errors import FeedError
from feeds.random import fold, integers, uniform
from metalearn.beginnings import mixed
from metalearn.dosing import dosing_of
from metalearn.dynamics import Dynamics
from metalearn.ensemble import Foresight
from metalearn.settings import PatientModelConfig

Array = Any


class ModelState(NamedTuple):
    key: Array  # [B] int64
    tick: Array  # [B] int64: decisions taken
    obs: Array  # [B, d] float64
    doses: Array  # [B, k] float64 in force; no column where no action and no observation hangs on them


class PatientModel:
    """A pure DataFeed over the observations and actions of a logged feed, fitted to its training patients.

    Episodes begin much as recorded ones of the part do, and as nobody's (`beginnings`); member and outcome are drawn
    anew at each decision, which takes as long as a recorded one usually does. All is computed in float64 and seen in
    float32, so that streams stepped together and alone agree. `dynamics` were fitted before; else `tell` hears how many
    updates of the fit are done.
    """

    def __init__(
        self,
        logged: LoggedFeed,
        config: PatientModelConfig | None = None,
        dynamics: Dynamics | None = None,
        *,
        tell: Callable[[int], None] | None = None,
    ) -> None:
        self.config, self.logged, self.device = config or PatientModelConfig(), logged, "cpu"
        blank = blank_dynamics(logged, self.config)  # first: what does not fit is told before records are read
        self.spec = replace(logged.spec, clock=f"{logged.spec.clock or 'one decision'}, foreseen by a model")
        parts = {split: logged.episodes(split) for split in self.spec.splits}
        train = parts["train"]
        if len(train) - len(train.starts) < 2:
            raise FeedError(f"the training part of '{logged.spec.name}' has fewer than two decisions to learn from")
        self.starts = {
            split: mixed(
                torch.as_tensor(rows.observation[rows.starts], dtype=torch.float64).flatten(1), self.config.seed
            )
            for split, rows in parts.items()
        }
        self.longest = self.config.longest or int((train.stops - train.starts).max()) - 1
        self.hours = float(np.median(train.elapsed[~train.first]))
        self.dosing = dosing_of(logged)
        if dynamics is None:
            dynamics = blank
            dynamics.learn(train, tell)
        self.dynamics = dynamics.requires_grad_(False)

    def reset(self, keys: Array, *, split: str) -> tuple[ModelState, Step]:
        key = torch.as_tensor(keys, dtype=torch.int64, device=self._place)
        stay = integers(key, len(self.starts[split]), 0)
        obs = self.starts[split].to(self._place)[stay]
        doses = obs[:, :0] if self.dosing is None else self.dosing.starts[split].to(self._place)[stay]
        obs = obs if self.dosing is None else self.dosing.shown(obs, doses)
        zero = torch.zeros(len(key), dtype=torch.float64, device=self._place)
        state = ModelState(key.clone(), torch.zeros_like(key), obs, doses.clone())
        return self._told(state, zero, zero > 0, zero > 0, zero, zero + 0.0)

    @torch.no_grad()
    def step(self, state: ModelState, action: Array) -> tuple[ModelState, Step]:
        key, tick, obs, doses = (torch.as_tensor(array, device=self._place) for array in state)
        action = torch.as_tensor(action, device=self._place)
        chance = fold(key, tick + 1)
        every = self.dynamics.ensemble.foresee(self.dynamics.inputs(obs, action))
        seen = _of(every, integers(chance, self.config.members, 0))
        ended = uniform(chance, 1) < seen.ended.sigmoid()
        doubt = self.dynamics.doubt(every)
        reward = torch.where(ended, seen.final, seen.reward) * self.dynamics.reward_std - self.config.pessimism * doubt
        following = self.dynamics.following(obs, seen, *chances(chance, obs.shape[1]))
        doses = doses.clone() if self.dosing is None else self.dosing.after(action, doses)
        following = following if self.dosing is None else self.dosing.shown(following, doses)
        cut = ~ended & (tick + 1 >= self.longest)
        passed = torch.full_like(doubt, self.hours)
        return self._told(ModelState(key.clone(), tick + 1, following, doses), reward, ended, cut, doubt, passed)

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
        self, state: ModelState, reward: Tensor, ended: Tensor, cut: Tensor, doubt: Tensor, passed: Tensor
    ) -> tuple[ModelState, Step]:
        shape = self.spec.observation_space.shape or (-1,)
        info = {"doubt": doubt, "discount_time": passed}
        allowed = self.dynamics.allowed(state.obs, self.dosing.allowed(state.doses) if self.dosing else None)
        if allowed is not None:
            info["action_mask"] = allowed
        obs = state.obs.to(torch.float32).reshape(-1, *shape)
        if self.device != "cpu":
            return state, Step(obs, reward, ended, cut, info)
        told = {name: array.numpy() for name, array in info.items()}
        step = Step(obs.numpy(), reward.numpy(), ended.numpy(), cut.numpy(), told)
        return ModelState(*(array.numpy() for array in state)), step


def blank_dynamics(logged: LoggedFeed, config: PatientModelConfig) -> Dynamics:
    """Of the right shape for a feed, not fitted yet; FeedError where its actions are of another kind."""
    space = logged.spec.action_space
    if not isinstance(space, spaces.Discrete | spaces.Box):
        raise FeedError(f"a patient model needs Discrete or Box actions, those of '{logged.spec.name}' are {space}")
    return Dynamics(int(np.prod(logged.spec.observation_space.shape or (1,))), space, config)


def _of(every: Foresight, member: Tensor) -> Foresight:
    """What one member each foresees."""
    return Foresight(*(part[member, torch.arange(len(member), device=member.device)] for part in every))


def chances(key: Tensor, entries: int) -> tuple[Tensor, Tensor]:
    """Standard normal and uniform numbers `[B, entries]` (Box-Muller)."""
    counter = torch.arange(entries, device=key.device) + 2
    first, second, third = (uniform(key[:, None], counter + entries * part) for part in range(3))
    return (-2.0 * (1.0 - first).log()).sqrt() * (2.0 * torch.pi * second).cos(), third
