"""Never Give Up: a family of policies that seek what is new, in the episode and over training, in one network.

Badia, Sprechmann, Vitvitskyi, Guo et al. (2020), "Never Give Up: Learning Directed Exploration Strategies",
arXiv:2002.06038, on the sequences and the memory of R2D2 (Kapturowski et al. 2019).

Differs from the paper:
- All streams act in one process, with the newest parameters. Stream i begins with policy i of the family and goes on to
  the next with every episode, so that each is tried with every stream's share of random actions.
- Without exploration policy 0 acts, which seeks rewards of the task alone.
- A sequence may run on into the next episode, as in `r2d2`.
- The policy that Retrace values is greedy on the online network; the target network gives the values.
- What an environment truncates is bootstrapped from its final observation.
- Actions that the environment forbids are neither explored nor bootstrapped from.
"""

from typing import Annotated, Any

import torch
from jaxtyping import Float
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)
from torch import Tensor

from angle_domains import directed
from angle_domains.chance import seeded
from angle_domains.families import ngu
from angle_domains.losses.rescale import restore
from angle_domains.losses.value import greedy
from angle_domains.networks import NetworkConfig
from angle_domains.networks.q import QHead
from angle_domains.novelty import CuriosityConfig
from angle_domains.optim import descend
from angle_domains.recurrent_values import (
    MEMORY,
    RecurrentValues,
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
    beta=0.0,
    beta_end=0.0,
)


