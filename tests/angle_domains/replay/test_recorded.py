"""A log as a replay: what is in it, what is drawn of it, and what a checkpoint holds."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from angle_domains.errors import CheckpointError, FeedError
from angle_domains.replay import RecordedConfig, ReplayBuffer, ReplayConfig, recorded
from angle_domains.runs import META, RunFolder
from feeds.base import Rows
from tests.contracts.trees import assert_same
from tests.logs import rows_of


class Learner:
    def __init__(self, config: RecordedConfig | ReplayConfig = RecordedConfig()) -> None:  # noqa: B008
        self.replay = config


def log() -> Rows:
    """Three episodes of 2, 1 and 3 actions; observations count the rows, actions from 1, rewards likewise."""
    return rows_of(
        [
            {"obs": [0, 1, 2], "action": [1, 2], "reward": [1, 2], "ended": True, "elapsed": [1, 4]},
            {"obs": [3, 4], "action": [3], "reward": [3], "ended": False, "elapsed": [2]},
            {"obs": [5, 6, 7, 8], "action": [4, 5, 6], "reward": [4, 5, 6], "ended": True, "elapsed": [1, 1, 8]},
        ],
        actions=7,
    )


def made(rows: Rows, config: RecordedConfig | ReplayConfig | None = None, seed: int = 0) -> ReplayBuffer:
    return recorded(rows, Learner(config or RecordedConfig()), seed=seed, device="cpu")


def test_rows_are_percepts_one_after_another() -> None:
    replay = made(log())
    replay.check_valid()
    window = replay.newest(replay.size - 1)
    percept = window.percept
    assert percept.obs.flatten().tolist() == list(range(9))
    assert percept.action.flatten().tolist() == [0, 1, 2, 0, 3, 0, 4, 5, 6]  # what led here
    assert window.action.flatten().tolist() == [1, 2, 0, 3, 0, 4, 5, 6]
    assert percept.reward.flatten().tolist() == [0, 1, 2, 0, 3, 0, 4, 5, 6]
    assert percept.discount.flatten().tolist() == [1, 1, 0, 1, 1, 1, 1, 1, 0]
    assert percept.first.flatten().nonzero().flatten().tolist() == [0, 3, 5]
    assert percept.last.flatten().nonzero().flatten().tolist() == [2, 4, 8]
    assert percept.elapsed is not None
    assert percept.elapsed.flatten().tolist() == [0, 1, 4, 0, 2, 0, 1, 1, 8]
    assert percept.mask is not None
    assert percept.mask.shape == (9, 1, 7)


@pytest.mark.parametrize("prioritised", [False, True])
@pytest.mark.parametrize("length", [1, 3, 20])
def test_every_action_is_drawn_and_no_other_row_whatever_the_length_of_windows(prioritised: bool, length: int) -> None:
    """Those of the last episode too, although the log ends before the window does."""
    replay = made(log(), RecordedConfig(prioritised=prioritised))
    window = replay.get_batch(1_200, length)
    counts = torch.bincount(window.action[0], minlength=7)
    assert counts[0] == 0
    assert (counts[1:] - 200).abs().max() < 70
    rewards = (window.same_episode * window.reward).sum(0)
    left = {1: [1, 2, 3, 4, 5, 6]}.get(length, [3, 2, 3, 15, 11, 6])  # up to the end of the episode
    assert torch.equal(rewards, torch.tensor([0.0, *left])[window.action[0]])


def test_weights_follow_priorities() -> None:
    replay = made(log(), RecordedConfig(prioritised=True, alpha=1.0, beta=1.0))
    for _ in range(30):
        window = replay.get_batch(64, 1)
        replay.reprioritise(torch.where(window.action[0] == 6, 10.0, 1.0))
    window = replay.get_batch(3_000, 1)
    often = (window.action[0] == 6).float().mean().item()
    assert often == pytest.approx(10 / 15, abs=0.05)
    assert sorted(set(window.weight.tolist())) == pytest.approx([0.1, 1.0])


def test_an_agent_that_gathers_experience_elsewhere_draws_by_the_same_settings() -> None:
    replay = made(log(), ReplayConfig(prioritised=True, alpha=0.3, batch=2, learn_every=4, beta_steps=100))
    assert replay.sampler.config == RecordedConfig(batch=2, prioritised=True, alpha=0.3, beta_steps=100)  # type: ignore


def test_a_log_without_actions_is_a_mistake_of_the_user() -> None:
    rows = log()
    alone = Rows(**{f.name: getattr(rows, f.name)[2:3] for f in dataclasses.fields(rows) if f.name != "propensity"})
    with pytest.raises(FeedError, match="no action"):
        made(alone)


@pytest.mark.parametrize("prioritised", [False, True])
def test_a_checkpoint_holds_sampler_and_generator_but_no_rows(prioritised: bool, tmp_path: Path) -> None:
    config = RecordedConfig(prioritised=prioritised)
    replay = made(log(), config)
    for _ in range(3):
        replay.get_batch(4, 1)
        replay.reprioritise(torch.rand(4, generator=torch.Generator().manual_seed(2)))
    run = RunFolder(tmp_path / "run")
    run.create({})
    run.save(3, {}, dict.fromkeys(META) | {"step": 3}, replay=replay)
    assert not list(run.replay.glob("*")), "rows stay in their feed"
    state, _, _ = run.load_last()
    assert "rows" not in state["replay"]
    other = made(log(), config, seed=5)
    other.load_state_dict(state["replay"])
    for _ in range(3):
        one, same = replay.get_batch(4, 2), other.get_batch(4, 2)
        assert_same(list(one.percept), list(same.percept))
        assert_same(one.weight, same.weight)
    assert_same(replay.state_dict(), other.state_dict())


def test_a_checkpoint_of_another_log_is_refused() -> None:
    state = made(log()).state_dict()
    shorter = rows_of([{"obs": [0, 1], "action": [1], "reward": [1], "ended": True}], actions=7)
    with pytest.raises(CheckpointError, match="the log has 2 rows, that of the checkpoint had 9"):
        made(shorter).load_state_dict(state)


def test_columns_that_may_not_be_written_and_short_integers_are_taken() -> None:
    rows = log()
    rows = dataclasses.replace(rows, action=rows.action.astype(np.int32))
    rows.observation.flags.writeable = False
    window = made(rows).newest(8)
    assert window.action.dtype == torch.int64
    assert window.percept.obs.flatten().tolist() == list(range(9))


def test_a_log_that_breaks_off_is_refused() -> None:
    rows = log()
    last = rows.last.copy()
    last[-1] = False
    with pytest.raises(ValueError, match="goes on"):
        made(dataclasses.replace(rows, last=last))


def test_many_rows_are_there_at_once() -> None:
    """By columns, not row by row."""
    number = 200_000
    episode = {"obs": np.zeros((number + 1, 2)), "action": np.zeros(number, np.int64), "reward": np.zeros(number)}
    replay = made(rows_of([episode | {"ended": True}]))
    assert replay.size == number + 1
