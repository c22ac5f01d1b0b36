"""What would become of patients under a policy, as each member of a patient model foresees it.

Every member plays its own stays from the same first states, from the first decision to the last, so that what members
disagree on shows in whole returns. Nothing is pessimistic here: practice lowers rewards where it knows little, an
estimate must not. Where states are few, a foreseen one counts as the nearest of those recorded: small errors would
otherwise lead, decision by decision, to where no patient ever was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from feeds.errors import FeedError
from feeds.random import fold, uniform
from metalearn.ensemble import Foresight
from metalearn.patient_model import PatientModel, chances


class Scene(NamedTuple):
    """All stays at one decision, `[B, ...]`; who is over stays as they ended."""

    tick: int
    obs: Float[Tensor, "b d"]  # float32
    reward: Float[Tensor, " b"]  # that the decision before led to; 0 at first
    allowed: Bool[Tensor, "b n"] | None  # actions that the codec has and that are not too rare; None where all are


@dataclass(frozen=True)
class World:
    """A fitted model as stays are played out in it."""

    model: PatientModel
    masked: bool = False  # decisions are told which actions are hardly ever recorded in such states
    known: Float[Tensor, "s d"] | None = None  # float64: all states, where they are few

    def foresee(self, inputs: Float[Tensor, "kb i"]) -> Foresight:
        """Each member its own stays: they stand one member behind the other."""
        ensemble = self.model.dynamics.ensemble
        parts = ensemble(inputs.reshape(ensemble.members, -1, inputs.shape[1]))
        return Foresight(*(part.flatten(0, 1) for part in parts))

    def placed(self, obs: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        """The nearest known state, entries in standard deviations; as they are where states are not few."""
        if self.known is None:
            return obs
        scale = self.model.dynamics.obs_std
        return self.known[torch.cdist(obs / scale, self.known / scale).argmin(1)]


Choose = Callable[[Scene], Tensor]  # actions [B] or [B, k]; called once a decision, in order


class Played(NamedTuple):
    """Stays by member, `[K, B]`."""

    returns: Float[Tensor, "k b"]
    cut: Bool[Tensor, "k b"]  # where the stay was as long as the longest recorded one and had not ended


@torch.no_grad()
def recorded_choice(model: PatientModel, *, seed: int) -> Choose:
    """What is usually done, by the model of the recorded decisions; for discrete actions."""
    generator = torch.Generator().manual_seed(seed)

    def choose(scene: Scene) -> Tensor:
        chance = model.dynamics.usual(scene.obs.double())
        if scene.allowed is not None:  # the model of decisions does not know what the codec lacks here
            chance = chance * scene.allowed
        return torch.multinomial(chance, 1, generator=generator)[:, 0] + model.dynamics.first

    return choose


@torch.no_grad()
def play_out(
    world: World,
    starts: Float[Tensor, "b d"],
    choose: Choose,
    gamma: float,
    *,
    seed: int,
    doses: Float[Tensor, "b k"] | None = None,
) -> Played:
    """Returns of stays that begin so, discounted by the hours of a decision; a reward counts in full after one hour.

    `doses` are in force when they begin; they are carried along where actions or observations hang on them.
    """
    model, dynamics, dosing = world.model, world.model.dynamics, world.model.dosing
    obs = starts.to(torch.float64).flatten(1).repeat(model.config.members, 1)
    held = obs[:, :0]
    if dosing is not None:
        if doses is None:
            raise FeedError(f"stays of '{model.spec.name}' begin with doses in force: give them")
        held = doses.to(torch.float64).repeat(model.config.members, 1)
        obs = dosing.shown(obs, held)
    key = fold(torch.full((len(obs),), seed, dtype=torch.int64), torch.arange(len(obs)))
    total, reward = (torch.zeros(len(obs), dtype=torch.float64) for _ in range(2))
    going = torch.ones(len(obs), dtype=torch.bool)
    for tick in range(model.longest):
        valid = None if dosing is None else dosing.allowed(held)
        allowed = dynamics.allowed(obs, valid) if world.masked else valid
        action = choose(Scene(tick, obs.to(torch.float32), reward.to(torch.float32), allowed))
        seen = world.foresee(dynamics.inputs(obs, action))
        chance = fold(key, torch.full_like(key, tick + 1))
        ended = going & (uniform(chance, 1) < seen.ended.sigmoid())
        reward = torch.where(going, torch.where(ended, seen.final, seen.reward) * dynamics.reward_std, 0.0)
        total += gamma ** (model.hours * (tick + 1) - 1.0) * reward
        moved = dynamics.following(obs, seen, *chances(chance, obs.shape[1]))
        if dosing is None:
            moved = world.placed(moved)
        else:
            held = dosing.after(action, held)
            moved = dosing.shown(world.placed(dosing.shown(moved, held)), held)
        going = going & ~ended
        obs = torch.where(going[:, None], moved, obs)
        if not going.any():
            break
    return Played(total.reshape(model.config.members, -1), going.reshape(model.config.members, -1))
