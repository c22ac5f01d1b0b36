"""Values by counting, by hand: ends, cuts, hours, actions never taken, loops that nobody leaves."""

import numpy as np
import pytest

from angle_domains.errors import FeedError
from angle_domains.ope import tabular
from feeds.base import Rows


def stays(*paths: tuple[list[int], list[int], list[float], bool], hours: float = 1.0) -> Rows:
    """Each path: states, one more than there are actions; actions; rewards; whether the task ended."""
    observation, action, reward, ended, first, last, entity = [], [], [], [], [], [], []
    for number, (states, actions, rewards, over) in enumerate(paths):
        count = len(states)
        observation += states
        action += [*actions, 0]
        reward += [0.0, *rewards]
        ended += [False] * (count - 1) + [over]
        first += [True] + [False] * (count - 1)
        last += [False] * (count - 1) + [True]
        entity += [number] * count
    begun = np.array(first)
    return Rows(
        np.array(observation)[:, None], np.array(action), np.array(reward, float), np.array(ended), begun,
        np.array(last), np.where(begun, 0.0, hours), np.array(entity),
    )  # fmt: skip


def policy(rows: Rows, *by_state: tuple[float, float]) -> np.ndarray:
    return np.array(by_state)[rows.observation[:, 0]]


CHAIN = [
    ([0, 1, 2], [0, 0], [1.0, 2.0], True),
    ([0, 1, 2], [0, 1], [1.0, 4.0], True),
    ([0, 2], [1], [0.0], True),
]
SLOW = [(states, actions, [2.0 * reward for reward in rewards], ended) for states, actions, rewards, ended in CHAIN]


def test_values_by_hand() -> None:
    """The chain of `chains`: an hour at gamma .25 is two at .5, when what is paid after both counts half."""
    rows = stays(*CHAIN)
    found = tabular.fit(rows, policy(rows, (0.8, 0.2), (0.5, 0.5), (1.0, 0.0)), 0.25, 3)
    assert found is not None
    assert found.value == pytest.approx(1.4)
    np.testing.assert_allclose(found.q[:2], [[1.75, 0.0], [2.0, 4.0]])
    np.testing.assert_allclose(found.v[:2], [1.4, 3.0])
    assert found.unseen == 0.0
    slow = tabular.fit(stays(*SLOW, hours=2.0), policy(rows, (0.8, 0.2), (0.5, 0.5), (1.0, 0.0)), 0.5, 3)
    assert slow is not None
    assert slow.value == pytest.approx(1.4)


def test_a_cut_record_goes_on_and_an_end_does_not() -> None:
    """State 0 earns 1 and returns to itself: cut after one step, that is worth 1 / (1 - gamma); ended, 1."""
    always = (1.0, 0.0)
    cut, ended = stays(([0, 0], [0], [1.0], False)), stays(([0, 0], [0], [1.0], True))
    found, other = (tabular.fit(rows, policy(rows, always), 0.9, 1) for rows in (cut, ended))
    assert found is not None
    assert other is not None
    assert found.value == pytest.approx(10.0)
    assert other.value == pytest.approx(1.0)


def test_a_loop_that_nobody_leaves_has_no_undiscounted_value() -> None:
    rows = stays(([0, 0], [0], [1.0], False))
    assert tabular.fit(rows, policy(rows, (1.0, 0.0)), 1.0, 1) is None
    pair = stays(([0, 1, 0], [0, 0], [1.0, 0.0], False))
    assert tabular.fit(pair, policy(pair, (1.0, 0.0), (1.0, 0.0)), 1.0, 2) is None
    cut = stays(([0, 0, 1], [0, 0], [1.0, 0.0], False))  # circles by way of a state that counts as the average
    assert tabular.fit(cut, policy(cut, (1.0, 0.0), (1.0, 0.0)), 1.0, 2) is None
    assert tabular.cross_fit(stays(*[([0, 0], [0], [1.0], False)] * 8), np.full((16, 2), 0.5), 1.0, 1, count=2) is None


