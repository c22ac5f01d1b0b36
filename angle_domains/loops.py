"""How experience reaches an agent. Each loop is a generator of Reports; who drives it logs, evaluates, saves, stops.

A loop keeps what it must remember in a LoopState, so that one continued from saved states of loop, environments,
replay and agent goes on to the bit. Steps are counted in rows, ticks times streams: the row in which a stream resets
counts too, so that the number of updates in a budget of steps is known beforehand. Where there is no environment a
step is an update.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import create_empty_array
from torch import Tensor

from angle_domains.errors import ConfigError
from angle_domains.percepts import allowed, for_environment, passed, perceive
from angle_domains.replay import RecordedConfig, ReplayBuffer, ReplayConfig
from angle_domains.types import Agent, Glancing, Percept, Report, Window

_REPORT_STEPS = 256  # between two reports of a loop that learns off policy


class OnPolicyAgent(Agent, Protocol):
    @property
    def horizon(self) -> int:
        """Actions of each stream in the windows it learns from."""
        ...


@runtime_checkable
class OffPolicyAgent(Agent, Protocol):
    @property
    def replay(self) -> ReplayConfig: ...

    @property
    def length(self) -> int:
        """Actions of the windows it learns from."""
        ...


@runtime_checkable
class OfflineAgent(Agent, Protocol):
    @property
    def replay(self) -> ReplayConfig | RecordedConfig: ...

    @property
    def length(self) -> int:
        """Actions of the windows it learns from."""
        ...


@runtime_checkable
class Studious(Protocol):
    """An agent that asks what a log holds before it learns from it: which actions were ever taken where."""

    def study(self, window: Window) -> None:
        """All rows of the log as one window `[N, 1, ...]`, episode after episode; told again where a run goes on."""
        ...


@dataclass
class LoopState:
    """Where a loop stands between two ticks."""

    percept: Percept  # what the agent is to decide on next
    memory: Any = None  # of the agent: None, a tensor, or dicts, lists and tuples of tensors
    step: int = 0  # rows so far
    updates: int = 0  # of an agent that learns off policy
    returns: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))  # [B] of running episodes
    lengths: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))  # [B] actions so far

    def state_dict(self) -> dict[str, Any]:
        return {
            "percept": self.percept._asdict(),
            "memory": self.memory,
            "step": self.step,
            "updates": self.updates,
            "returns": self.returns,
            "lengths": self.lengths,
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> "LoopState":
        memory = deepcopy(state["memory"])  # an agent may write into its own: another continuation keeps another
        return cls(**state | {"percept": Percept(**state["percept"]), "memory": memory})


@dataclass
class OfflineState:
    """Where learning from a log stands between two updates."""

    step: int = 0  # updates so far

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step}

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> "OfflineState":
        return cls(**state)


@dataclass(frozen=True)
class Finished:
    """Episodes that ended in one tick."""

    returns: list[float]
    lengths: list[int]


_NOTHING = Finished([], [])


def spread(seed: int) -> int:
    """A number of 30 bits that tells nothing of its neighbours'; what streams add to it still fits 32, signed."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0] >> 2)


def begin(envs: VectorEnv[Any, Any, Any], seed: int) -> LoopState:
    """Resets the environments; ConfigError unless they reset a stream in the step after its episode ended.

    Stream i is seeded `spread(seed) + i`: unspread, runs of neighbouring seeds would share all streams but one.
    """
    mode = envs.metadata.get("autoreset_mode")
    if mode != AutoresetMode.NEXT_STEP:
        raise ConfigError(f"loops need environments with AutoresetMode.NEXT_STEP, these have {mode}")
    obs, info = envs.reset(seed=spread(seed))
    streams = envs.num_envs
    seen = torch.as_tensor(obs)
    blank = torch.as_tensor(create_empty_array(envs.single_action_space, streams, fn=np.zeros)).to(seen.device)
    no = torch.zeros(streams, dtype=torch.bool, device=seen.device)
    zero = torch.zeros(streams, device=seen.device)
    return LoopState(
        percept=Percept(
            seen, blank, zero, zero + 1.0, ~no, no, allowed(info, no, envs.single_action_space), passed(info, ~no)
        ),
        returns=torch.zeros(streams, dtype=torch.float64),
        lengths=torch.zeros(streams, dtype=torch.int64),
    )


def interact(
    agent: Agent, envs: VectorEnv[Any, Any, Any], replay: ReplayBuffer, state: LoopState
) -> Iterator[Finished]:
    """One tick per iteration: the agent decides, the row is stored, the environments step, `state` moves on."""
    while True:
        decision = agent.act(state.percept, state.memory, explore=True)
        replay.insert(state.percept, decision)
        ended, returns, lengths = advance(envs, state, decision.action, decision.memory)
        yield Finished(returns[ended].tolist(), lengths[ended].tolist()) if ended.any() else _NOTHING


