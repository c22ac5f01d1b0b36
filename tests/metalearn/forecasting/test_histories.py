"""Histories with gaps, by hand, and that they know nothing of what comes later."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metalearn.forecasting.histories import History, cut, typical_change

GAPS = History(
    value=torch.tensor([[1.0, 0.0], [0.0, 5.0], [4.0, 0.0], [0.0, 0.0]]),
    seen=torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]),
    elapsed=torch.tensor([0.0, 1.0, 2.0, 0.5]),
)
NEVER = History(torch.zeros(3, 1), torch.zeros(3, 1), torch.ones(3))


def test_the_last_value_is_the_newest_that_was_seen() -> None:
    assert GAPS.last().tolist() == [4.0, 5.0]
    assert GAPS.newest().tolist() == [2, 1]
    assert (NEVER.last().tolist(), NEVER.newest().tolist()) == ([0.0], [-1])


def test_what_was_known_before_a_history_stands_in_where_nothing_was_seen() -> None:
    carried = NEVER._replace(value=torch.full((3, 1), 7.0))
    assert (carried.last().tolist(), carried.newest().tolist()) == ([7.0], [-1])
    assert carried.relative(torch.ones(1)).tolist() == [[0.0], [0.0], [0.0]]


def test_time_since_a_measurement_counts_from_the_one_before() -> None:
    assert GAPS.since().T.tolist() == [[0.0, 1.0, 3.0, 0.5], [0.0, 1.0, 2.0, 2.5]]


def test_the_scale_is_that_of_changes_between_neighbours_joined_by_typical_ones() -> None:
    walk = History.whole(torch.tensor([[0.0], [3.0], [-1.0]]))
    assert walk.scale(torch.full((1,), 2.0)).item() == pytest.approx(((9.0 + 16.0 + 5.0 * 4.0) / 7.0) ** 0.5)
    assert GAPS.scale(torch.tensor([0.5, 2.0])).tolist() == [0.5, 2.0]  # no neighbours that were both seen
    both = History(*(torch.stack([each, each]) for each in walk))
    assert typical_change(both).item() == pytest.approx(12.5**0.5)
    assert typical_change(History(*(each.unsqueeze(0) for each in GAPS))).tolist() == [1.0, 1.0]


def test_relative_values_are_those_from_the_last() -> None:
    assert GAPS.relative(torch.tensor([2.0, 1.0])).T.tolist() == [[-1.5, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]


def rows(count: int = 7) -> dict[str, torch.Tensor]:
    first = torch.zeros(count, dtype=torch.bool)
    first[[0, 4]] = True  # episodes of four and three rows
    value = torch.arange(float(count)).unsqueeze(1) + 1.0
    return {"value": value, "seen": torch.ones_like(value), "elapsed": torch.full((count,), 2.0), "first": first}


def test_histories_and_futures_stay_within_their_episode() -> None:
    history, future, ends = cut(**rows(), length=3, horizons=(1, 3))
    assert ends.tolist() == [0, 1, 2, 4, 5]  # rows 3 and 6 end their episodes
    assert history.value.squeeze(-1).tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [0, 0, 5], [0, 5, 6]]
    assert history.seen.squeeze(-1).tolist() == [[0, 0, 1], [0, 1, 1], [1, 1, 1], [0, 0, 1], [0, 1, 1]]
    assert history.elapsed.tolist() == [[0, 0, 0], [0, 0, 2], [0, 2, 2], [0, 0, 0], [0, 0, 2]]
    assert future.value.squeeze(-1).tolist() == [[2, 4], [3, 0], [4, 0], [6, 0], [7, 0]]
    assert future.seen.squeeze(-1).tolist() == [[1, 1], [1, 0], [1, 0], [1, 0], [1, 0]]


def test_what_is_carried_forward_is_kept_and_counts_as_unseen() -> None:
    given = rows()
    given["seen"][1:3] = 0.0
    history, future, _ = cut(**given, length=2, horizons=(1,))
    assert history.value.squeeze(-1).tolist()[:3] == [[0, 1], [1, 2], [2, 3]]
    assert history.seen.squeeze(-1).tolist()[:3] == [[0, 1], [1, 0], [0, 0]]
    assert future.seen.squeeze(-1).tolist()[:3] == [[0], [0], [1]]
    assert future.value.squeeze(-1).tolist()[:3] == [[0], [0], [4]]


@given(st.integers(0, 6))
def test_what_comes_later_changes_no_history(row: int) -> None:
    before, _, ends = cut(**rows(), length=3, horizons=(1,))
    other = rows()
    other["value"][row + 1 :] += 100.0
    other["seen"][row + 1 :] = 0.0
    after, _, _ = cut(**other, length=3, horizons=(1,))
    known = ends <= row
    for one, two in zip(before, after, strict=True):
        assert torch.equal(one[known], two[known])
