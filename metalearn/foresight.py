"""What would become of patients under a policy, as each member of a patient model foresees it.

Every member plays its own stays from the same first states, from the first decision to the last, so that what members
disagree on shows in whole returns. Nothing is pessimistic here: practice lowers rewards where it knows little, an
estimate must not.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from feeds.random import fold, uniform
from metalearn.ensemble import Foresight
from metalearn.patient_model import PatientModel, chances


class Scene(NamedTuple):
    """All stays at one decision, `[B, ...]`; who is over stays as they ended."""

    tick: int
    obs: Float[Tensor, "b d"]  # float32
    reward: Float[Tensor, " b"]  # that the decision before led to; 0 at first
    allowed: Bool[Tensor, "b n"] | None  # actions that are not too rare in such states; None where all are


Choose = Callable[[Scene], Tensor]  # actions [B] or [B, k]; called once a decision, in order


class Played(NamedTuple):
    """Stays by member, `[K, B]`."""

    returns: Float[Tensor, "k b"]
    cut: Bool[Tensor, "k b"]  # where the stay was as long as the longest recorded one and had not ended


@torch.no_grad()
def recorded_choice(model: PatientModel, *, seed: int) -> Choose | None:
    """What is usually done, by the model of the recorded decisions; None where actions are continuous."""
    if model.dynamics.behaviour is None:
        return None
    generator = torch.Generator().manual_seed(seed)

    def choose(scene: Scene) -> Tensor:
        chance = model.dynamics.usual(scene.obs.double())
        return torch.multinomial(chance, 1, generator=generator)[:, 0] + model.dynamics.first

    return choose


def play_out(
    model: PatientModel, starts: Float[Tensor, "b d"], choose: Choose, gamma: float, *, seed: int, masked: bool
) -> Played:
    """Returns of stays that begin so, discounted by the model's hours a decision.

    `masked` lets `choose` know which actions are hardly ever recorded in such states, where records have masks.
    """
    dynamics, members = model.dynamics, model.config.members
    obs = starts.to(torch.float64).flatten(1).repeat(members, 1)
    key = fold(torch.full((len(obs),), seed, dtype=torch.int64), torch.arange(len(obs)))
    total, reward = (torch.zeros(len(obs), dtype=torch.float64) for _ in range(2))
    going = torch.ones(len(obs), dtype=torch.bool)
    for tick in range(model.longest):
        allowed = dynamics.allowed(obs) if masked else None
        action = choose(Scene(tick, obs.to(torch.float32), reward.to(torch.float32), allowed))
        inputs = dynamics.inputs(obs, action).reshape(members, -1, dynamics.ensemble.weights[0].shape[1])
        seen = Foresight(*(part.flatten(0, 1) for part in dynamics.ensemble(inputs)))
        chance = fold(key, torch.full_like(key, tick + 1))
        ended = going & (uniform(chance, 1) < seen.ended.sigmoid())
        reward = torch.where(going, torch.where(ended, seen.final, seen.reward) * dynamics.reward_std, 0.0)
        total += gamma ** (model.hours * tick) * reward
        moved = dynamics.following(obs, seen, *chances(chance, obs.shape[1]))
        obs = torch.where((going & ~ended)[:, None], moved, obs)
        going = going & ~ended
        if not going.any():
            break
    return Played(total.reshape(members, -1), going.reshape(members, -1))
