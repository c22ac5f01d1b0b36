"""An agent whom models that learn beside it advise: what it sees is wider, what it earns is shaped, its choice is safe.

Replays keep the observations as they came and the advice beside them, as it was given when the row was decided. So the
potential that shapes rewards is one number for each row, and what it adds telescopes along every episode, however the
models have changed between (Ng, Harada and Russell 1999): the best policy stays the best.
"""

from dataclasses import replace
from typing import Any, cast

import torch
from gymnasium import spaces
from torch import Tensor

from angle_domains.config import AgentConfig
from angle_domains.errors import CheckpointError, ConfigError
from angle_domains.replay import ReplayBuffer
from angle_domains.schedule import over_run
from angle_domains.tables import agent_spec, resolve
from angle_domains.types import Agent, Decision, LearnResult, Percept, Window
from feeds.base import FeedSpec
from metalearn.serving.adviser import Advice, Adviser
from metalearn.serving.memory import Past
from metalearn.trainer import MetaLearnerTrainer

HANDED = (
    "replay",
    "length",
    "stride",
    "period",
    "looks",
    "horizon",
    "rows",
    "portrait",
)  # through, where the agent has them
_FEATURES, _CHANCE, _SAFE = "advice/features", "advice/chance", "advice/safe"
_OUT = -1e5  # the value of actions that must not be chosen: far below any other


class Advised:
    """An Agent for raw observations around one for advised ones.

    Its memory is a pair: that of the agent, and the last ticks of every stream.
    """

    def __init__(self, agent: Agent, adviser: Adviser, gamma: float) -> None:
        self.agent, self.adviser, self.gamma = agent, adviser, gamma
        self.serve = adviser.trainer.config.serve
        self._past: Past | None = None  # of the last row that was decided while exploring
        self._pending: Advice | None = None  # on policy: of the row that ended the last window, to be decided next
        for name in HANDED:
            if hasattr(agent, name):  # as attributes of its own, so that protocols find them
                setattr(self, name, getattr(agent, name))
        if hasattr(agent, "worth"):
            self.worth = self._worth
        if hasattr(agent, "study"):
            self.study = lambda window: cast(Any, agent).study(self._widened(window))

    def act(self, percept: Percept, memory: Any = None, *, explore: bool) -> Decision:
        inner, before = (None, None) if memory is None else memory
        past = self._after(percept, before)
        advice = self.adviser.advise(past, keep=explore) if self._pending is None or not explore else self._pending
        advised = self._advised(percept, advice)
        decision = self.agent.act(advised, inner, explore=explore)
        if explore:
            self._past, self._pending = past, None
            return replace(decision, memory=(decision.memory, past), extras=decision.extras | self._kept(advice))
        extras = decision.extras if advice.safe is None else _without(decision.extras, advised.mask)
        return replace(decision, memory=(decision.memory, past), extras=extras)

    def learn(self, window: Window) -> LearnResult:
        return self.agent.learn(self._shaped(self._widened(window)))

    def _worth(self, obs: Tensor) -> Tensor:
        """Of observations as if an episode began there."""
        first = torch.ones(len(obs), dtype=torch.bool)
        past = self.adviser.blank(len(obs)).then(obs.detach().flatten(1).cpu(), first, None)
        features = self.adviser.told(past).features.to(obs)
        return self.agent.worth(torch.cat([obs.flatten(1), features], -1))  # type: ignore[attr-defined]

    def annotate(self, replay: ReplayBuffer, advice: Advice) -> None:
        """Puts advice on all rows of a log beside them."""
        kept = self._kept(advice)
        replay.annotate({name: value.unsqueeze(1) for name, value in kept.items()})

    def state_dict(self) -> dict[str, Any]:
        """Of the agent, and what the adviser remembers; the models belong to their trainer."""
        pending = None if self._pending is None else self._pending._asdict()
        return {"agent": self.agent.state_dict(), "adviser": self.adviser.state_dict(), "pending": pending}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.agent.load_state_dict(state["agent"])
        self.adviser.load_state_dict(state["adviser"])
        self._pending = None if state["pending"] is None else Advice(**state["pending"])

    def _after(self, percept: Percept, past: Past | None) -> Past:
        obs = percept.obs.flatten(1).to("cpu", torch.float32)
        elapsed = None if percept.elapsed is None else percept.elapsed.cpu()
        before = self.adviser.blank(len(obs)) if past is None else Past(*past)  # a checkpoint gives plain tuples
        return before.then(obs, percept.first.cpu(), elapsed)

    def _kept(self, advice: Advice) -> dict[str, Tensor]:
        """What a row keeps of advice."""
        kept = {_FEATURES: advice.features} if advice.features.shape[1] else {}
        kept |= {_CHANCE: advice.chance} if self.serve.shaping else {}
        return kept | ({} if advice.safe is None else {_SAFE: advice.safe})

    def _advised(self, percept: Percept, advice: Advice) -> Percept:
        obs = percept.obs.flatten(1).to(torch.float32)
        mask = _both(percept.mask, advice.safe)
        return percept._replace(obs=torch.cat([obs, advice.features.to(obs)], -1), mask=mask)

    def _widened(self, window: Window) -> Window:
        """As the agent is to see it; the last row of a window on policy was not decided yet: it is advised now."""
        percept, extras = window.percept, window.extras
        if hasattr(self, "horizon"):
            assert self._past is not None
            newest = self._after(Percept(*(_last(each) for each in percept)), self._past)
            self._pending = pending = self.adviser.advise(newest, keep=True)
            extras = {name: value.clone() for name, value in extras.items()}
            for name, value in self._kept(pending).items():
                extras[name][-1] = value.to(extras[name])
        obs = percept.obs.flatten(2).to(torch.float32)
        if _FEATURES in extras:
            obs = torch.cat([obs, extras[_FEATURES][: len(obs)].to(obs)], -1)
        mask = _both(percept.mask, extras.get(_SAFE))
        return replace(window, percept=percept._replace(obs=obs, mask=mask), extras=extras)

    def _shaped(self, window: Window) -> Window:
        """r + kappa (p(s) - gamma p(s')): the potential is minus the chance of harm, and none beyond an end."""
        if not self.serve.shaping:
            return window
        chance, percept = window.extras[_CHANCE], window.percept
        gained = window.real * (chance[:-1] - window.discounted(self.gamma) * chance[1:])
        reward = percept.reward.clone()
        reward[1:] += self.serve.shaping * gained / window.paid(self.gamma)  # it counts at the action itself
        return replace(window, percept=percept._replace(reward=reward))


