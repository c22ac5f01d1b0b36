"""The replays that the table of agents names: one window for agents on policy, long experience for the others."""

from typing import Protocol, runtime_checkable

from angle_domains.chance import seeded
from angle_domains.errors import ConfigError
from angle_domains.replay.buffer import ReplayBuffer
from angle_domains.replay.config import ReplayConfig
from angle_domains.replay.overlapping import Overlapping
from angle_domains.replay.prioritised import Prioritised
from angle_domains.replay.samplers import Sampler, Uniform
from angle_domains.types import Brief


@runtime_checkable
class Experienced(Protocol):
    @property
    def replay(self) -> ReplayConfig: ...

    @property
    def length(self) -> int:
        """Actions of the windows it learns from."""
        ...


@runtime_checkable
class Sequential(Experienced, Protocol):
    @property
    def period(self) -> int:
        """Ticks from one sequence to the next."""
        ...


def rollout(agent: Brief, *, streams: int, steps: int, stack: int, seed: int, device: str) -> ReplayBuffer:
    """One window; ConfigError where the budget of `steps` is less than half of it."""
    window = streams * agent.rows
    if window > 2 * steps:
        raise ConfigError(
            f"training.steps={steps:,} is less than half of one window: {streams:,} streams times "
            f"{agent.rows} ticks are {window:,} steps; lower training.streams or the agent's horizon"
        )
    return ReplayBuffer.for_agent(agent, streams, seed, device)


def experience(agent: Experienced, *, streams: int, steps: int, stack: int, seed: int, device: str) -> ReplayBuffer:
    """As much as the agent's settings say.

    ConfigError where the budget of `steps` ends before the first update, or there is no whole window for it.
    """
    config, rows = agent.replay, _rows(agent, streams, steps, stack)
    sampler = Prioritised(rows, streams, config) if config.prioritised else Uniform()
    return _buffer(config, rows, streams, sampler, stack=stack, seed=seed, device=device)


def experienced_sequences(
    agent: Sequential, *, streams: int, steps: int, stack: int, seed: int, device: str
) -> ReplayBuffer:
    """As `experience`, drawn as sequences that overlap."""
    config, period = agent.replay, agent.period
    rows = _rows(agent, streams, steps, stack, period) // period * period
    inner = Prioritised(rows // period, streams, config) if config.prioritised else Uniform()
    sampler = Overlapping(rows, streams, period, inner)
    return _buffer(config, rows, streams, sampler, stack=stack, seed=seed, device=device)


def _rows(agent: Experienced, streams: int, steps: int, stack: int, period: int = 1) -> int:
    """Ticks to keep: once their number is cut to whole periods, a window begins among them at any time."""
    config, ticks = agent.replay, agent.length + 1
    if config.warm_up >= steps:
        raise ConfigError(
            f"training.steps={steps:,} ends before agent.replay.warm_up={config.warm_up:,}: nothing would be learned; "
            f"for a short trial --set agent.replay.warm_up={max(steps // 4, 1)}"
        )
    if -(-config.warm_up // streams) < ticks:
        raise ConfigError(
            f"agent.replay.warm_up={config.warm_up:,} is too short: with {streams:,} streams the first window of "
            f"{agent.length} actions is whole after {ticks * streams:,} steps"
        )
    capacity = min(config.capacity, steps + streams)
    held = -(-(agent.length + period + max(0, stack - 1)) // period) * period
    if capacity // streams < held:
        raise ConfigError(
            f"agent.replay.capacity={config.capacity:,} is too small: with {streams:,} streams a window of "
            f"{agent.length} actions needs {held * streams:,} rows"
        )
    return capacity // streams


def _buffer(
    config: ReplayConfig, rows: int, streams: int, sampler: Sampler, *, stack: int, seed: int, device: str
) -> ReplayBuffer:
    return ReplayBuffer(
        rows * streams,
        streams,
        seeded(seed, "replay"),
        sampler=sampler,
        device=device,
        stack=stack,
        storage=config.storage,
    )
