"""A model of patients, fitted to records of a world that is known."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from feeds.base import FeedSpec
from feeds.errors import FeedError
from metalearn.dynamics import extremes
from metalearn.patient_model import ModelState, PatientModel
from metalearn.settings import PatientModelConfig
from tests.contracts.feed_contract import FeedContract
from tests.metalearn.records import Recorded

SMALL = PatientModelConfig(members=3, hidden=(32, 32), updates=1_200, batch=128, learning_rate=4e-3)
FREE = SMALL.model_copy(update={"pessimism": 0.0})


@cache
def model(config: PatientModelConfig = SMALL) -> PatientModel:
    return PatientModel(Recorded(), config)


@cache
def sturdy() -> PatientModel:
    """Of patients whose level is so high that no episode ends before it is cut."""
    return PatientModel(Recorded(start=10.0), SMALL)


def states(level: float, streams: int = 400, raised: float = 1.0) -> ModelState:
    obs = np.tile(np.array([level, 0.5 * raised, raised, 0.0]), (streams, 1))
    return ModelState(np.arange(streams), np.zeros(streams, np.int64), obs, np.zeros((streams, 0)))


class TestPatientModel(FeedContract):
    @pytest.fixture
    def feed(self) -> PatientModel:
        return sturdy()


def test_it_moves_as_the_records_do() -> None:
    for action, expected in ((0, 0.9 * 1.5 - 0.3), (1, 0.9 * 1.5 + 0.7)):
        _, step = model(FREE).step(states(1.5), np.full(400, action))
        alive = ~step.terminated
        assert step.observation[alive, 0].mean() == pytest.approx(expected, abs=0.1)
        assert step.observation[alive, 0].std() == pytest.approx(0.3, abs=0.1)
        assert step.reward[alive].mean() == pytest.approx(expected, abs=0.2)
        assert (step.observation[:, 2] == action).mean() > 0.97


def test_low_levels_end_where_they_did() -> None:
    _, low = model(FREE).step(states(0.2, raised=0.0), np.zeros(400, np.int64))
    _, high = model(FREE).step(states(3.0), np.ones(400, np.int64))
    assert low.terminated.mean() == pytest.approx(0.66, abs=0.15)  # 0.18 - 0.3 lies 0.4 deviations below 0
    assert high.terminated.mean() < 0.02
    assert low.reward[low.terminated].mean() == pytest.approx(-1.0, abs=0.3)


def test_what_never_changes_stays_and_what_has_two_values_has_no_third() -> None:
    feed = model()
    state, step = feed.reset(np.arange(30), split="train")
    kind = step.observation[:, 3]
    for tick in range(5):
        state, step = feed.step(state, np.arange(30) % 2)
        np.testing.assert_array_equal(step.observation[:, 3], kind)
        assert set(step.observation[:, 2]) <= {0.0, 1.0}, tick


def test_actions_that_were_never_taken_are_forbidden() -> None:
    _, step = model().reset(np.arange(50), split="validation")
    np.testing.assert_array_equal(step.info["action_mask"], np.tile([True, True, False], (50, 1)))


def test_doubt_is_larger_far_from_the_records_and_lowers_the_reward() -> None:
    wary, free = model(), model(FREE)
    near = wary.step(states(1.5), np.ones(400, np.int64))[1]
    far = wary.step(states(60.0), np.ones(400, np.int64))[1]
    assert far.info["doubt"].mean() > 5 * near.info["doubt"].mean()
    np.testing.assert_allclose(
        near.reward, free.step(states(1.5), np.ones(400, np.int64))[1].reward - near.info["doubt"]
    )


def test_episodes_are_cut_where_the_longest_recorded_one_was() -> None:
    feed = model()
    state, _ = feed.reset(np.arange(20), split="train")
    for tick in range(1, 13):
        state, step = feed.step(state._replace(obs=states(5.0, 20).obs), np.ones(20, np.int64))
        assert step.truncated.any() == (tick == 12)


def test_the_same_records_and_seed_give_the_same_bits() -> None:
    again, other = PatientModel(Recorded(), SMALL), PatientModel(Recorded(), SMALL.model_copy(update={"seed": 1}))
    steps = [feed.step(states(1.0, 5), np.ones(5, np.int64))[1].observation for feed in (model(), again, other)]
    np.testing.assert_array_equal(steps[0], steps[1])
    assert (steps[0] != steps[2]).any()


def test_only_training_patients_are_learned_from() -> None:
    recorded: Any = Recorded()
    recorded.parts["validation"] = recorded.parts["test"] = Recorded(seed=5, noise=2.0).parts["test"]
    changed = PatientModel(recorded, SMALL)
    for ours, theirs in zip(model().dynamics.parameters(), changed.dynamics.parameters(), strict=True):
        assert ours.equal(theirs)


def test_it_runs_on_torch_alike() -> None:
    feed = model().to("torch")
    here, there = states(1.0, 6), ModelState(*(torch.as_tensor(array) for array in states(1.0, 6)))
    ours, theirs = model().step(here, np.ones(6, np.int64))[1], feed.step(there, torch.ones(6, dtype=torch.int64))[1]
    np.testing.assert_array_equal(ours.observation, theirs.observation.numpy())
    np.testing.assert_array_equal(ours.reward, theirs.reward.numpy())


def test_it_tells_how_far_the_fit_is() -> None:
    heard: list[int] = []
    small = SMALL.model_copy(update={"updates": 7})
    made = PatientModel(Recorded(20), small, tell=heard.append)
    assert heard == list(range(1, 15))
    assert made.dynamics.updates_in_all == 14


def test_time_passes_between_rows_and_not_before_the_first() -> None:
    feed = model()
    state, first = feed.reset(np.arange(3), split="train")
    _, later = feed.step(state, np.ones(3, np.int64))
    assert first.info["discount_time"].tolist() == [0.0] * 3
    assert later.info["discount_time"].tolist() == [1.0] * 3


def test_what_is_not_valid_is_never_allowed_and_something_always_is() -> None:
    obs = torch.from_numpy(states(1.5, 4).obs)
    own = model().dynamics.allowed(obs)
    assert own is not None
    assert own.tolist() == [[True, True, False]] * 4
    valid = torch.tensor([[True, True, True], [False, True, True], [True, False, True], [False, False, True]])
    both = model().dynamics.allowed(obs, valid)
    assert both is not None
    assert both.tolist() == [[True, True, False], [False, True, False], [True, False, False], [False, False, True]]


def test_actions_of_other_kinds_are_refused() -> None:
    recorded = Recorded()
    recorded.spec = FeedSpec("recorded", recorded.spec.observation_space, spaces.MultiDiscrete([2, 2]))
    with pytest.raises(FeedError, match="needs Discrete or Box"):
        PatientModel(recorded, SMALL)


def test_the_bounds_that_are_kept_are_nobodys_own_extremes() -> None:
    """Thirty patients of two rows; the eleventh from either end bounds each entry, and a flag that ten have is none."""
    entity = torch.arange(30).repeat_interleave(2)
    first = torch.arange(60.0).double()
    rare, common = (1.0 * (entity < number).double() for number in (10, 11))
    low, high = extremes(torch.stack([first, rare, common], 1), entity)
    assert low.tolist() == [20.0, 0.0, 0.0]  # the least rows of patients are 0, 2, 4, …
    assert high.tolist() == [39.0, 0.0, 1.0]
    few = extremes(torch.arange(3.0).double()[:, None], torch.arange(3))
    assert [bound.tolist() for bound in few] == [[1.0], [1.0]]
