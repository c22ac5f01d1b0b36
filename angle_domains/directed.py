"""What agents of directed exploration share: a reward for novelty beside that of the task, and a family of policies.

Badia et al. (2020), "Never Give Up", arXiv:2002.06038; Badia et al. (2020), "Agent57", arXiv:2003.13350.
"""

import copy
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from angle_domains.chance import seeded
from angle_domains.errors import ConfigError
from angle_domains.families import Family
from angle_domains.losses.retrace import Taken, transformed_retrace
from angle_domains.losses.value import greedy
from angle_domains.networks import NetworkConfig
from angle_domains.novelty import Curiosity, CuriosityConfig
from angle_domains.optim import descend, gradients
from angle_domains.recurrent_values import RecurrentValues, Unrolled
from angle_domains.types import Percept, Window
from feeds.base import FeedSpec

NOVELTY, ARM, BEHAVIOUR = "novelty", "arm", "behaviour"  # the extras that every row keeps


class Chosen(NamedTuple):
    action: Int[Tensor, " b"]  # counted from 0
    behaviour: Float[Tensor, " b"]  # the probability that it was drawn by


class Kept(NamedTuple):
    """What rows keep, on the device of the networks."""

    novelty: Float[Tensor, "t b"]  # the reward for seeing each row
    arm: Int[Tensor, "t b"]  # the policy that decided there


@runtime_checkable
class Curious(Protocol):
    """The hyperparameters that all agents of directed exploration have."""

    @property
    def network(self) -> NetworkConfig: ...
    @property
    def curiosity(self) -> CuriosityConfig: ...
    @property
    def curiosity_learning_rate(self) -> float: ...
    @property
    def max_grad_norm(self) -> float: ...
    @property
    def curiosity_frames(self) -> int:
        """Rows of a sequence, its last, that the networks of novelty learn from."""
        ...


class Explorer:
    """The networks that tell what is new, with their optimiser, and the family of policies that seek it."""

    def __init__(self, config: Curious, family: Family, spec: FeedSpec, core: RecurrentValues, *, seed: int) -> None:
        self.device, self.frames, self.most = core.device, config.curiosity_frames, config.max_grad_norm
        self.family, self.arms = Family(*(each.to(core.device) for each in family)), len(family.beta)
        self.curiosity = Curiosity(
            config.curiosity,
            spec,
            core.actions,
            network=config.network,
            generator=seeded(seed, "novelty"),
            device=core.device,
        )
        self.parameters = list(self.curiosity.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=config.curiosity_learning_rate, fused=True)

    def look(self, core: RecurrentValues, percept: Percept, memory: Any) -> tuple[Float[Tensor, " b"], Any]:
        """The reward for what every stream sees now, and what it remembers of its episode from here on."""
        there = {name: column.to(self.device) for name, column in memory.items()}
        return self.curiosity.look(core.see(percept.obs), there, percept.first.to(self.device))

    def beside(self, novelty: Float[Tensor, "*b"], arm: Int[Tensor, "*b"]) -> tuple[Tensor, Tensor]:
        """As networks read it beside observations: the reward `[*b, 1]`, and which policy decides `[*b, n]`."""
        return novelty.unsqueeze(-1), one_hot(arm, self.arms).to(torch.float32)

    def kept(self, window: Window) -> Kept:
        """ConfigError where the rows were not decided by an agent like this."""
        if not {NOVELTY, ARM, BEHAVIOUR} <= window.extras.keys():
            raise ConfigError(
                "directed exploration learns from its own decisions alone, not from records: "
                "leave training.source=records out, or choose r2d2 or rcql"
            )
        return Kept(window.extras[NOVELTY].to(self.device), window.extras[ARM].to(self.device))

    def learn(self, core: RecurrentValues, window: Window) -> dict[str, Tensor]:
        """One step of the optimiser on the last rows of each sequence; gives what is to be told of it."""
        rows = min(self.frames, len(window.action))
        obs = window.obs[-rows - 1 :]
        seen = core.see(obs.flatten(0, 1)).unflatten(0, obs.shape[:2])
        action, real = core.counted(window.action[-rows:]), window.real[-rows:].to(self.device)
        lessons = self.curiosity.lessons(seen, action, real)
        norm = descend(lessons.inverse + lessons.error.mean(), self.optimizer, self.parameters, self.most)
        self.curiosity.take_in(lessons.error.detach())
        told = {"loss/inverse": lessons.inverse.detach(), "loss/distillation": lessons.error.detach().mean()}
        return told | {"optimiser/novelty_gradient_norm": norm}

    def publish(self) -> dict[str, Any]:
        """A copy of what tells novelty."""
        return copy.deepcopy(self.curiosity.state_dict())

    def gradients(self) -> dict[str, Tensor]:
        """Of the networks that tell novelty, after an update."""
        coded = gradients(self.curiosity.embedding, "gradient_embedding")
        return coded | gradients(self.curiosity.distillation.predictor, "gradient_predictor")

    def state_dict(self) -> dict[str, Any]:
        return {"curiosity": self.curiosity.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.curiosity.load_state_dict(state["curiosity"])
        self.optimizer.load_state_dict(state["optimizer"])


def epsilon_greedy(
    q: Float[Tensor, "b n"], epsilon: Float[Tensor, " b"], mask: Bool[Tensor, "b n"] | None, generator: Generator
) -> Chosen:
    """The best allowed action, in the share `epsilon` of cases any; and how likely that was."""
    best = greedy(q, mask)
    chance = torch.rand(q.shape, generator=generator, device=q.device)
    strays = torch.rand(len(q), generator=generator, device=q.device) < epsilon
    action = torch.where(strays, greedy(chance, mask), best)
    many = q.shape[-1] if mask is None else mask.sum(-1)
    return Chosen(action, epsilon / many + (1.0 - epsilon) * (action == best))


def greedy_policy(q: Float[Tensor, "t b n"], mask: Bool[Tensor, "t b n"] | None) -> Float[Tensor, "t b n"]:
    """Probability 1 of the best allowed action."""
    judged = q.detach() if mask is None else q.detach().masked_fill(~mask.to(q.device), -torch.inf)
    return one_hot(judged.argmax(-1), q.shape[-1]).to(torch.float32)


def of_actions(
    values: Float[Tensor, "rows b n"], action: Int[Tensor, "t b"], counts: Float[Tensor, "t b"]
) -> Float[Tensor, ""]:
    """The mean value of the actions taken, over the rows that count."""
    chosen = values[:-1].gather(-1, action.unsqueeze(-1)).squeeze(-1)
    return (counts * chosen).sum() / counts.sum().clamp(min=1.0)


def errors(
    window: Window,
    values: Unrolled,
    policy: Float[Tensor, "rows b n"],
    *,
    action: Int[Tensor, "t b"],
    reward: Float[Tensor, "t b"],
    gamma: Float[Tensor, "t b"],
    lambda_: float,
) -> Float[Tensor, "t b"]:
    """How far the values of the actions taken are from transformed Retrace of what they led to; with a gradient."""
    device = values.online.device
    gamma = gamma.to(window.discount.device)
    discount, paid = window.discounted(gamma).to(device), torch.as_tensor(window.paid(gamma)).to(device)
    behaviour = window.extras[BEHAVIOUR][:-1].to(device)
    taken = Taken(action, behaviour, reward * paid, discount, window.real.to(device))
    wanted = transformed_retrace(taken, values.target, policy, lambda_)
    return wanted - values.online[:-1].gather(-1, action.unsqueeze(-1)).squeeze(-1)
