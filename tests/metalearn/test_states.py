"""Rows by hand: returns, and which rows are held out."""

import pytest
import torch

from metalearn.states import Scaler, States, held_out


def flags(*rows: int, of: int) -> torch.Tensor:
    made = torch.zeros(of, dtype=torch.bool)
    made[list(rows)] = True
    return made


def test_returns_sum_what_comes_after_a_row_and_know_where_they_were_cut() -> None:
    # an episode of 4 rows that ended, one of 3 that was cut
    reward = torch.tensor([0.0, 1.0, 2.0, 4.0, 0.0, 1.0, 1.0])
    states = States.whole(torch.zeros(7, 1), flags(0, 4, of=7), terminated=flags(3, of=7), reward=reward)
    total, whole = states.returns(0.5, steps=2)
    assert total.tolist() == [2.0, 4.0, 4.0, 0.0, 1.5, 1.0, 0.0]
    assert whole.tolist() == [True, True, True, False, True, False, False]
    assert states.returns(1.0, steps=9)[0].tolist() == [7.0, 6.0, 4.0, 0.0, 2.0, 1.0, 0.0]


def test_returns_are_discounted_by_the_time_that_passed() -> None:
    states = States.whole(torch.zeros(3, 1), flags(0, of=3), reward=torch.tensor([0.0, 1.0, 1.0]))
    slow = states._replace(elapsed=torch.tensor([0.0, 2.0, 1.0]))
    assert slow.returns(0.5, steps=2)[0].tolist() == [1.25, 1.0, 0.0]


def test_every_fifth_entity_is_held_out_or_the_last_fifth_of_the_rows() -> None:
    entity = torch.arange(7).repeat_interleave(2)
    states = States.whole(torch.zeros(14, 1), flags(*range(0, 14, 2), of=14), entity=entity)
    assert states.entity[held_out(states)].tolist() == [4, 4]
    few = states._replace(entity=torch.zeros(14, dtype=torch.int64))
    assert held_out(few).nonzero().squeeze(-1).tolist() == [12, 13]


def test_scales_are_those_of_what_was_measured() -> None:
    states = States.whole(torch.tensor([[1.0, 7.0], [3.0, 7.0], [99.0, 7.0], [500.0, 0.0]]), flags(0, of=4))
    states = states._replace(seen=torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0], [1.0, 1.0]]))
    scaler = Scaler.fitted(states, flags(0, 1, 2, of=4))
    assert (scaler.mean.tolist(), scaler.std.tolist()) == ([2.0, 7.0], [1.0, 1.0])
    assert scaler.apply(states.observation)[0].tolist() == [-1.0, 0.0]
    assert scaler.undo(scaler.apply(states.observation))[1].tolist() == pytest.approx([3.0, 7.0])
