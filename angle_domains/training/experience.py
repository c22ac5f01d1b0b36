"""Where an agent's experience comes from: environments that it acts in, or records that it reads."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from angle_domains.config import AgentConfig
from angle_domains.errors import ConfigError
from angle_domains.loops import LoopState, OfflineState, begin, rejoin
from angle_domains.replay import ReplayBuffer, recorded
from angle_domains.replay.recorded import Taught
from angle_domains.tables import AGENTS, FEEDS, agent_spec, feed_entry, names, resolve
from angle_domains.training.practice import Practice, Told
from angle_domains.types import Agent, Report
from feeds.base import FeedSpec, LoggedFeed


class Experience(Protocol):
    """What the trainer drives; its state goes into every checkpoint."""

    replay: ReplayBuffer

    @property
    def step(self) -> int:
        """How far learning is."""
        ...

    def reports(self, agent: Agent) -> Iterator[Report]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def keep(self) -> None:
        """Writes to the folder of the run what was made for it and outlasts it: a model of patients."""
        ...


class Lived:
    """Environments in which the agent acts; rows are written to the replay as it goes."""

    def __init__(
        self,
        config: AgentConfig,
        spec: FeedSpec,
        agent: Agent,
        device: str,
        world: Callable[[], Any],
        keep: Callable[[], None] | None = None,
    ) -> None:
        self.seed, self.steps, streams = config.seed, config.training.steps, config.training.streams
        entry, vector = agent_spec(config.agent_name), feed_entry(config.feed_name).vector
        self.loop = resolve(entry.loop)
        self.replay: ReplayBuffer = resolve(entry.replay)(
            agent, streams=streams, steps=self.steps, stack=spec.stack, seed=config.seed, device=device
        )
        self.envs = resolve(vector)(world(), streams, split="train", device=device)  # last: a world may take minutes
        self.state: LoopState | None = None
        self._keep = keep

    @property
    def step(self) -> int:
        return self.state.step if self.state else 0

    def reports(self, agent: Agent) -> Iterator[Report]:
        if self.state is None:
            self.state = begin(self.envs, self.seed)
        reports: Iterator[Report] = self.loop(agent, self.envs, self.replay, self.state, steps=self.steps)
        return reports

    def state_dict(self) -> dict[str, Any]:
        assert self.state is not None
        return {"envs": self.envs.state_dict(), "loop": self.state.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from there; games in flight cannot be saved: they begin anew."""
        self.replay.load_state_dict(state["replay"])
        self.state = LoopState.from_state_dict(state["loop"])
        if state["envs"] is None:
            self.replay.cut()
            self.state = rejoin(self.envs, self.seed, self.state)
        else:
            self.envs.load_state_dict(state["envs"])

    def keep(self) -> None:
        if self._keep is not None:
            self._keep()


class Read:
    """The records of a feed's training part; a step is an update."""

    def __init__(self, config: AgentConfig, feed: LoggedFeed, agent: Any, device: str) -> None:
        spec, self.steps = agent_spec(config.agent_name), config.training.steps
        fill = resolve(spec.replay) if spec.offline else recorded
        self.replay: ReplayBuffer = fill(feed.episodes("train"), agent, seed=config.seed, device=device)
        self.state = OfflineState()

    @property
    def step(self) -> int:
        return self.state.step

    def reports(self, agent: Any) -> Iterator[Report]:
        from angle_domains.loops import offline

        return offline(agent, self.replay, self.state, steps=self.steps)

    def state_dict(self) -> dict[str, Any]:
        return {"loop": self.state.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.replay.load_state_dict(state["replay"])
        self.state = OfflineState.from_state_dict(state["loop"])

    def keep(self) -> None:
        pass


def open_experience(config: AgentConfig, feed: Any, agent: Any, device: str, run: Path, told: Told) -> Experience:
    """As `training.source` says, by default what suits the agent; ConfigError where feed and agent do not meet.

    A model of patients that the folder `run` keeps is used again; else `told` hears how far its fit is.
    """
    spec, logged, source = agent_spec(config.agent_name), isinstance(feed, LoggedFeed), config.training.source
    if not logged:
        if spec.offline or source is not None:
            asked = f"training.source={source}" if source else f"the agent '{config.agent_name}'"
            raise ConfigError(
                f"{asked} needs recorded episodes, and the feed '{config.feed_name}' has none: {_logged()}"
            )
        return Lived(config, feed.spec, agent, device, lambda: feed)
    if source == "model" and spec.offline:
        raise ConfigError(f"the agent '{config.agent_name}' learns from records alone: leave training.source=model out")
    if spec.offline or source == "records":
        if not isinstance(agent, Taught) or not spec.records:
            able = [name for name in names(AGENTS, "angle_domains.agents") if agent_spec(name).offline]
            raise ConfigError(
                f"the agent '{config.agent_name}' learns from its own decisions alone, not from records: "
                f"leave training.source=records out, or choose {', '.join(able)}"
            )
        return Read(config, feed, agent, device)
    practice = Practice(feed, config.feed, config.training.model, run)
    return Lived(config, feed.spec, agent, device, lambda: practice.open(told), practice.keep)


def _logged() -> str:
    able = [name for name in names(FEEDS, "angle_domains.feeds") if feed_entry(name).logged]
    return f"{', '.join(able)} would do"
