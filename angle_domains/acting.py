"""How a policy that is a network of its own decides."""

import torch
from torch import Generator

from angle_domains.distributions import to_show
from angle_domains.networks import PolicyModel
from angle_domains.transitions import Sight
from angle_domains.types import Decision, Percept


@torch.no_grad()
def decide(actor: PolicyModel, see: Sight, percept: Percept, chance: Generator | None) -> Decision:
    """A sampled action; without `chance` the policy's mode, and what is to be shown of it."""
    mask = None if percept.mask is None else percept.mask.to(see.device)
    distribution = actor(see(percept.obs), mask)
    raw = distribution.mode() if chance is None else distribution.sample(chance)
    return Decision(actor.head.action(raw), None, to_show(distribution) if chance is None else {})