class NGUConfig(BaseModel):
    """Defaults are those of Badia et al. for Atari; `replay` keeps rows, of which the paper counts sequences."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig = _NETWORK
    head_hidden: tuple[PositiveInt, ...] = (512,)  # of the streams of value and advantage
    dueling: bool = True
    policies: PositiveInt = 32
    novelty_weight: NonNegativeFloat = 0.3  # of the policy that seeks novelty most
    gamma: float = Field(default=0.997, ge=0, lt=1)  # of the policy that exploits
    shortest_gamma: float = Field(default=0.99, ge=0, lt=1)  # of the one that seeks novelty most
    burn_in: NonNegativeInt = 40  # actions from which only the memory learns what came before
    trace: PositiveInt = 80  # actions after them
    period: PositiveInt = 40  # ticks from one sequence to the next
    lambda_: float = Field(default=0.95, ge=0, le=1)  # of Retrace
    eta: float = Field(default=0.9, ge=0, le=1)  # share of the largest error in a priority, beside the mean
    learning_rate: PositiveFloat = 1e-4
    adam_epsilon: PositiveFloat = 1e-4
    max_grad_norm: PositiveFloat = 40.0
    target_every: PositiveInt = 1_500  # updates between copies to the target network
    epsilon: float = Field(default=0.4, ge=0, le=1)  # share of random actions in the stream that explores most
    epsilon_exponent: PositiveFloat = 8.0  # the last stream's is `epsilon` to the power of 1 more than this
    curiosity: CuriosityConfig = CuriosityConfig()
    curiosity_learning_rate: PositiveFloat = 5e-4
    curiosity_frames: PositiveInt = 5  # rows of a sequence, its last, that the networks of novelty learn from
    replay: Annotated[ReplayConfig, beside(_REPLAY)] = _REPLAY

    @model_validator(mode="after")
    def _sequences(self) -> "NGUConfig":
        check_sequences(self.network, self.trace, self.period)
        return self


class NGU:
    """Learns what every action is worth to each policy of the family."""

    def __init__(self, config: NGUConfig, spec: FeedSpec, *, streams: int, seed: int, device: str) -> None:
        self.config, self.replay = config, config.replay
        self.length, self.period = config.burn_in + config.trace, config.period
        head, made = QHead(hidden=config.head_hidden, dueling=config.dueling), seeded(seed, "network")
        wide = 1 + config.policies
        self.core = RecurrentValues(spec, config.network, head, beside=wide, made=made, device=device)
        many, most = config.policies, config.novelty_weight
        family = ngu(many, beta=most, longest=config.gamma, shortest=config.shortest_gamma)
        self.explorer = directed.Explorer(config, family, spec, self.core, seed=seed)
        self.optimizer = torch.optim.Adam(
            self.core.parameters, lr=config.learning_rate, eps=config.adam_epsilon, fused=True
        )
        self.generator = seeded(seed, "decisions", self.core.device)
        self.epsilons = epsilons(streams, config.epsilon, config.epsilon_exponent).to(self.core.device)
        self.begin = torch.arange(streams, device=self.core.device) % config.policies
        self.updates = 0

    def act(self, percept: Percept, memory: Any = None, *, explore: bool) -> Decision:
        """The best action to each stream's policy, with `explore` a random one now and then.

        The memory is that of the network, and what each stream saw of its episode.
        """
        mask = None if percept.mask is None else percept.mask.to(self.core.device)
        past = self._blank(len(percept.obs), explore=explore) if memory is None else memory
        before, arm = past["network"], past["arm"].to(self.core.device)
        novelty, seen = self.explorer.look(self.core, percept, past["novelty"])
        reading = self.core.read(percept, *self.explorer.beside(novelty, arm))
        q, after = self.core.act(reading, before)
        turn = percept.last.to(self.core.device) if explore else torch.zeros_like(arm)
        kept = {"network": after, "novelty": seen, "arm": (arm + turn) % self.explorer.arms}
        if not explore:
            return Decision(self.core.first + greedy(q, mask), kept, {"q": q})
        action, behaviour = directed.epsilon_greedy(q, self.epsilons, mask, self.generator)
        extras = {MEMORY: before, directed.NOVELTY: novelty, directed.ARM: arm, directed.BEHAVIOUR: behaviour}
        return Decision(self.core.first + action, kept, extras)

    def loss(self, window: Window) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The loss of a batch, summed along its sequences, what is logged of it, and the priority of each sequence."""
        burn_in, device, kept = self.config.burn_in, self.core.device, self.explorer.kept(window)
        reading = self.core.read(window.percept, *self.explorer.beside(*kept))
        memory = stored(window, self.core.blank(window.action.shape[1]))
        values = self.core.unroll(reading, memory, burn_in)
        beta, gamma = (each[kept.arm[:-1]] for each in self.explorer.family)
        action = self.core.counted(window.action)
        error = directed.errors(
            window,
            values,
            directed.greedy_policy(values.online, window.percept.mask),
            action=action,
            reward=window.reward.to(device) + beta * kept.novelty[1:],
            gamma=gamma,
            lambda_=self.config.lambda_,
        )
        counts = trained(window, burn_in, device)
        each, number = (0.5 * counts * error.square()).sum(0), counts.sum().clamp(min=1.0)
        logged = {
            "loss/q": each.detach().sum() / number,
            "value/mean": directed.of_actions(restore(values.online.detach()), action, counts),
            "novelty/reward": (counts * kept.novelty[1:]).sum() / number,
        }
        return (window.weight.to(device) * each).mean(), logged, of_sequences(error.detach(), counts, self.config.eta)

    def learn(self, window: Window) -> LearnResult:
        """A step of either optimiser; TrainingError where loss or gradient are not finite."""
        loss, logged, priority = self.loss(window)
        norm = descend(loss, self.optimizer, self.core.parameters, self.config.max_grad_norm)
        told = self.explorer.learn(self.core, window)
        self.updates += 1
        if self.updates % self.config.target_every == 0:
            self.core.copy()
        metrics: dict[str, float | Tensor] = {**logged, "optimiser/gradient_norm": norm, **told}
        return LearnResult(metrics, priority if self.replay.prioritised else None)

    def worth(self, obs: Tensor) -> Float[Tensor, "b n"]:
        """The target network's values to policy 0 of all actions, of observations that begin an episode."""
        zero = torch.zeros(len(obs), device=self.core.device)
        return restore(self.core.worth(obs, *self.explorer.beside(zero, zero.long())))

    def portrait(self) -> dict[str, Tensor]:
        """The gradients of every part."""
        return self.core.gradients() | self.explorer.gradients()

    def publish(self) -> Published:
        return Published(self.updates, {"core": self.core.publish(), "novelty": self.explorer.publish()})

    def adopt(self, published: Published) -> None:
        self.core.adopt(published.state["core"])
        self.explorer.curiosity.load_state_dict(published.state["novelty"])

    def state_dict(self) -> dict[str, Any]:
        return {
            "core": self.core.state_dict(),
            "explorer": self.explorer.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it belongs to another network."""
        self.core.load_state_dict(state["core"])
        self.explorer.load_state_dict(state["explorer"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.updates = state["updates"]

    def _blank(self, streams: int, *, explore: bool) -> dict[str, Any]:
        arm = self.begin if explore else torch.zeros(streams, dtype=torch.int64, device=self.core.device)
        return {"network": self.core.blank(streams), "novelty": self.explorer.curiosity.blank(streams), "arm": arm}


def build(config: NGUConfig, spec: FeedSpec, *, streams: int, seed: int, device: str) -> NGU:
    """An NGU for the observations and actions of a feed; ConfigError where network or actions do not fit them."""
    return NGU(config, spec, streams=streams, seed=seed, device=device)
