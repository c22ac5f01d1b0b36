"""Agent57: a family of policies from seeking what is new to earning, and a bandit that chooses among them.

Badia, Piot, Kapturowski, Sprechmann et al. (2020), "Agent57: Outperforming the Atari Human Benchmark",
arXiv:2003.13350, on the rewards for novelty of Never Give Up (Badia et al. 2020, arXiv:2002.06038).

Differs from the paper:
- All streams act in one process, with the newest parameters; each has a bandit of its own.
- Without exploration the policy acts that most surely earned most over the windows of all bandits (their lower
  bounds); the paper has an evaluator with a bandit of its own.
- A sequence may run on into the next episode, as in `r2d2`; so policies may change within it, row by row.
- The policy that both Retraces value is greedy on the sum of the online networks; the target networks give the values.
- A sequence's priority is that of |error of earning| + beta |error of novelty|, row by row.
- What an environment truncates is bootstrapped from its final observation.
- Actions that the environment forbids are neither explored nor bootstrapped from.
"""

from functools import partial
from typing import Annotated, Any, NamedTuple

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
from angle_domains.bandit import Bandit, BanditConfig
from angle_domains.chance import seeded
from angle_domains.families import agent57
from angle_domains.losses.rescale import joined, restore
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
    capacity=8_000_000,
    warm_up=200_000,
    learn_every=5_000,
    batch=64,
    prioritised=True,
    alpha=0.9,
    beta=0.0,
    beta_end=0.0,
)