def advance(
    envs: VectorEnv[Any, Any, Any], state: LoopState, action: Tensor, memory: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Steps the environments and moves `state` on by one tick.

    Gives for each stream `[B]` whether a whole episode ended in it, and its return and length so far: of the game as
    it is played, whatever is clipped or cut for training.
    """
    before = state.percept
    obs, reward, terminated, truncated, info = envs.step(for_environment(action, before.obs))
    state.percept = perceive(envs, before, action, (obs, reward, terminated, truncated, info))
    state.memory = memory
    state.step += envs.num_envs
    resetting = before.last.cpu()
    earned = torch.as_tensor(info.get("raw_reward", reward), dtype=torch.float64).cpu()
    ended = torch.as_tensor(info["game_over"]) if "game_over" in info else state.percept.last.cpu()
    returns = state.returns + torch.where(resetting, 0.0, earned)
    lengths = state.lengths + ~resetting
    state.returns = torch.where(ended, 0.0, returns)
    state.lengths = torch.where(ended, 0, lengths)
    return ended, returns, lengths


def on_policy(
    agent: OnPolicyAgent,
    envs: VectorEnv[Any, Any, Any],
    replay: ReplayBuffer,
    state: LoopState,
    *,
    steps: int,
    horizon: int | None = None,
) -> Iterator[Report]:
    """Learns from each `horizon` ticks once, until `state.step` reaches `steps`; a window begun is completed.

    The window is learned before the agent decides on the percept that ends it. One Report for each update, with the
    mean return and length of the episodes that ended since the last one.
    """
    horizon = horizon or agent.horizon
    returns: list[float] = []
    lengths: list[int] = []
    ticks = interact(agent, envs, replay, state)
    while state.step < steps or replay.size:
        finished = next(ticks)
        returns += finished.returns
        lengths += finished.lengths
        if replay.size < horizon:
            continue
        metrics = _mean_metrics([agent.learn(replay.newest(horizon, state.percept)).metrics])
        replay.clear()
        yield Report(state.step, metrics | _episode_metrics(returns, lengths), learned=True)
        returns, lengths = [], []


def off_policy(
    agent: OffPolicyAgent, envs: VectorEnv[Any, Any, Any], replay: ReplayBuffer, state: LoopState, *, steps: int
) -> Iterator[Report]:
    """Learns from windows drawn of all experience, as often as the agent's settings say, until `steps`.

    Updates that are due are done before the next tick, so every Report is a place where the run can be saved. One
    Report for every `_REPORT_STEPS` steps or so, with means over the updates and episodes since the last one.
    """
    config = agent.replay
    returns: list[float] = []
    lengths: list[int] = []
    learned: list[Mapping[str, float | Tensor]] = []
    ticks = interact(agent, envs, replay, state)
    while state.step < steps:
        finished = next(ticks)
        returns += finished.returns
        lengths += finished.lengths
        while state.updates < _updates_due(state.step, config):
            learned.append(_learn(agent, replay))
            state.updates += 1
        before = state.step - envs.num_envs
        if state.step // _REPORT_STEPS > before // _REPORT_STEPS or state.step >= steps:
            yield Report(state.step, _mean_metrics(learned) | _episode_metrics(returns, lengths), learned=True)
            returns, lengths, learned = [], [], []


def offline(agent: OfflineAgent, replay: ReplayBuffer, state: OfflineState, *, steps: int) -> Iterator[Report]:
    """Learns from windows drawn of a log, one batch a step, until `steps`; nothing is tried out.

    An agent that wants to see the log as a whole sees it first, whenever the loop begins or goes on. One Report for
    every `_REPORT_STEPS` steps, with means over the updates since the last one: there the run can be saved.
    """
    if isinstance(agent, Studious):
        agent.study(replay.newest(replay.size - 1))
    learned: list[Mapping[str, float | Tensor]] = []
    while state.step < steps:
        learned.append(_learn(agent, replay))
        state.step += 1
        if state.step % _REPORT_STEPS == 0 or state.step >= steps:
            yield Report(state.step, _mean_metrics(learned), learned=True)
            learned = []


def rejoin(envs: VectorEnv[Any, Any, Any], seed: int, state: LoopState) -> LoopState:
    """The state of a loop that goes on with environments whose own state could not be saved: games begin anew.

    They are seeded by seed and step, so that a run which goes on twice from one place goes on alike.
    """
    fresh = begin(envs, spread(seed) ^ state.step)
    return replace(fresh, step=state.step, updates=state.updates)


def _learn(agent: OfflineAgent, replay: ReplayBuffer) -> Mapping[str, float | Tensor]:
    """One update from one batch; gives what is to be told of it."""
    looks = agent.looks if isinstance(agent, Glancing) else None
    result = agent.learn(replay.get_batch(agent.replay.batch, agent.length, looks))
    if result.priority is not None:
        replay.reprioritise(result.priority)
    return result.metrics


def _updates_due(step: int, config: ReplayConfig) -> int:
    """Updates that should have been done by a step: a function of the step alone."""
    return 0 if step < config.warm_up else int((step - config.warm_up) / config.learn_every) + 1


def _mean_metrics(learned: list[Mapping[str, float | Tensor]]) -> dict[str, float]:
    """The mean of every metric over the updates that gave it."""
    found: dict[str, list[float | Tensor]] = {}
    for metrics in learned:
        for name, value in metrics.items():
            found.setdefault(name, []).append(value)
    return {name: _mean(values) for name, values in found.items()}


def _mean(values: list[float | Tensor]) -> float:
    if len(values) == 1:
        return float(values[0])
    tensors = [value.detach() for value in values if isinstance(value, Tensor)]
    if len(tensors) == len(values):
        return float(torch.stack(tensors).mean())
    return float(np.mean([float(value) for value in values]))


def _episode_metrics(returns: list[float], lengths: list[int]) -> dict[str, float]:
    if not returns:
        return {}
    return {"episode/return": float(np.mean(returns)), "episode/length": float(np.mean(lengths))}
