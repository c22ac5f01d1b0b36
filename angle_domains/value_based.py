"""What agents that act by action values share: exploring, target copies, and the counts that schedules follow."""

import copy
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from gymnasium import spaces
from jaxtyping import Bool, Float, Int
from torch import Tensor

from angle_domains.chance import seeded
from angle_domains.errors import ConfigError, other_network
from angle_domains.losses.value import greedy
from angle_domains.networks import NetworkConfig
from angle_domains.networks.q import Expectation, QHead, QNetwork
from angle_domains.optim import follow, gradients, set_learning_rate
from angle_domains.replay import RecordedConfig, ReplayConfig
from angle_domains.schedule import Span, linear, progress
from angle_domains.transitions import Sight, Transitions, read
from angle_domains.types import Decision, Percept, Window
from feeds.base import FeedSpec

_LONGEST = 1_000  # ticks that a random action may last
_UNBOUNDED = 1e6  # some environments write "no bound" as the greatest number there is


@runtime_checkable
class ValueSettings(Protocol):
    """The hyperparameters that all agents with action values have."""

    @property
    def network(self) -> NetworkConfig: ...
    @property
    def gamma(self) -> float: ...
    @property
    def target_every(self) -> int:
        """Steps between two copies to the target network."""
        ...

    @property
    def scale_observation(self) -> bool:
        """Whether entries of vectors that have bounds are brought to the range from -1 to 1."""
        ...

    @property
    def replay(self) -> ReplayConfig | RecordedConfig: ...


class Exploration(NamedTuple):
    """Epsilon stays at `start` while the replay warms up, then falls linearly over `steps` to `end`.

    With a `zeta` a random action lasts, n ticks with probability in proportion to n to the power of -zeta, up to
    `_LONGEST` (Dabney, Ostrovski and Barreto 2021, "Temporally-extended epsilon-greedy exploration"); without, one.
    """

    start: float = 0.0
    end: float = 0.0
    steps: int = 1
    zeta: float | None = None


