"""Sequences that overlap: a ring that is full goes on, and a capacity that could not is refused beforehand."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from angle_domains.chance import seeded
from angle_domains.errors import ConfigError
from angle_domains.replay import ReplayBuffer, ReplayConfig, Uniform, experienced_sequences
from angle_domains.replay.overlapping import Overlapping
from angle_domains.types import Decision
from tests.contracts.agent_contract import see

STREAMS = 2


def replay(length: int, period: int, ticks: int, *, stack: int = 0, prioritised: bool = True) -> ReplayBuffer:
    config = ReplayConfig(capacity=ticks * STREAMS, warm_up=(length + 1) * STREAMS, prioritised=prioritised)
    agent: Any = SimpleNamespace(replay=config, length=length, period=period)
    return experienced_sequences(agent, streams=STREAMS, steps=10**6, stack=stack, seed=0, device="cpu")


@pytest.mark.parametrize("prioritised", [True, False])
@pytest.mark.parametrize(("length", "period"), [(10, 4), (9, 3), (5, 5), (7, 1)])
def test_a_full_ring_goes_on(length: int, period: int, prioritised: bool) -> None:
    least = -(-(length + period) // period) * period
    kept = replay(length, period, least, prioritised=prioritised)
    for tick in range(4 * least):
        kept.insert(see([[float(tick)]] * STREAMS), Decision(torch.arange(STREAMS)))
        if tick >= length:
            window = kept.get_batch(8, length)
            begins = window.obs[0, :, 0]
            assert (begins % period == 0).all()
            assert torch.equal(window.obs[:, :, 0], begins + torch.arange(length + 1).unsqueeze(1))
            kept.reprioritise(torch.rand(8, generator=torch.Generator().manual_seed(tick)))


@pytest.mark.parametrize(("length", "period", "ticks", "stack"), [(10, 4, 15, 0), (80, 40, 123, 4), (120, 40, 163, 4)])
def test_a_ring_that_could_lose_all_beginnings_is_refused(length: int, period: int, ticks: int, stack: int) -> None:
    with pytest.raises(ConfigError, match="is too small"):
        replay(length, period, ticks, stack=stack)


def test_a_warm_up_need_not_last_longer_than_the_first_window() -> None:
    config = ReplayConfig(capacity=1_000, warm_up=10 * STREAMS)
    agent: Any = SimpleNamespace(replay=config, length=10, period=4)
    with pytest.raises(ConfigError, match="is whole after 22 steps"):
        experienced_sequences(agent, streams=STREAMS, steps=10**6, stack=0, seed=0, device="cpu")


def test_a_ring_that_does_not_divide_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="10 ticks cannot be cut into periods of 4"):
        Overlapping(10, 1, 4, Uniform())
    sampler = Overlapping(8, 1, 4, Uniform())
    with pytest.raises(ValueError, match="no sequence begins in the 2 ticks"):
        sampler.draw(5, 6, torch.zeros(8, 1, dtype=torch.bool), 1, seeded(0, "replay"))
