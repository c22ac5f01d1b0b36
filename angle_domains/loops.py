"""How experience reaches an agent. Each loop is a generator of Reports; who drives it logs, evaluates, saves, stops.

A loop keeps what it must remember in a LoopState, so that one continued from saved states of loop, environments,
replay and agent goes on to the bit. Steps are counted in rows, ticks times streams: the row in which a stream resets
counts too, so that the number of updates in a budget of steps is known beforehand.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import create_empty_array
from torch import Tensor

from angle_domains.errors import ConfigError, FeedError
from angle_domains.replay import ReplayBuffer, ReplayConfig
from angle_domains.types import Agent, Percept, Report

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
        return cls(**state | {"percept": Percept(**state["percept"])})


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
        percept=Percept(seen, blank, zero, zero + 1.0, ~no, no, _mask(info, no, envs.single_action_space)),
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
    obs, reward, terminated, truncated, info = envs.step(_for_environment(action, before.obs))
    state.percept = _perceive(envs, before, action, (obs, reward, terminated, truncated, info))
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
            result = agent.learn(replay.get_batch(config.batch, agent.length))
            if result.priority is not None:
                replay.reprioritise(result.priority)
            learned.append(result.metrics)
            state.updates += 1
        before = state.step - envs.num_envs
        if state.step // _REPORT_STEPS > before // _REPORT_STEPS or state.step >= steps:
            yield Report(state.step, _mean_metrics(learned) | _episode_metrics(returns, lengths), learned=True)
            returns, lengths, learned = [], [], []


def rejoin(envs: VectorEnv[Any, Any, Any], seed: int, state: LoopState) -> LoopState:
    """The state of a loop that goes on with environments whose own state could not be saved: games begin anew.

    They are seeded by seed and step, so that a run which goes on twice from one place goes on alike.
    """
    fresh = begin(envs, spread(seed) ^ state.step)
    return replace(fresh, step=state.step, updates=state.updates)


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


def _for_environment(action: Tensor, obs: Tensor) -> Any:
    """Actions where the environment computes: environments whose observations lie on the CPU take arrays."""
    return action.cpu().numpy() if obs.device.type == "cpu" else action.to(obs.device)


def _perceive(
    envs: VectorEnv[Any, Any, Any], before: Percept, action: Tensor, outcome: tuple[Any, Any, Any, Any, dict[str, Any]]
) -> Percept:
    obs, reward, terminated, truncated, info = outcome
    seen, ended = torch.as_tensor(obs), torch.as_tensor(terminated)
    last = ended | torch.as_tensor(truncated)
    mask = _mask(info, last, envs.single_action_space)
    if before.mask is None and mask is not None:
        raise FeedError(
            "the environment names an action_mask after a step, but named none when it was first reset: "
            "let the info of reset hold one, too"
        )
    return Percept(
        obs=seen,
        action=action.to(seen.device),
        reward=torch.as_tensor(reward, dtype=torch.float32),
        discount=1.0 - ended.to(torch.float32),
        first=before.last,
        last=last,
        mask=torch.ones_like(before.mask) if mask is None and before.mask is not None else mask,
    )


def _mask(info: dict[str, Any], last: Tensor, space: spaces.Space[Any]) -> Tensor | None:
    """The allowed actions, where the environment names them as `action_mask`; None where no stream does.

    A stream that names none allows all, and so does a `last` row: the action chosen there is ignored, and many
    environments end on a mask of zeros. FeedError where another row allows nothing.
    """
    if "action_mask" not in info:
        return None
    mask = torch.as_tensor(np.stack(list(info["action_mask"]))).to(last.device, torch.bool)
    named = torch.as_tensor(info.get("_action_mask", np.ones(len(mask), dtype=bool))).to(last.device)
    mask = mask | (~named | last).reshape(-1, *[1] * (mask.ndim - 1))
    parts = space.nvec.ravel().tolist() if isinstance(space, spaces.MultiDiscrete) else [mask[0].numel()]
    free = torch.stack([part.any(-1) for part in mask.flatten(1).split(parts, -1)], -1).all(-1)
    if not free.all():
        raise FeedError(
            f"stream {int((~free).nonzero()[0])} of the environment has an action_mask that allows no action, "
            "although its episode goes on: at least one must be allowed"
        )
    return mask


def _episode_metrics(returns: list[float], lengths: list[int]) -> dict[str, float]:
    if not returns:
        return {}
    return {"episode/return": float(np.mean(returns)), "episode/length": float(np.mean(lengths))}