class ValueBased:
    """An online and a target QNetwork, their generator, and the counts that schedules are read from."""

    def __init__(
        self,
        settings: ValueSettings,
        spec: FeedSpec,
        head: QHead,
        *,
        exploration: Exploration,
        expectation: Expectation,
        seed: int,
        device: str,
    ) -> None:
        space = spec.action_space
        if not isinstance(space, spaces.Discrete):
            raise ConfigError(f"action values need a Discrete action space, actions of {spec.name} are {space}")
        settings.network.check_no_memory()
        self.settings, self.exploration, self.expectation = settings, exploration, expectation
        self.actions, self.first = int(space.n), int(space.start)
        self.device = torch.device(device)
        scaled = settings.scale_observation and not settings.network.images
        self.see = Sight(settings.network, device, bounds_of(spec) if scaled else None)
        made = seeded(seed, "network")
        self.online = QNetwork(spec, settings.network, head, self.actions, made).to(self.device)
        self.target = copy.deepcopy(self.online).requires_grad_(False)
        self.parameters = list(self.online.parameters())
        self.generator = seeded(seed, "decisions", self.device)
        self.lasting = _lasting(exploration.zeta, self.device)
        self.acted = 0  # rows decided while exploring
        self.updates = 0
        self.learned: Tensor | None = None  # the observations of the last update

    @property
    def epsilon(self) -> float:
        """The chance now that a random action begins."""
        start, end, steps, _ = self.exploration
        return linear(start, end, (self.acted - self.settings.replay.warm_up) / steps)

    @torch.no_grad()
    def act(self, percept: Percept, memory: Tensor | None, *, explore: bool) -> Decision:
        """The best action; with `explore` under fresh noise for every stream, and a random one now and then.

        The memory `[B, 2]` is which random action lasts in each stream and for how many more ticks.
        """
        streams, epsilon = len(percept.obs), self.epsilon if explore else 0.0
        mask = None if percept.mask is None else percept.mask.to(self.device)
        if explore:
            self.acted += streams
        if epsilon >= 1.0 and self.lasting is None:  # no network need be asked
            return Decision(self.first + self._random(streams, mask))
        noise = self.online.draw(self.generator, streams) if explore else None
        q = self.expectation(self.online(self.see(percept.obs), noise))
        action = greedy(q, mask)
        if epsilon > 0.0:
            random = torch.rand(streams, generator=self.generator, device=self.device) < epsilon
            if self.lasting is None:
                action = torch.where(random, self._random(streams, mask), action)
            else:
                action, memory = self._stray(action, random, memory, percept, mask)
        return Decision(self.first + action, memory, {} if explore else {"q": q})  # to be shown, not stored

    def transitions(self, window: Window) -> Transitions:
        """The n-step transitions of a window, actions counted from 0. No side effect."""
        return read(window, self.settings.gamma, self.see, first=self.first)

    def anneal(self, optimizer: torch.optim.Optimizer, learning_rate: float, steps: Span) -> None:
        """Before each update: lets the learning rate fall to nothing over so many steps; with None it stays."""
        if steps is not None:
            done = progress(self.updates, self.settings.replay.learn_every, steps)
            set_learning_rate(optimizer, linear(learning_rate, 0.0, done))

    def count_update(self, batch: Transitions, tau: float | None = None) -> None:
        """After each update: copies the online network to the target where that is due; with a `tau` it follows."""
        self.updates += 1
        self.learned = batch.obs
        if tau is not None:
            follow(self.target, self.online, tau)
            return
        steps, every = self.settings.replay.learn_every, self.settings.target_every
        if self.updates * steps // every > (self.updates - 1) * steps // every:
            torch._foreach_copy_(list(self.target.parameters()), [p.detach() for p in self.parameters])

    def worth(self, obs: Tensor) -> Float[Tensor, "b n"]:
        """The target network's values of all actions."""
        return self.expectation(self.target(self.see(obs)))

    @torch.no_grad()
    def portrait(self) -> dict[str, Tensor]:
        """The values of all actions in the last batch, and the gradients."""
        if self.learned is None:
            return {}
        return {"value/q": self.expectation(self.online(self.learned)), **gradients(self.online)}

    def state_dict(self) -> dict[str, Any]:
        return {
            "online": dict(self.online.state_dict()),
            "target": dict(self.target.state_dict()),
            "generator": self.generator.get_state(),
            "acted": self.acted,
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it belongs to another network."""
        try:
            self.online.load_state_dict(state["online"])
            self.target.load_state_dict(state["target"])
        except RuntimeError as error:
            raise other_network(error) from error
        self.generator.set_state(state["generator"].cpu())
        self.acted, self.updates = state["acted"], state["updates"]

    def _stray(
        self, best: Tensor, begins: Tensor, memory: Tensor | None, percept: Percept, mask: Bool[Tensor, "b n"] | None
    ) -> tuple[Int[Tensor, " b"], Int[Tensor, "b 2"]]:
        """The random actions that begin or last, elsewhere the best; and the memory from here on."""
        assert self.lasting is not None
        chosen = self._random(len(best), mask)
        chance = torch.rand(len(best), generator=self.generator, device=self.device)
        ticks = torch.searchsorted(self.lasting, chance) + 1
        held, left = (
            (torch.zeros_like(ticks), torch.zeros_like(ticks)) if memory is None else memory.to(self.device).unbind(-1)
        )
        left = torch.where(percept.first.to(self.device), 0, left)
        if mask is not None:
            left = torch.where(mask.gather(-1, held.unsqueeze(-1)).squeeze(-1), left, 0)
        begins = begins & (left == 0)
        held, left = torch.where(begins, chosen, held), torch.where(begins, ticks, left)
        action = torch.where(left > 0, held, best)
        return action, torch.stack([held, (left - 1).clamp(min=0)], -1)

    def _random(self, streams: int, mask: Bool[Tensor, "b n"] | None) -> Int[Tensor, " b"]:
        """Allowed actions, each as likely as another."""
        chance = torch.rand(streams, self.actions, generator=self.generator, device=self.device)
        return greedy(chance, mask)


def _lasting(zeta: float | None, device: torch.device) -> Float[Tensor, " n"] | None:
    """The chance that a random action lasts no more than 1, 2, 3, ... ticks; None where it lasts one."""
    if zeta is None:
        return None
    weight = torch.arange(1, _LONGEST + 1, dtype=torch.float64) ** -zeta
    return (weight.cumsum(0) / weight.sum()).to(device, torch.float32)


def bounds_of(spec: FeedSpec) -> Float[Tensor, "2 d"]:
    """The middle of every entry's range and half its width; 0 and 1 where it has none."""
    space = spec.observation_space
    if not isinstance(space, spaces.Box):
        raise ConfigError(f"scale_observation needs a Box, observations of {spec.name} are {space}")
    low, high = (torch.as_tensor(bound, dtype=torch.float64).flatten() for bound in (space.low, space.high))
    bounded = (high - low < _UNBOUNDED) & (high > low)
    middle, reach = torch.where(bounded, (low + high) / 2, 0.0), torch.where(bounded, (high - low) / 2, 1.0)
    return torch.stack([middle, reach]).to(torch.float32)
