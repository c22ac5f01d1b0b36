"""Models that learn beside an agent: from what it lives through or what was recorded, steered by its values."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from angle_domains.errors import ConfigError
from angle_domains.types import Agent, Decision, LearnResult, Percept, Valued, Window
from feeds.base import FeedSpec, LoggedFeed
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.measured import measured
from metalearn.diary import Diary
from metalearn.settings import MetaLearningConfig
from metalearn.states import States
from metalearn.trainer import MetaLearnerTrainer


class Watched:
    """An agent whose decisions while exploring are noted in a diary; all else is the agent's own."""

    def __init__(self, agent: Agent, diary: Diary) -> None:
        self.agent, self.diary = agent, diary

    def __getattr__(self, name: str) -> Any:
        if name == "agent":  # not there yet, as when it is copied
            raise AttributeError(name)
        return getattr(self.agent, name)

    def act(self, percept: Percept, memory: Any = None, *, explore: bool) -> Decision:
        decision = self.agent.act(percept, memory, explore=explore)
        if explore:
            discrete = decision.action.ndim == 1 and not decision.action.is_floating_point()
            self.diary.append(
                percept.obs.flatten(1).to("cpu", torch.float32),
                percept.reward.cpu(),
                percept.first.cpu(),
                (percept.discount == 0).cpu(),
                decision.action.cpu() if discrete else None,
                None if percept.elapsed is None else percept.elapsed.cpu(),
            )
        return decision

    def learn(self, window: Window) -> LearnResult:
        return self.agent.learn(window)

    def state_dict(self) -> dict[str, Any]:
        return self.agent.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.agent.load_state_dict(state)


class Beside:
    """A MetaLearnerTrainer with what it learns from: a diary of the agent's life, or the records that it reads."""

    def __init__(
        self, config: MetaLearningConfig, feed: Any, agent: Agent, *, streams: int, seed: int, reads: bool
    ) -> None:
        entries = _entries(feed.spec)
        self.agent, self.first = agent, _first(feed.spec)
        self.trainer = MetaLearnerTrainer(config, entries, seed)
        self._recent = config.forecast.length + max(config.forecast.horizons)  # ticks that a forecast needs
        self.records = records_of(feed) if reads and isinstance(feed, LoggedFeed) else None
        self.diary = Diary(config.rows, streams, entries) if self.records is None else None

    def watch(self, agent: Agent) -> Agent:
        """The agent as the loop is to see it."""
        return agent if self.diary is None else Watched(agent, self.diary)

    def update(self, step: int, seconds: float) -> dict[str, float]:
        """Trains where that is due; `seconds` is what training took so far. Metrics, empty where nothing was done."""
        alarmed = self.diary is not None and self.trainer.watch(step, self.diary.states(self._recent))
        told = {"meta/drift_alarm": 1.0} if alarmed else {}
        if not self.trainer.meta_learning_condition(step, seconds):
            return told
        states = self.records if self.diary is None else self.diary.states()
        assert states is not None
        if states.action is not None:
            states = states._replace(action=states.action - self.first)
        return told | self.trainer.update(step, states, self._q if isinstance(self.agent, Valued) else None)

    def _q(self, states: Tensor) -> Tensor:
        return self.agent.worth(states).to(states)  # type: ignore[attr-defined]

    def state_dict(self) -> dict[str, Any]:
        known = {"trainer": self.trainer.state_dict()}
        return known if self.diary is None else known | {"diary": self.diary.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.trainer.load_state_dict(state["trainer"])
        if self.diary is not None:
            self.diary.load_state_dict(state["diary"])


def records_of(feed: LoggedFeed, split: str = "train") -> States:
    """The recorded episodes of one part as models read them; actions that are not discrete are left out.

    Of patients it is told which values were measured in a row, and which only carried forward.
    """
    rows = feed.episodes(split)
    discrete = rows.action.ndim == 1 and np.issubdtype(rows.action.dtype, np.integer)
    observation = torch.from_numpy(rows.observation.reshape(len(rows), -1)).to(torch.float32)
    seen, event = torch.ones_like(observation), None
    if isinstance(feed, ClinicalFeed):
        seen, event = torch.from_numpy(measured(feed, split)).to(seen), torch.from_numpy(feed.died(split))
    return States(
        observation=observation,
        seen=seen,
        elapsed=torch.from_numpy(rows.elapsed).to(torch.float32),
        first=torch.from_numpy(rows.first),
        terminated=torch.from_numpy(rows.terminated),
        reward=torch.from_numpy(rows.reward).to(torch.float32),
        action=torch.from_numpy(rows.action).long() if discrete else None,
        entity=torch.from_numpy(rows.entity).long(),
        event=event,
    )


def _entries(spec: FeedSpec) -> int:
    """How many numbers an observation is; ConfigError where it is a picture."""
    space = spec.observation_space
    if not isinstance(space, spaces.Box) or spec.stack or len(space.shape or ()) == 3:
        raise ConfigError(
            f"meta.on=true needs observations that are vectors, and those of {spec.name} are {space}: "
            "leave --meta out for pictures"
        )
    return int(np.prod(space.shape))


def _first(spec: FeedSpec) -> int:
    """The number of the first discrete action."""
    return int(spec.action_space.start) if isinstance(spec.action_space, spaces.Discrete) else 0
