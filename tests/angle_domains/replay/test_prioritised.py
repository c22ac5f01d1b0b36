from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from angle_domains.errors import TrainingError
from angle_domains.replay import Prioritised, ReplayBuffer, ReplayConfig
from angle_domains.types import Decision, Percept
from tests.contracts.trees import assert_same


def replay_of(rows: int, streams: int = 1, seed: int = 0, **settings: Any) -> ReplayBuffer:
    config = ReplayConfig(prioritised=True, **settings)
    generator = torch.Generator().manual_seed(seed)
    return ReplayBuffer(rows * streams, streams, generator, sampler=Prioritised(rows, streams, config))


def insert(replay: ReplayBuffer, tick: int, first: list[bool], last: list[bool]) -> None:
    """A tick that shows itself in the observation and its stream in the reward."""
    streams = replay.streams
    percept = Percept(
        torch.full((streams, 1), float(tick)),
        torch.zeros(streams, dtype=torch.long),
        torch.arange(streams).float(),
        torch.ones(streams),
        torch.tensor(first),
        torch.tensor(last),
    )
    replay.insert(percept, Decision(torch.full((streams,), tick)))


def fill(replay: ReplayBuffer, ticks: int, seed: int | None = None) -> None:
    """Episodes of random lengths; without a seed one that never ends."""
    random = np.random.default_rng(seed)
    first = [replay.added == 0] * replay.streams
    for tick in range(replay.added, replay.added + ticks):
        last = [seed is not None and not f and random.random() < 0.3 for f in first]
        insert(replay, tick, first, last)
        first = last


def starts(window: Any) -> list[tuple[int, int]]:
    pairs = zip(window.obs[0, :, 0].tolist(), window.percept.reward[0].tolist(), strict=True)
    return [(int(tick), int(stream)) for tick, stream in pairs]


def check(replay: ReplayBuffer) -> None:
    replay.check_valid()
    assert isinstance(replay.sampler, Prioritised)
    replay.sampler.check_valid(replay.added - replay.size, replay._columns["percept/last"])


@settings(max_examples=40)
@given(st.data(), st.integers(6, 30), st.integers(1, 3), st.integers(1, 3), st.integers(0, 100))
def test_only_whole_windows_of_taken_actions_are_drawn_whatever_happened(
    data: st.DataObject, rows: int, streams: int, length: int, seed: int
) -> None:
    replay, random = replay_of(rows, streams, seed), np.random.default_rng(seed)
    first = [True] * streams
    for tick in range(data.draw(st.integers(1, 60))):
        last = [not f and random.random() < 0.3 for f in first]
        insert(replay, tick, first, last)
        first = last
        if random.random() < 0.5 or replay.size <= length:
            continue
        try:
            window = replay.get_batch(8, length)
        except ValueError as error:
            assert "no action was taken" in str(error)  # noqa: PT017
            continue
        for start, _ in starts(window):
            assert replay.added - replay.size <= start < replay.added - length
        assert torch.equal(window.obs[:, :, 0] - window.obs[0, :, 0], torch.arange(length + 1.0)[:, None].expand(-1, 8))
        assert not window.percept.last[0].any()
        check(replay)
        if random.random() < 0.8:
            replay.reprioritise(torch.from_numpy(random.exponential(size=8) ** 3))
        check(replay)


def test_frequencies_are_the_priorities_to_the_power_of_alpha() -> None:
    replay = replay_of(50, 2, alpha=0.5)
    fill(replay, 70, seed=1)
    wanted: dict[tuple[int, int], float] = {}
    for _ in range(200):
        drawn = starts(replay.get_batch(16, 1))
        priority = [0.1 + ((tick * 7 + stream * 3) % 11) for tick, stream in drawn]
        replay.reprioritise(torch.tensor(priority))
        wanted |= dict(zip(drawn, priority, strict=True))
    last = replay._columns["percept/last"]
    assert len(wanted) == (~last[torch.arange(20, 69) % 50]).sum()  # every row was drawn; the newest has no window yet
    counts: dict[tuple[int, int], int] = dict.fromkeys(wanted, 0)
    for _ in range(1_000):
        for place in starts(replay.get_batch(32, 1)):
            counts[place] += 1
    mass = np.array([wanted[place] ** 0.5 for place in counts])
    expected = 32_000 * mass / mass.sum()
    observed = np.array(list(counts.values()))
    chi_square = float((((observed - expected) ** 2) / expected).sum())
    assert chi_square < len(mass) + 4 * (2 * len(mass)) ** 0.5


