"""Recurrent replay distributed DQN: action values with a memory, learned from stored sequences.

Kapturowski, Ostrovski, Quan, Munos and Dabney (2019), "Recurrent Experience Replay in Distributed Reinforcement
Learning", ICLR. Values are rescaled as Pohlen et al. (2018), arXiv:1805.11593, have it; the streams' shares of random
actions are those of Horgan et al. (2018), arXiv:1803.00933.

Differs from the paper:
- All streams act in one process, with the newest parameters.
- A sequence may run on into the next episode: memories are blank where one begins, returns end where one ends, and the
  rows of resets are left out. Rows of the burn-in that follow a beginning are learned from, too.
- Returns grow shorter than `n_step` where a sequence ends; the target network decides what they are worth, the online
  network which action to take.
- What an environment truncates is bootstrapped from its final observation.
- Actions that the environment forbids are neither explored nor bootstrapped from.
- Learned from a log, memories begin blank and are burned in.
"""

from typing import Annotated, Any, NamedTuple

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from angle_domains.chance import seeded
from angle_domains.losses.rescale import rescale, restore
from angle_domains.losses.retrace import n_step_sequence
from angle_domains.losses.value import greedy
from angle_domains.networks import NetworkConfig
from angle_domains.networks.q import QHead
from angle_domains.optim import descend
from angle_domains.recurrent_values import (
    MEMORY,
    RecurrentValues,
    Unrolled,
    check_sequences,
    epsilons,
    of_sequences,
    stored,
    trained,
)
from angle_domains.replay import ReplayConfig, beside
from angle_domains.seam import Published
from angle_domains.types import Decision, LearnResult, Percept, Window
from feeds.base import FeedSpec

_NETWORK = NetworkConfig(activation="relu", shared=True, recurrent=512)
_REPLAY = ReplayConfig(
    capacity=4_000_000,
    warm_up=200_000,
    learn_every=5_000,
    batch=64,
    prioritised=True,
    alpha=0.9,
    beta=0.6,
    beta_end=0.6,
)


