"""Models that learn beside an agent: from what it lives through or what was recorded, steered by its values."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from angle_domains.advised import HANDED, Advised, make_trainer, restore
from angle_domains.config import AgentConfig
from angle_domains.records import as_shown, first_action, records_of
from angle_domains.training.experience import Experience, Lived, Read
from angle_domains.types import Agent, Decision, LearnResult, Percept, Valued, Window
from feeds.base import LoggedFeed
from metalearn.diary import Diary
from metalearn.serving.adviser import Adviser
from metalearn.serving.held_out import HeldOut
from metalearn.states import States


class Watched:
    """An agent whose decisions while exploring are noted in a diary; all else is the agent's own."""

    def __init__(self, agent: Agent, diary: Diary, moment: Callable[[], np.ndarray | None]) -> None:
        """`moment` tells where streams stand in a calendar that they share."""
        self.agent, self.diary, self.moment = agent, diary, moment
        for name in (*HANDED, "study", "worth"):
            if hasattr(agent, name):  # as attributes of its own, so that protocols find them
                setattr(self, name, getattr(agent, name))

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
                None if (moment := self.moment()) is None else torch.from_numpy(moment),
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

    def __init__(self, config: AgentConfig, feed: Any, agent: Agent, experience: Experience) -> None:
        """The models are those that advise the agent, where they do."""
        self.agent, self.first = agent, first_action(feed.spec)
        self.trainer = agent.adviser.trainer if isinstance(agent, Advised) else make_trainer(config, feed.spec)
        meta, entries = config.meta, self.trainer.entries
        self._recent = meta.forecast.length + max(meta.forecast.horizons)  # ticks that a forecast needs
        self.records: States | None = None
        self.diary: Diary | None = None
        self.held_out: HeldOut | None = None
        self.experience = experience
        if isinstance(experience, Read) and isinstance(feed, LoggedFeed):
            records = records_of(feed)
            self.records = as_shown(records) if isinstance(agent, Advised) else records
            if isinstance(agent, Advised) and meta.serve.folds > 1:
                alike = config.model_copy(update={"meta": meta.model_copy(update={"also": ()})})
                self.held_out = HeldOut(
                    lambda: Adviser(make_trainer(alike, feed.spec), feed.spec), self.records, meta.serve.folds
                )
            self._annotate()
        else:
            self.diary = Diary(meta.rows, config.training.streams, entries)

    def watch(self, agent: Agent) -> Agent:
        """The agent as the loop is to see it."""
        return agent if self.diary is None else Watched(agent, self.diary, self._moment)

    def update(self, step: int, seconds: float) -> dict[str, float]:
        """Trains where that is due; `seconds` is what training took so far. Metrics, empty where nothing was done."""
        begun = time.monotonic()
        alarmed = self.diary is not None and self.trainer.watch(step, self.diary.states(self._recent))
        self.trainer.seconds += time.monotonic() - begun  # watching is paid for as updates are
        told = {"meta/drift_alarm": 1.0} if alarmed else {}
        if not self.trainer.meta_learning_condition(step, seconds):
            return told
        states = self.records if self.diary is None else self.diary.states()
        assert states is not None
        if states.action is not None:
            states = states._replace(action=states.action - self.first)
        q = self._q if isinstance(self.agent, Valued) else None
        told |= self.trainer.update(step, states, q)
        if self.held_out is not None:
            self.held_out.update(states, q)
        self._annotate()
        return told | {"meta/share": self.trainer.seconds / max(seconds + time.monotonic() - begun, 1e-9)}

    def _annotate(self) -> None:
        """Rows of a log bear what is said of them now, where that may be by models that did not learn from them."""
        if self.records is None or not isinstance(self.agent, Advised):
            return
        if self.held_out is None:
            advice = self.agent.adviser.advise_record(self.records)
        else:
            advice = self.held_out.advise(self.records)
        self.agent.annotate(self.experience.replay, advice)

    def _moment(self) -> np.ndarray | None:
        """Of the percept that the agent is about to decide on."""
        assert isinstance(self.experience, Lived)
        return getattr(self.experience.envs, "moment", None)

    def _q(self, states: Tensor) -> Tensor:
        return self.agent.worth(states).to(states)  # type: ignore[attr-defined]

    def state_dict(self) -> dict[str, Any]:
        known: dict[str, Any] = {"trainer": self.trainer.state_dict()}
        if self.held_out is not None:
            known["held_out"] = self.held_out.state_dict()
        return known if self.diary is None else known | {"diary": self.diary.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        restore(self.trainer, state["trainer"])
        if self.held_out is not None:
            for adviser, one in zip(self.held_out.advisers, state["held_out"], strict=True):
                restore(adviser.trainer, one)
        if self.diary is not None:
            self.diary.load_state_dict(state["diary"])
        self._annotate()