class Agent57Config(BaseModel):
    """Defaults are those of Badia et al. for Atari; `replay` keeps rows, of which the paper counts sequences."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig = _NETWORK
    head_hidden: tuple[PositiveInt, ...] = (512,)  # of the streams of value and advantage
    dueling: bool = True
    policies: int = Field(default=32, ge=10)
    novelty_weight: NonNegativeFloat = 0.3  # of the policy that seeks novelty most
    gamma: float = Field(default=0.9999, ge=0, lt=1)  # of the policy that exploits
    middle_gamma: float = Field(default=0.997, ge=0, lt=1)
    shortest_gamma: float = Field(default=0.99, ge=0, lt=1)  # of the one that seeks novelty most
    novelty_gamma: float = Field(default=0.99, ge=0, lt=1)  # of rewards for novelty
    bandit: BanditConfig = BanditConfig()
    burn_in: NonNegativeInt = 0  # actions from which only the memory learns what came before
    trace: PositiveInt = 160  # actions after them
    period: PositiveInt = 80  # ticks from one sequence to the next
    lambda_: float = Field(default=0.95, ge=0, le=1)  # of Retrace
    eta: float = Field(default=0.9, ge=0, le=1)  # share of the largest error in a priority, beside the mean
    learning_rate: PositiveFloat = 1e-4
    adam_epsilon: PositiveFloat = 1e-4
    max_grad_norm: PositiveFloat = 40.0
    target_every: PositiveInt = 1_500  # updates between copies to the target networks
    epsilon: float = Field(default=0.4, ge=0, le=1)  # share of random actions in the stream that explores most
    epsilon_exponent: PositiveFloat = 8.0  # the last stream's is `epsilon` to the power of 1 more than this
    curiosity: CuriosityConfig = CuriosityConfig()
    curiosity_learning_rate: PositiveFloat = 5e-4
    curiosity_frames: PositiveInt = 5  # rows of a sequence, its last, that the networks of novelty learn from
    replay: Annotated[ReplayConfig, beside(_REPLAY)] = _REPLAY

    @model_validator(mode="after")
    def _sequences(self) -> "Agent57Config":
        check_sequences(self.network, self.trace, self.period)
        return self


class Past(NamedTuple):
    """What streams `[B, ...]` remember from one decision to the next."""

    network: Float[Tensor, "b 4 h"]  # of the network of earning, then of that of novelty
    novelty: dict[str, Tensor]  # what each saw of its episode
    arm: Tensor  # [B] int64, the policy that acts
    earned: Tensor  # [B] float64, the rewards of the episode so far, those for novelty left out


class Agent57:
    """Learns what every action earns and what it shows that is new, apart; and which sum of the two to follow."""

    def __init__(self, config: Agent57Config, spec: FeedSpec, *, streams: int, seed: int, device: str) -> None:
        self.config, self.replay = config, config.replay
        self.length, self.period = config.burn_in + config.trace, config.period
        head, made = QHead(hidden=config.head_hidden, dueling=config.dueling), seeded(seed, "network")
        read = partial(RecurrentValues, spec, config.network, head, beside=1 + config.policies, device=device)
        self.cores = [read(made=made) for _ in range(2)]
        self.earning, self.novelty = self.cores
        self.device, self.first = self.earning.device, self.earning.first
        longest, middle, shortest = config.gamma, config.middle_gamma, config.shortest_gamma
        family = agent57(config.policies, beta=config.novelty_weight, longest=longest, middle=middle, shortest=shortest)
        self.explorer = directed.Explorer(config, family, spec, self.earning, seed=seed)
        adam = partial(torch.optim.Adam, lr=config.learning_rate, eps=config.adam_epsilon, fused=True)
        self.optimizers = [adam(core.parameters) for core in self.cores]
        self.generator = seeded(seed, "decisions", self.device)
        self.bandit = Bandit(config.bandit, streams=streams, arms=config.policies, device=self.device)
        self.epsilons = epsilons(streams, config.epsilon, config.epsilon_exponent).to(self.device)
        self.updates = 0

    def act(self, percept: Percept, memory: Any = None, *, explore: bool) -> Decision:
        """The best action to each stream's policy, with `explore` a random one now and then."""
        past = self._blank(len(percept.obs)) if memory is None else Past(*memory)  # a checkpoint gives plain tuples
        arm, earned = self.bandit.follow(percept, past.arm, past.earned, self.generator) if explore else past[2:]
        novelty, seen = self.explorer.look(self.earning, percept, past.novelty)
        reading = self.earning.read(percept, *self.explorer.beside(novelty, arm))
        gains, after = self.earning.act(reading, past.network[:, :2])
        news, later = self.novelty.act(reading, past.network[:, 2:])
        q = joined(gains, news, self.explorer.family.beta[arm].unsqueeze(-1))
        mask = None if percept.mask is None else percept.mask.to(self.device)
        now = Past(torch.cat([after, later], 1), seen, arm, earned)
        if not explore:
            return Decision(self.first + greedy(q, mask), now, {"q": q})
        action, behaviour = directed.epsilon_greedy(q, self.epsilons, mask, self.generator)
        extras = {MEMORY: past.network, directed.NOVELTY: novelty, directed.ARM: arm, directed.BEHAVIOUR: behaviour}
        return Decision(self.first + action, now, extras)

    def loss(self, window: Window) -> tuple[list[Tensor], dict[str, Tensor], Tensor]:
        """Those of earning and of novelty, summed along sequences, what is logged, and the sequences' priorities."""
        kept, device = self.explorer.kept(window), self.device
        reading = self.earning.read(window.percept, *self.explorer.beside(*kept))
        blank = torch.cat([core.blank(window.action.shape[1]) for core in self.cores], 1)
        memory, burn_in = stored(window, blank), self.config.burn_in
        halves = zip(self.cores, memory.split(2, 1), strict=True)
        values = [core.unroll(reading, half, burn_in) for core, half in halves]
        beta, gamma = (each[kept.arm] for each in self.explorer.family)
        q = joined(values[0].online.detach(), values[1].online.detach(), beta.unsqueeze(-1))
        policy, action = directed.greedy_policy(q, window.percept.mask), self.earning.counted(window.action)
        rewards = window.reward.to(device), kept.novelty[1:]
        gammas = gamma[:-1], torch.full_like(gamma[:-1], self.config.novelty_gamma)
        found = [
            directed.errors(window, value, policy, action=action, reward=reward, gamma=far, lambda_=self.config.lambda_)
            for value, reward, far in zip(values, rewards, gammas, strict=True)
        ]
        counts, weight = trained(window, burn_in, device), window.weight.to(device)
        each = [(0.5 * counts * error.square()).sum(0) for error in found]
        sizes = found[0].detach().abs() + beta[:-1] * found[1].detach().abs()
        number = counts.sum().clamp(min=1.0)
        logged = {
            "loss/q": each[0].detach().sum() / number,
            "loss/q_novelty": each[1].detach().sum() / number,
            "value/mean": directed.of_actions(restore(values[0].online.detach()), action, counts),
            "value/novelty": directed.of_actions(restore(values[1].online.detach()), action, counts),
            "novelty/reward": (counts * kept.novelty[1:]).sum() / number,
            "bandit/favourite": torch.tensor(float(self.bandit.favourite())),
        }
        return [(weight * one).mean() for one in each], logged, of_sequences(sizes, counts, self.config.eta)

    def learn(self, window: Window) -> LearnResult:
        """A step of every optimiser; TrainingError where loss or gradient are not finite."""
        losses, logged, priority = self.loss(window)
        metrics: dict[str, float | Tensor] = {**logged}
        names, most = ("optimiser/gradient_norm", "optimiser/q_novelty_gradient_norm"), self.config.max_grad_norm
        for name, loss, optimizer, core in zip(names, losses, self.optimizers, self.cores, strict=True):
            metrics[name] = descend(loss, optimizer, core.parameters, most)
        metrics |= self.explorer.learn(self.earning, window)
        self.updates += 1
        if self.updates % self.config.target_every == 0:
            for core in self.cores:
                core.copy()
        return LearnResult(metrics, priority if self.replay.prioritised else None)

    def worth(self, obs: Tensor) -> Float[Tensor, "b n"]:
        """What all actions earn the favourite policy, by the target network, where an episode begins."""
        zero = torch.zeros(len(obs), device=self.device)
        return restore(self.earning.worth(obs, *self.explorer.beside(zero, zero.long() + self.bandit.favourite())))

    def portrait(self) -> dict[str, Tensor]:
        """The gradients of every part."""
        return self.earning.gradients() | self.novelty.gradients("gradient_novelty") | self.explorer.gradients()

    def publish(self) -> Published:
        """The bandits stay with the actors, whose streams they are of."""
        cores = [core.publish() for core in self.cores]
        return Published(self.updates, {"cores": cores, "novelty": self.explorer.publish()})

    def adopt(self, published: Published) -> None:
        for core, one in zip(self.cores, published.state["cores"], strict=True):
            core.adopt(one)
        self.explorer.curiosity.load_state_dict(published.state["novelty"])

    def state_dict(self) -> dict[str, Any]:
        return {
            "cores": [core.state_dict() for core in self.cores],
            "explorer": self.explorer.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "generator": self.generator.get_state(),
            "bandit": self.bandit.state_dict(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it belongs to another network."""
        for core, one in zip(self.cores, state["cores"], strict=True):
            core.load_state_dict(one)
        self.explorer.load_state_dict(state["explorer"])
        for optimizer, one in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(one)
        self.generator.set_state(state["generator"].cpu())
        self.bandit.load_state_dict(state["bandit"])
        self.updates = state["updates"]

    def _blank(self, streams: int) -> Past:
        memory = torch.cat([core.blank(streams) for core in self.cores], 1)
        arm = torch.full((streams,), self.bandit.favourite(), dtype=torch.int64, device=self.device)
        earned = torch.zeros(streams, dtype=torch.float64, device=self.device)
        return Past(memory, self.explorer.curiosity.blank(streams), arm, earned)


def build(config: Agent57Config, spec: FeedSpec, *, streams: int, seed: int, device: str) -> Agent57:
    """An Agent57 for the observations and actions of a feed; ConfigError where network or actions do not fit them."""
    return Agent57(config, spec, streams=streams, seed=seed, device=device)
