"""Neural episodic control: what an action is worth is read off the returns of the most similar situations met.

Pritzel, Uria, Srinivasan, Puigdomènech, Vinyals, Hassabis, Wierstra and Blundell (2017), "Neural Episodic Control",
arXiv:1703.01988.

Differs from the paper:
- Adam trains the embedding, with the learning rate of Coach's agent; the paper's RMSProp moves keys and values, with
  one running mean for each key instead of one for each of its numbers.
- The gradient's global norm is held at 10, as in our other agents; that of keys and values is left as it is.
- Returns enter the dictionaries when their episode ends, not N steps after the decision: episodes have to end.
- The replay holds rewards and the values thought of when acting, and sums the N-step return when it draws a row; the
  paper stores the sum. The two are the same number.
- Neighbours are exact, or those that an inverted file finds; the paper searches a kd-tree.
- The entry that a sampled row itself wrote is left out of its estimate: decisions are numbered, and entries with them.
- A truncated episode is bootstrapped from the value of its final observation.
- Actions that the environment forbids are neither explored nor bootstrapped from.
- Epsilon falls to its end from 1; without exploration the policy is greedy.
"""

from typing import Annotated, Any

import torch
from gymnasium import spaces
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt
from torch import Generator, Tensor, nn

from angle_domains.chance import seeded
from angle_domains.errors import ConfigError, other_network
from angle_domains.losses.returns import n_step
from angle_domains.losses.value import greedy, of_action, squared
from angle_domains.memory import Dictionaries, DictionaryConfig, Recalled
from angle_domains.memory.episodes import Row, Running, append, ended
from angle_domains.networks import NetworkConfig
from angle_domains.networks.layers import VALUE_GAIN, linear
from angle_domains.networks.torsos import TORSOS
from angle_domains.optim import descend, gradients, set_learning_rate
from angle_domains.replay import ReplayConfig, beside
from angle_domains.schedule import Span, progress
from angle_domains.schedule import linear as between
from angle_domains.transitions import Sight
from angle_domains.types import Decision, LearnResult, Percept, Window, until_paid
from angle_domains.value_based import bounds_of
from feeds.base import FeedSpec

_REPLAY = ReplayConfig(capacity=100_000, warm_up=12_500)