def make_agent(config: AgentConfig, spec: FeedSpec, device: str) -> Agent:
    """The agent of a configuration, advised where that is asked for; ConfigError where agent and feed do not fit."""
    entry, settings = agent_spec(config.agent_name), over_run(config.agent, config.training.steps)
    made = {"streams": config.training.streams, "seed": config.seed, "device": device}
    serve = config.meta.serve
    if not (config.meta.on and serve.on):
        if serve.on:
            raise ConfigError("meta.serve asks for models beside the agent: add --meta, or set meta.on=true")
        plain: Agent = resolve(entry.build)(settings, spec, **made)
        return plain
    trainer = make_trainer(config, spec)
    if serve.shield and trainer.shield is None:
        raise ConfigError(
            f"meta.serve.shield=true needs discrete actions, those of {spec.name} are {spec.action_space}: "
            "set it to false; meta.serve.shaping is for any actions"
        )
    if serve.shaping and entry.rewarded:
        raise ConfigError(
            f"the agent '{config.agent_name}' decides by the rewards that it sees, and meta.serve.shaping would change "
            "those it learns from: leave it out"
        )
    if serve.shaping and getattr(config.agent, "bounds", None) is not None:
        raise ConfigError(
            "meta.serve.shaping moves values beyond what is earned, and agent.bounds would cut them there: "
            "set agent.bounds=null, or meta.serve.shaping=0"
        )
    adviser = Adviser(trainer, spec)
    agent: Agent = resolve(entry.build)(settings, adviser.layout.widen(spec), **made)
    if hasattr(agent, "study") and (adviser.layout.size or serve.shaping):
        raise ConfigError(
            f"the agent '{config.agent_name}' counts observations that come back, and features or rewards that models "
            "renew make no two alike: leave meta.serve.forecast, meta.serve.risk and meta.serve.shaping out"
        )
    return Advised(agent, adviser, getattr(config.agent, "gamma", 1.0))


def make_trainer(config: AgentConfig, spec: FeedSpec) -> MetaLearnerTrainer:
    """Of models for what a feed shows; ConfigError where that is no vector."""
    space, actions = spec.observation_space, spec.action_space
    if not isinstance(space, spaces.Box) or spec.stack or len(space.shape or ()) == 3:
        raise ConfigError(
            f"meta.on=true needs observations that are vectors, and those of {spec.name} are {space}: "
            "leave --meta out for pictures"
        )
    count = int(actions.n) if isinstance(actions, spaces.Discrete) else None
    return MetaLearnerTrainer(config.meta, spaces.flatdim(space), config.seed, count)


def _both(mask: Tensor | None, safe: Tensor | None) -> Tensor | None:
    """What is allowed and safe; where nothing is both, what is allowed."""
    if safe is None:
        return mask
    if mask is None:
        return safe
    both = mask & safe.to(mask.device)
    return torch.where(both.any(-1, keepdim=True), both, mask)


def _without(extras: dict[str, Tensor], free: Tensor | None) -> dict[str, Tensor]:
    """What is shown of a decision, all but free actions out: whoever reads a policy from it must not choose them."""
    if free is None:
        return extras
    return {
        name: torch.where(free.to(value.device), value, _OUT) if name in ("q", "log_probs") else value
        for name, value in extras.items()
    }


def _last(column: Tensor | None) -> Any:
    return None if column is None else column[-1]


def restore(trainer: MetaLearnerTrainer, state: dict[str, Any]) -> None:
    """Puts back what models beside an agent had learned; CheckpointError where another version wrote it."""
    try:
        trainer.load_state_dict(state)
    except (KeyError, RuntimeError, TypeError) as error:
        raise CheckpointError(
            f"the models beside the agent were saved by another version or with other settings ({error}): "
            "load them with those, or train anew"
        ) from error