def test_a_loop_that_the_target_never_enters_does_not_matter() -> None:
    """In state 1 it would go in circles, but it never goes to state 1: there the average of the others stands."""
    rows = stays(([0, 2], [0], [3.0], True), ([0, 1, 1, 2], [1, 0, 1], [0.0, 0.0, 9.0], True))
    found = tabular.fit(rows, policy(rows, (1.0, 0.0), (1.0, 0.0), (1.0, 0.0)), 1.0, 3)
    assert found is not None
    assert found.value == pytest.approx(3.0)
    assert found.v[1] == pytest.approx(3.0)
    back = tabular.fit(rows, policy(rows, (0.5, 0.5), (1.0, 0.0), (1.0, 0.0)), 1.0, 3)
    assert back is None


def test_actions_never_taken_are_left_out_and_told() -> None:
    rows = stays(([0, 1], [0], [3.0], True), ([0, 1], [0], [5.0], True))
    found = tabular.fit(rows, policy(rows, (0.25, 0.75), (1.0, 0.0)), 0.9, 2)
    assert found is not None
    assert found.value == pytest.approx(4.0)
    assert found.unseen == pytest.approx(0.75)
    np.testing.assert_allclose(found.q[0], [4.0, 4.0])
    nothing = tabular.fit(rows, policy(rows, (0.0, 1.0), (1.0, 0.0)), 0.9, 2)
    assert nothing is not None
    assert nothing.unseen == pytest.approx(1.0)  # the recorded decisions stand in
    assert nothing.value == pytest.approx(4.0)


def test_a_state_that_nobody_decided_in_counts_as_the_average() -> None:
    rows = stays(([0, 1], [0], [2.0], True), ([0, 2], [0], [2.0], False))
    found = tabular.fit(rows, policy(rows, (1.0, 0.0), (1.0, 0.0), (1.0, 0.0)), 0.5, 4)
    assert found is not None
    # v0 = 2 + .5 · half of the time · v2, and v2 = v0
    assert found.value == pytest.approx(2.0 / 0.75)
    np.testing.assert_allclose(found.v, [2.0 / 0.75] * 4)


def test_the_direct_estimate_by_episode_averages_to_the_value() -> None:
    rng = np.random.default_rng(0)
    rows = stays(*[([0, 1, 0, 2], list(rng.integers(2, size=3)), list(rng.normal(size=3)), True) for _ in range(30)])
    found = tabular.fit(rows, policy(rows, (0.3, 0.7), (0.6, 0.4), (1.0, 0.0)), 0.9, 3)
    assert found is not None
    assert found.direct.mean() == pytest.approx(found.value, abs=1e-12)
    assert found.direct.std() > 0.0


def test_the_spread_of_few_records_is_not_taken_for_less_than_it_is() -> None:
    """One state, one action, rewards 1 and 3: their mean errs by the sample deviation, not by that about itself."""
    rows = stays(([0, 1], [0], [1.0], True), ([0, 1], [0], [3.0], True))
    found = tabular.fit(rows, policy(rows, (1.0, 0.0), (1.0, 0.0)), 1.0, 2)
    assert found is not None
    np.testing.assert_allclose(found.direct, [2.0 - np.sqrt(2.0), 2.0 + np.sqrt(2.0)])


def test_cross_fitted_values_know_nothing_of_their_own_patients() -> None:
    """Other rewards of the patients of one fold leave their own values as they are."""
    rng = np.random.default_rng(1)
    paths = [([0, 1, 2], list(rng.integers(2, size=2)), list(rng.normal(size=2)), True) for _ in range(12)]
    rows = stays(*paths)
    target = policy(rows, (0.5, 0.5), (0.5, 0.5), (1.0, 0.0))
    before = tabular.cross_fit(rows, target, 0.9, 3, count=2, seed=2)
    changed = [(s, a, [100.0, 100.0] if number == 0 else r, over) for number, (s, a, r, over) in enumerate(paths)]
    after = tabular.cross_fit(stays(*changed), target, 0.9, 3, count=2, seed=2)
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(before[rows.entity == 0], after[rows.entity == 0])
    assert (before != after).any()


def test_states_are_whole_numbers() -> None:
    rows = stays(*CHAIN)
    with pytest.raises(FeedError, match="whole number below 2"):
        tabular.fit(rows, np.full((len(rows), 2), 0.5), 0.9, 2)
