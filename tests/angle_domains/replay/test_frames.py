"""Stacks read back are the stacks that came in, however an environment begins its episodes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from ale_py import AtariVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from angle_domains.replay import Prioritised, ReplayBuffer, ReplayConfig, Uniform
from angle_domains.types import Decision, Percept
from feeds.errors import FeedError
from tests.contracts.trees import assert_same

Begin = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # stack before [k, ...], frame -> stack of the first row


def zeros(before: torch.Tensor, frame: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.zeros_like(before[1:]), frame[None]])


def repeated(before: torch.Tensor, frame: torch.Tensor) -> torch.Tensor:
    return frame.expand_as(before).clone()


def carried(before: torch.Tensor, frame: torch.Tensor) -> torch.Tensor:
    return torch.cat([before[1:], frame[None]])


def replay_of(rows: int, streams: int, k: int, length: int = 2, **settings: Any) -> ReplayBuffer:
    config = ReplayConfig(prioritised=True)
    sampler = Prioritised(rows, streams, config) if length % 2 else Uniform()
    generator = torch.Generator().manual_seed(0)
    return ReplayBuffer(rows * streams, streams, generator, sampler=sampler, stack=k, **settings)


def percept(stack: torch.Tensor, tick: int, first: torch.Tensor, last: torch.Tensor) -> Percept:
    streams = len(stack)
    reward = torch.full((streams,), float(tick))
    return Percept(stack, torch.zeros(streams, dtype=torch.long), reward, torch.ones(streams), first, last)


def decision(streams: int) -> Decision:
    return Decision(torch.arange(streams))


def check_windows(replay: ReplayBuffer, seen: list[torch.Tensor], length: int) -> None:
    window = replay.get_batch(16, length)
    ticks = window.percept.reward.long()
    for t in range(length + 1):
        for b in range(16):
            stream = int(window.action[0, b])
            assert torch.equal(window.obs[t, b], seen[int(ticks[t, b])][stream]), (t, b)


def check_looks(replay: ReplayBuffer, length: int) -> None:
    """Of fewer rows the same observations, and all else as it was."""
    before = replay.state_without_rows()
    whole = replay.get_batch(16, length)
    replay.generator.set_state(before["generator"])
    part = replay.get_batch(16, length, looks=1)
    assert torch.equal(part.obs, whole.obs[:1])
    for one, other in zip(part.percept[1:], whole.percept[1:], strict=True):
        assert (one is None and other is None) or torch.equal(one, other)
    assert torch.equal(part.action, whole.action)
    assert torch.equal(part.weight, whole.weight)


@settings(max_examples=60)
@given(
    st.integers(2, 5), st.integers(1, 3), st.integers(8, 30), st.integers(1, 4), st.integers(10, 80), st.integers(0, 99)
)
@pytest.mark.parametrize("begin", [zeros, repeated, carried])
def test_stacks_come_back_as_they_came(
    begin: Begin, k: int, streams: int, rows: int, length: int, ticks: int, seed: int
) -> None:
    random, replay, seen = np.random.default_rng(seed), replay_of(rows, streams, k, length), []
    first, stack = torch.ones(streams, dtype=torch.bool), torch.zeros(streams, k, 2, 1, dtype=torch.uint8)
    for tick in range(ticks):
        frames = torch.from_numpy(random.integers(0, 3, (streams, 2, 1), np.uint8))  # blank and like ones are frequent
        rows_of = [
            (begin if f and (tick or begin is not carried) else carried)(s, x)
            for s, x, f in zip(stack, frames, first, strict=True)
        ]
        stack = torch.stack(rows_of)
        last = ~first & torch.from_numpy(random.random(streams) < 0.3)
        seen.append(stack)
        replay.insert(percept(stack, tick, first, last), decision(streams))
        first = last
        replay.check_valid()
    oldest = replay.added - replay.size + (k - 1 if replay.added > rows else 0)
    if replay.added - 1 - length >= oldest:
        try:
            check_windows(replay, seen, length)
        except ValueError as error:
            assert "no action was taken" in str(error)  # noqa: PT017
        assert torch.equal(replay.newest(length).obs, torch.stack(seen[-length - 1 :]))
    copy = replay_of(rows, streams, k, length)
    copy.load_state_dict(replay.state_dict())
    assert_same(copy.state_dict(), replay.state_dict())


@pytest.mark.parametrize(("episodic_life", "storage"), [(True, "memory"), (False, "disk")])
def test_breakout_comes_back_as_it_was_played(episodic_life: bool, storage: Any) -> None:
    streams, rows, ticks = 2, 300, 1_100
    game = {"max_num_frames_per_episode": 600, "autoreset_mode": "NextStep", "episodic_life": episodic_life}
    envs = AtariVectorEnv("breakout", num_envs=streams, **game)
    replay, seen = replay_of(rows, streams, 4, 3, storage=storage), []
    random, first = np.random.default_rng(0), torch.ones(streams, dtype=torch.bool)
    obs, last, ends = envs.reset(seed=1)[0], torch.zeros(streams, dtype=torch.bool), 0
    for tick in range(ticks):
        seen.append(torch.from_numpy(obs.copy()))
        replay.insert(percept(seen[-1], tick, first, last), decision(streams))
        obs, _, terminated, truncated, _ = envs.step(random.integers(0, 4, streams))
        first, last = last, torch.from_numpy(terminated | truncated)
        ends += int(last.sum())
        if tick >= 10 and tick % 10 == 0:
            check_windows(replay, seen, 3)
            check_looks(replay, 3)
    assert ends > 5
    assert torch.equal(replay.newest(290).obs, torch.stack(seen[-291:]))
    envs.close()


def test_a_frame_is_kept_once() -> None:
    replay = replay_of(1_000, 1, 4)
    stack = torch.zeros(1, 4, 84, 84, dtype=torch.uint8)
    no = torch.zeros(1, dtype=torch.bool)
    replay.insert(percept(stack, 0, ~no, no), decision(1))
    held = sum(flat.nbytes for flat in replay._flat.values())
    assert held / 1_000 < 7_100


def test_stacks_of_a_window_share_the_frames_that_are_read() -> None:
    replay, no = replay_of(20, 1, 3, length=3), torch.zeros(1, dtype=torch.bool)
    for tick in range(15):
        stack = (torch.arange(tick - 1, tick + 2) * (tick > 0)).clamp(min=0)[None]
        stack[0, -1] = tick + 1
        replay.insert(percept(stack, tick, no | (tick == 0), no), decision(1))
    window = replay.get_batch(8, 3)
    assert window.obs.untyped_storage().nbytes() == 8 * 6 * stack.element_size()  # 3 + 3 frames, not 4 * 3
    assert torch.equal(window.obs[..., -1], window.percept.reward.long() + 1)


def test_what_is_no_stack_of_frames_is_refused() -> None:
    replay = replay_of(20, 1, 3)
    no = torch.zeros(1, dtype=torch.bool)
    stack = torch.tensor([[1.0, 2.0, 3.0]])
    with pytest.raises(FeedError, match="stack=0"):
        replay.insert(percept(stack, 0, ~no, no), decision(1))
    replay.insert(percept(torch.tensor([[0.0, 0.0, 3.0]]), 0, ~no, no), decision(1))
    with pytest.raises(FeedError, match="no stacks of 3 frames"):
        replay.insert(percept(torch.tensor([[0.0, 4.0, 3.0]]), 1, no, no), decision(1))
    assert replay.added == 1