class R2D2Config(BaseModel):
    """Defaults are those of Kapturowski et al. for Atari; the importance weights are those of Acme, the paper has none.

    One update for 5,000 steps learns from each row about once (64 sequences of 80 rows); the paper's actors were faster
    than its learner, which left more than half of what came in unread.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig = _NETWORK
    head_hidden: tuple[PositiveInt, ...] = (512,)  # of the streams of value and advantage
    dueling: bool = True
    burn_in: NonNegativeInt = 40  # actions from which only the memory learns what came before
    trace: PositiveInt = 80  # actions after them
    period: PositiveInt = 40  # ticks from one sequence to the next
    n_step: PositiveInt = 5
    gamma: float = Field(default=0.997, ge=0, le=1)
    rescale: float | None = Field(default=1e-3, gt=0)  # epsilon of the rescaling of values; None: they stay as they are
    eta: float = Field(default=0.9, ge=0, le=1)  # share of the largest error in a priority, beside the mean
    learning_rate: PositiveFloat = 1e-4
    adam_epsilon: PositiveFloat = 1e-3
    max_grad_norm: PositiveFloat = 40.0
    target_every: PositiveInt = 2_500  # updates between copies to the target network
    epsilon: float = Field(default=0.4, ge=0, le=1)  # share of random actions in the stream that explores most
    epsilon_exponent: PositiveFloat = 7.0  # the last stream's is `epsilon` to the power of 1 more than this
    replay: Annotated[ReplayConfig, beside(_REPLAY)] = _REPLAY

    @model_validator(mode="after")
    def _sequences(self) -> "R2D2Config":
        check_sequences(self.network, self.trace, self.period)
        return self


class Targets(NamedTuple):
    chosen: Float[Tensor, "t b"]  # the values of the actions taken, with a gradient
    wanted: Float[Tensor, "t b"]


class R2D2:
    """Learns the value of every action from all that was seen of an episode so far."""

    def __init__(self, config: R2D2Config, spec: FeedSpec, *, streams: int, seed: int, device: str) -> None:
        self.config, self.replay = config, config.replay
        self.length, self.period = config.burn_in + config.trace, config.period
        head = QHead(hidden=config.head_hidden, dueling=config.dueling)
        made = seeded(seed, "network")
        self.core = RecurrentValues(spec, config.network, head, beside=0, made=made, device=device)
        self.optimizer = torch.optim.Adam(
            self.core.parameters, lr=config.learning_rate, eps=config.adam_epsilon, fused=True
        )
        self.generator = seeded(seed, "decisions", self.core.device)
        self.epsilons = epsilons(streams, config.epsilon, config.epsilon_exponent).to(self.core.device)
        self.updates = 0

    def act(self, percept: Percept, memory: Tensor | None = None, *, explore: bool) -> Decision:
        """The best action, with `explore` a random one now and then; the memory is what was seen so far."""
        mask = None if percept.mask is None else percept.mask.to(self.core.device)
        before = self.core.blank(len(percept.obs)) if memory is None else memory
        q, after = self.core.act(self.core.read(percept), before)
        action = greedy(q, mask)
        if not explore:
            return Decision(self.core.first + action, after, {"q": q})
        chance = torch.rand(q.shape, generator=self.generator, device=q.device)
        begins = torch.rand(len(q), generator=self.generator, device=q.device) < self.epsilons
        action = torch.where(begins, greedy(chance, mask), action)
        return Decision(self.core.first + action, after, {MEMORY: before})

    def loss(self, window: Window) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The loss of a batch, what is logged of it, and the priority of each sequence.

        Errors are summed along a sequence, so that its rows weigh as much as they did in the paper's.
        """
        burn_in, device = self.config.burn_in, self.core.device
        memory = stored(window, self.core.blank(window.action.shape[1]))
        values = self.core.unroll(self.core.read(window.percept), memory, burn_in)
        chosen, wanted = self.targets(window, values)
        counts = trained(window, burn_in, device)
        error = wanted - chosen
        each = (0.5 * counts * error.square()).sum(0)
        number = counts.sum().clamp(min=1.0)
        logged = {
            "loss/q": each.detach().sum() / number,
            "value/mean": (counts * self._earned(chosen.detach())).sum() / number,
            "value/rescaled": (counts * chosen.detach()).sum() / number,
        }
        priority = of_sequences(error.detach(), counts, self.config.eta)
        return (window.weight.to(device) * each).mean(), logged, priority

    def targets(self, window: Window, values: Unrolled) -> Targets:
        """n-step returns from what the target network holds of the online network's choice, in rescaled numbers."""
        device, mask = self.core.device, window.percept.mask
        judged = (
            values.online.detach() if mask is None else values.online.detach().masked_fill(~mask.to(device), -torch.inf)
        )
        best = values.target.gather(-1, judged.argmax(-1, keepdim=True)).squeeze(-1)
        reward, real = (window.reward * window.paid(self.config.gamma)).to(device), window.real.to(device)
        discount = window.discounted(self.config.gamma).to(device)
        wanted = n_step_sequence(reward, discount, real, self._earned(best), self.config.n_step)
        if self.config.rescale is not None:
            wanted = rescale(wanted, self.config.rescale)
        action = self.core.counted(window.action).unsqueeze(-1)
        return Targets(values.online[:-1].gather(-1, action).squeeze(-1), wanted)

    def learn(self, window: Window) -> LearnResult:
        """One step of the optimiser; TrainingError where loss or gradient are not finite."""
        loss, logged, priority = self.loss(window)
        norm = descend(loss, self.optimizer, self.core.parameters, self.config.max_grad_norm)
        self.updates += 1
        if self.updates % self.config.target_every == 0:
            self.core.copy()
        metrics: dict[str, float | Tensor] = {**logged, "optimiser/gradient_norm": norm}
        return LearnResult(metrics, priority if self.replay.prioritised else None)

    def worth(self, obs: Tensor) -> Float[Tensor, "b n"]:
        """The target network's values of all actions, of observations that begin an episode."""
        return self._earned(self.core.worth(obs))

    def portrait(self) -> dict[str, Tensor]:
        """The gradients of every part."""
        return self.core.gradients()

    def publish(self) -> Published:
        return Published(self.updates, {"core": self.core.publish()})

    def adopt(self, published: Published) -> None:
        self.core.adopt(published.state["core"])

    def state_dict(self) -> dict[str, Any]:
        return {
            "core": self.core.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it belongs to another network."""
        self.core.load_state_dict(state["core"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.updates = state["updates"]

    def _earned(self, value: Tensor) -> Tensor:
        """Values as sums of rewards."""
        return value if self.config.rescale is None else restore(value, self.config.rescale)


def build(config: R2D2Config, spec: FeedSpec, *, streams: int, seed: int, device: str) -> R2D2:
    """An R2D2 for the observations and actions of a feed; ConfigError where network or actions do not fit them."""
    return R2D2(config, spec, streams=streams, seed=seed, device=device)