def test_weights_undo_the_priorities_as_far_as_beta_says() -> None:
    replay = replay_of(20, alpha=1.0, beta=0.5)
    fill(replay, 5)
    priority = torch.tensor([1.0, 2.0, 4.0, 16.0])
    for _ in range(40):
        drawn = [tick for tick, _ in starts(replay.get_batch(8, 1))]
        replay.reprioritise(priority[drawn])
    window = replay.get_batch(64, 1)
    drawn = [tick for tick, _ in starts(window)]
    assert set(drawn) == {0, 1, 2, 3}
    # (4 · p/23)^-0.5 over the largest of these, that of p = 1
    torch.testing.assert_close(window.weight, priority[drawn] ** -0.5)


def test_alpha_0_draws_all_alike() -> None:
    replay = replay_of(100, alpha=0.0)
    fill(replay, 41)
    counts = np.zeros(40)
    for _ in range(500):
        window = replay.get_batch(16, 1)
        assert torch.equal(window.weight, torch.ones(16))
        replay.reprioritise(torch.rand(16) * 100)
        for tick, _ in starts(window):
            counts[tick] += 1
    assert (np.abs(counts - 200) < 40).all()


def test_rows_enter_at_the_largest_priority_there_ever_was() -> None:
    replay = replay_of(20, alpha=1.0)
    fill(replay, 3)
    replay.get_batch(4, 1)
    replay.reprioritise(torch.full((4,), 9.0))
    replay.get_batch(4, 1)
    replay.reprioritise(torch.full((4,), 3.0))
    fill(replay, 1)
    replay.get_batch(4, 1)
    assert isinstance(replay.sampler, Prioritised)
    assert replay.sampler._tree.leaves[2] == 9.0
    assert sorted(set(replay.sampler._tree.leaves[:2]))[0] == 3.0


def test_a_new_row_outweighs_a_worthless_one_yet_that_can_still_be_drawn() -> None:
    replay = replay_of(20, alpha=1.0)
    fill(replay, 2)
    replay.get_batch(1, 1)
    replay.reprioritise(torch.zeros(1))
    assert starts(replay.get_batch(1, 1)) == [(0, 0)]
    fill(replay, 1)
    assert {tick for tick, _ in starts(replay.get_batch(100, 1))} == {1}


def test_beta_grows_with_the_draws() -> None:
    replay = replay_of(20, beta=0.4, beta_end=1.0, beta_steps=40, learn_every=4.0)
    fill(replay, 5)
    sampler, seen = replay.sampler, []
    assert isinstance(sampler, Prioritised)
    for _ in range(13):
        seen.append(sampler.beta)
        replay.get_batch(2, 1)
    np.testing.assert_allclose(seen, [0.4 + 0.06 * min(draw, 10) for draw in range(13)])
    assert replay_of(5, beta=0.7).sampler.beta == 0.7  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -1.0])
def test_what_is_no_priority_is_refused_and_changes_nothing(wrong: float) -> None:
    replay = replay_of(20)
    fill(replay, 5)
    replay.get_batch(2, 1)
    before = replay.state_dict()
    with pytest.raises(TrainingError, match="finite and not negative"):
        replay.reprioritise(torch.tensor([1.0, wrong]))
    with pytest.raises(ValueError, match="no batch"):
        replay.reprioritise(torch.ones(3))
    assert_same(replay.state_dict(), before)


def test_windows_of_two_lengths_are_refused() -> None:
    replay = replay_of(20)
    fill(replay, 8)
    replay.get_batch(2, 1)
    with pytest.raises(ValueError, match="one length"):
        replay.get_batch(2, 3)


@settings(max_examples=30)
@given(st.integers(4, 50), st.integers(0, 20), st.integers(0, 100))
def test_a_loaded_replay_draws_on_to_the_bit(before: int, after: int, seed: int) -> None:
    one, other = replay_of(16, 2, seed, beta_steps=50), replay_of(16, 2, seed + 1, beta_steps=50)
    larger = replay_of(64, 2, beta_steps=50)  # as of a run that goes on for longer than it was meant to
    random = np.random.default_rng(seed)
    for _ in range(before):
        fill(one, 1)
        if one.size > 3:
            one.get_batch(4, 2)
            one.reprioritise(torch.from_numpy(random.exponential(size=4)))
    others = [other, larger] if before <= 16 else [other]
    for copy in others:
        copy.load_state_dict(one.state_dict())
    for _ in range(after):
        priority = torch.from_numpy(random.exponential(size=4))
        for replay in (one, *others):
            fill(replay, 1)
            if replay.size > 3 and (replay.added <= 16 or replay is not larger):
                replay.get_batch(4, 2)
                replay.reprioritise(priority)
                check(replay)
    for copy in others if before + after <= 16 else [other]:
        assert_same(one.state_dict(), copy.state_dict())


def test_clear_forgets_the_rows() -> None:
    replay = replay_of(20)
    fill(replay, 15)
    replay.get_batch(4, 1)
    replay.clear()
    fill(replay, 4)
    assert {tick for tick, _ in starts(replay.get_batch(50, 1))} == {0, 1, 2}