class NECConfig(BaseModel):
    """Defaults are those of Pritzel et al. for Atari, steps counted after frame skip, or else of Coach's agent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig = NetworkConfig()
    scale_observation: bool = False  # entries that have bounds to the range from -1 to 1; images have their own scale
    embedding: PositiveInt = 64  # numbers of a key
    dictionary: DictionaryConfig = DictionaryConfig()
    n_step: PositiveInt = 100
    gamma: float = Field(default=0.99, ge=0, le=1)
    learning_rate: PositiveFloat = 1e-5  # of the embedding
    anneal_steps: Span = None  # environment steps by which the learning rate falls to nothing; "run": training.steps
    adam_epsilon: PositiveFloat = 1e-8
    max_grad_norm: PositiveFloat = 10.0
    epsilon: float = Field(default=1.0, ge=0, le=1)  # share of random actions, until the replay is warm
    epsilon_end: float = Field(default=0.1, ge=0, le=1)
    epsilon_steps: PositiveInt = 12_500  # environment steps from one to the other
    replay: Annotated[ReplayConfig, beside(_REPLAY)] = _REPLAY


class Embedding(nn.Module):
    """From observations to keys."""

    def __init__(self, spec: FeedSpec, config: NetworkConfig, size: int, generator: Generator) -> None:
        super().__init__()
        self.torso = TORSOS[config.kind](spec, config, generator)
        self.out = linear(self.torso.whole_size, size, generator, VALUE_GAIN)

    def forward(self, obs: Tensor) -> Float[Tensor, "*b d"]:
        return self.out(self.torso(obs).whole)


class NEC:
    """Learns an embedding by which situations that are worth alike lie side by side."""

    looks = 1  # rows of a window whose observations it reads

    def __init__(self, config: NECConfig, spec: FeedSpec, *, seed: int, device: str) -> None:
        space = spec.action_space
        if not isinstance(space, spaces.Discrete):
            raise ConfigError(f"action values need a Discrete action space, actions of {spec.name} are {space}")
        config.network.check_no_memory()
        self.config, self.replay, self.length = config, config.replay, config.n_step
        self.actions, self.first, self.device = int(space.n), int(space.start), torch.device(device)
        scaled = config.scale_observation and not config.network.images
        self.see = Sight(config.network, device, bounds_of(spec) if scaled else None)
        made = seeded(seed, "network")
        self.network = Embedding(spec, config.network, config.embedding, made).to(self.device)
        self.dictionaries = Dictionaries(config.dictionary, self.actions, config.embedding, self.device)
        self.parameters = list(self.network.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=config.learning_rate, eps=config.adam_epsilon, fused=True)
        self.generator = seeded(seed, "decisions", self.device)
        self.acted = 0  # rows decided while exploring
        self.updates = 0
        self.learned: Tensor | None = None  # the observations of the last update

    @property
    def epsilon(self) -> float:
        """The share of random actions now."""
        done = (self.acted - self.replay.warm_up) / self.config.epsilon_steps
        return between(self.config.epsilon, self.config.epsilon_end, done)

    @torch.no_grad()
    def act(self, percept: Percept, memory: Running | None = None, *, explore: bool) -> Decision:
        """The best action; with `explore` a random one now and then, and what came of whole episodes is remembered.

        The memory holds the running episodes: see `angle_domains.memory.episodes`.
        """
        mask = None if percept.mask is None else percept.mask.to(self.device)
        key = self.network(self.see(percept.obs))
        q = self.dictionaries.values(key, refresh=explore)
        best = greedy(q, mask)
        if not explore:
            return Decision(self.first + best, memory, {"q": q})
        chance = torch.rand(len(q), 1 + self.actions, generator=self.generator, device=self.device)
        action = torch.where(chance[:, 0] < self.epsilon, greedy(chance[:, 1:], mask), best)
        value, serial = of_action(q, best), self.acted + torch.arange(len(q), device=self.device)
        self.acted += len(q)
        memory = self._remember(percept, memory, key, action, value, serial)
        return Decision(self.first + action, memory, {"value": value, "serial": serial})

    def loss(self, recalled: Recalled, target: Tensor, weight: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The loss of a batch, what is logged of it, and the priority of each sample; where nothing was found, none."""
        known = recalled.found.to(torch.float32)
        loss = (weight * known * squared(recalled.value, target)).mean()
        value = recalled.value.detach()
        priority = known * (target - value).abs()
        return loss, {"loss/q": loss.detach(), "value/mean": value.mean()}, priority

    def target(self, window: Window) -> Tensor:
        """`[B]`: N rewards, and beyond them the best value at the time of acting."""
        if "value" not in window.extras:
            raise ConfigError("nec learns from its own decisions alone: leave training.source=records out")
        gamma = self.config.gamma
        found = n_step(window.reward * window.paid(gamma), window.discounted(gamma), window.real)
        each = torch.arange(len(found.steps), device=found.steps.device)
        return (found.reward + found.discount * window.extras["value"][found.steps, each]).to(self.device)

    def learn(self, window: Window) -> LearnResult:
        """One step of the optimisers; TrainingError where loss or gradient are not finite."""
        self.learned, action = self.see(window.obs[0]), window.action[0].to(self.device) - self.first
        target = self.target(window)
        serial = window.extras["serial"][0].to(self.device)
        recalled = self.dictionaries.recall(self.network(self.learned), action, serial)
        loss, logged, priority = self.loss(recalled, target, window.weight.to(self.device))
        if (steps := self.config.anneal_steps) is not None:
            done = progress(self.updates, self.replay.learn_every, steps)
            set_learning_rate(self.optimizer, between(self.config.learning_rate, 0.0, done))
        norm = descend(loss, self.optimizer, self.parameters, self.config.max_grad_norm)
        self.dictionaries.move(recalled, action)
        self.updates += 1
        metrics: dict[str, float | Tensor] = {**logged, "optimiser/gradient_norm": norm}
        metrics["exploration/epsilon"] = self.epsilon
        metrics["memory/entries"] = float(sum(len(dictionary) for dictionary in self.dictionaries.each))
        return LearnResult(metrics, priority if self.replay.prioritised else None)

    def worth(self, obs: Tensor) -> Float[Tensor, "b n"]:
        return self.dictionaries.values(self.network(self.see(obs)))

    @torch.no_grad()
    def portrait(self) -> dict[str, Tensor]:
        """The values of all actions in the last batch, and the gradients."""
        if self.learned is None:
            return {}
        return {"value/q": self.dictionaries.values(self.network(self.learned)), **gradients(self.network)}

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": dict(self.network.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "dictionaries": self.dictionaries.state_dict(),
            "generator": self.generator.get_state(),
            "acted": self.acted,
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it belongs to another network."""
        try:
            self.network.load_state_dict(state["network"])
        except RuntimeError as error:
            raise other_network(error) from error
        self.optimizer.load_state_dict(state["optimizer"])
        self.dictionaries.load_state_dict(state["dictionaries"])
        self.generator.set_state(state["generator"].cpu())
        self.acted, self.updates = state["acted"], state["updates"]

    def _remember(self, percept: Percept, memory: Running | None, *decided: Tensor) -> Running:
        """Adds the row to the running episodes; those that end are written to the dictionaries."""
        key, action, value, serial = decided
        reward, discount, first, last = (
            part.to(self.device) for part in (percept.reward, percept.discount, percept.first, percept.last)
        )
        gamma, elapsed = self.config.gamma, percept.elapsed
        if elapsed is not None:
            reward = reward * until_paid(gamma, elapsed.to(self.device))
        discount = discount * (gamma if elapsed is None else gamma ** elapsed.to(self.device))
        running = append(memory, Row(key, action, reward, discount, value, serial), first)
        told = ended(running, last, self.config.n_step)
        if told is not None:
            self.dictionaries.write(*told)
        return running


def build(config: NECConfig, spec: FeedSpec, *, streams: int, seed: int, device: str) -> NEC:
    """An agent of neural episodic control; ConfigError where the network does not fit the feed."""
    return NEC(config, spec, seed=seed, device=device)
