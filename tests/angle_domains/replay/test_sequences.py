"""Windows of a log for agents with a memory: which there are, and that no action is left out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from angle_domains.replay import RecordedConfig, ReplayBuffer, recorded_sequences
from angle_domains.replay.sequences import starts_of
from feeds.base import Rows
from tests.logs import rows_of


class Learner:
    def __init__(self, length: int, stride: int, *, prioritised: bool = False) -> None:
        self.length, self.stride, self.replay = length, stride, RecordedConfig(prioritised=prioritised)


def log(lengths: list[int]) -> Rows:
    """Episodes of so many actions, every second one terminated; actions and observations count the rows."""
    episodes, row = [], 0
    for number, length in enumerate(lengths):
        place = np.arange(row, row + length + 1)
        episode = {"obs": place, "action": place[:-1], "reward": np.ones(length), "ended": number % 2 == 0}
        episodes.append(episode)
        row += length + 1
    return rows_of(episodes)


def made(lengths: list[int], length: int, stride: int, *, prioritised: bool = False, seed: int = 0) -> ReplayBuffer:
    agent = Learner(length, stride, prioritised=prioritised)
    return recorded_sequences(log(lengths), agent, seed=seed, device="cpu")


def test_windows_by_hand() -> None:
    """Episodes of 7, 2 and 5 actions begin at rows 0, 8 and 11; windows are of 3, each 2 before the next."""
    assert starts_of(log([7, 2, 5]).last, 3, 2).tolist() == [0, 2, 4, 8, 11, 13]
    assert starts_of(log([7]).last, 3, 3).tolist() == [0, 1, 4]  # the first begins with the episode
    assert starts_of(log([3]).last, 3, 1).tolist() == [0]


@settings(max_examples=60)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(1, 12), st.integers(1, 12), st.integers(0, 8))
def test_every_action_is_learned_from_the_last_of_every_episode_among_them(
    lengths: list[int], length: int, stride: int, burn_in: int
) -> None:
    """By some window, past its burn-in or from an episode's first row on: trap 14."""
    if burn_in + stride > length:
        return
    rows = log(lengths)
    end = np.flatnonzero(rows.last)
    learned = np.zeros(len(rows), bool)
    for start in starts_of(rows.last, length, stride):
        stop = min(start + length, end[np.searchsorted(end, start)])
        learned[(start if rows.first[start] else start + burn_in) : stop] = True
    assert np.array_equal(learned, ~rows.last)


@pytest.mark.parametrize("prioritised", [False, True])
def test_every_terminal_step_is_sampled_and_stays_of_one_step_are_kept(prioritised: bool) -> None:
    lengths = [1, 13, 2, 1, 7, 30, 1]
    replay = made(lengths, 5, 3, prioritised=prioritised)
    ends = np.cumsum(np.array(lengths) + 1) - 2  # the rows of the last actions
    seen: set[int] = set()
    for _ in range(10):
        window = replay.get_batch(64, 5)
        taken = window.action[window.same_episode > 0]
        seen |= set(taken.tolist())
    assert set(ends.tolist()) <= seen
    assert seen == set(np.flatnonzero(~log(lengths).last).tolist())


def test_what_lies_beyond_the_end_of_an_episode_is_padding() -> None:
    replay = made([1, 3], 5, 1)
    window = replay.get_batch(200, 5)
    lengths = window.same_episode.sum(0)
    assert torch.equal(lengths, torch.where(window.action[0] == 0, 1.0, 3.0))
    inside = window.percept.obs[:-1, :, 0] == window.percept.obs[0, :, 0] + torch.arange(5).unsqueeze(-1)
    assert inside[window.same_episode > 0].all()


def test_priorities_are_those_of_windows() -> None:
    replay = made([4, 4], 4, 1, prioritised=True)
    for _ in range(20):
        window = replay.get_batch(32, 4)
        replay.reprioritise(torch.where(window.action[0] == 0, 9.0, 1.0))
    often = (replay.get_batch(2_000, 4).action[0] == 0).float().mean().item()
    assert often == pytest.approx(0.75, abs=0.05)  # alpha is a half


def test_a_loaded_sampler_goes_on_to_the_bit() -> None:
    replay = made([4, 9, 2], 4, 2, prioritised=True)
    replay.get_batch(8, 4)
    replay.reprioritise(torch.arange(8.0))
    other = made([4, 9, 2], 4, 2, prioritised=True, seed=3)
    other.load_state_dict(replay.state_dict())
    for _ in range(3):
        one, same = replay.get_batch(8, 4), other.get_batch(8, 4)
        assert torch.equal(one.action, same.action)
        assert torch.equal(one.weight, same.weight)
