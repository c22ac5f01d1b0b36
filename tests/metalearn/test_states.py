"""Rows by hand: returns, and which rows are for what."""

import pytest
import torch

from metalearn.states import Scaler, States, folds_of, parts_of


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
    assert slow.returns(0.5, steps=2)[0].tolist() == [0.75, 1.0, 0.0]


def test_of_ten_entities_one_calibrates_and_one_judges() -> None:
    entity = torch.tensor([7, 3]).repeat(10)[:20] + 10 * torch.arange(10).repeat_interleave(2)  # rows of many, mixed
    states = States.whole(torch.zeros(20, 1), torch.ones(20, dtype=torch.bool), entity=entity)
    parts = parts_of(states, reach=99)
    assert (torch.stack(parts).sum(0) == 1).all()
    owners = [set(entity[part].tolist()) for part in parts]
    assert [len(owner) for owner in owners] == [16, 2, 2]
    assert not owners[0] & owners[1] | owners[0] & owners[2] | owners[1] & owners[2]


def test_each_entity_that_is_not_to_judge_is_held_out_once() -> None:
    entity = torch.arange(40).repeat_interleave(2)
    states = States.whole(torch.zeros(80, 1), torch.ones(80, dtype=torch.bool), entity=entity)
    parts = parts_of(states, reach=99)
    folds = folds_of(states, parts, 2)
    assert torch.equal(torch.stack([held for _, held in folds]).sum(0), (~parts.judge).long())
    for fitted, held in folds:
        assert not set(entity[fitted].tolist()) & set(entity[held].tolist())
        assert torch.equal(fitted | held, ~parts.judge)


def test_of_few_entities_what_calibrates_is_held_out() -> None:
    states = States.whole(torch.zeros(60, 1), flags(0, of=60))
    parts = parts_of(states, reach=2)
    [(fitted, held)] = folds_of(states, parts, 2)
    assert torch.equal(fitted, parts.fit)
    assert torch.equal(held, parts.calibrate)


def test_of_few_entities_each_is_parted_in_time_with_an_embargo() -> None:
    states = States.whole(torch.zeros(40, 1), flags(0, 20, of=40))
    parts = parts_of(states, reach=3)
    for place in (0, 20):
        rows = [(part[place : place + 20].nonzero().squeeze(-1)).tolist() for part in parts]
        assert rows == [list(range(13)), [], [18, 19]]
    longer = parts_of(states, reach=1)
    assert [part[:20].nonzero().squeeze(-1).tolist() for part in longer] == [list(range(15)), [16], [18, 19]]


def on_days(starts: list[int], length: int) -> States:
    """Episodes of so many rows, a day apart, that begin on those days of one calendar."""
    first = torch.arange(len(starts) * length) % length == 0
    states = States.whole(torch.zeros(len(first), 1), first)
    return states._replace(moment=(torch.tensor(starts).unsqueeze(1) + torch.arange(length)).flatten())


def test_where_entities_share_a_calendar_no_day_of_one_part_is_of_another() -> None:
    states = on_days([*range(0, 90, 6)], length=10)  # fifteen overlap, two by two: parted by entity they share days
    parts = parts_of(states, reach=3)
    assert states.moment is not None
    days = [states.moment[part] for part in parts]
    assert all(len(part) for part in days)
    assert int(days[0].max()) < int(days[1].min())
    assert int(days[1].max()) < int(days[2].min())
    ahead = torch.minimum(states.moment + 3, states.moment[states.last].repeat_interleave(10))
    assert int(ahead[parts.fit].max()) < int(days[1].min())
    assert int(ahead[parts.calibrate].max()) < int(days[2].min())
    lost = ~torch.stack(parts).any(0)
    assert (ahead[lost] >= min(int(days[1].min()), int(days[2].min()))).all()  # none but those at the borders


def test_days_are_held_out_with_those_that_targets_reach() -> None:
    states = on_days([*range(0, 90, 6)], length=10)
    parts, reach = parts_of(states, reach=3), 3
    assert states.moment is not None
    ahead = torch.minimum(states.moment + reach, states.moment[states.last].repeat_interleave(10))
    folds = folds_of(states, parts, reach)
    assert torch.equal(torch.stack([held for _, held in folds]).sum(0), (parts.fit | parts.calibrate).long())
    for fitted, held in folds:
        assert not (fitted & parts.judge).any()
        lived = {day for a, b in zip(states.moment[held], ahead[held], strict=True) for day in range(a, b + 1)}
        read = {day for a, b in zip(states.moment[fitted], ahead[fitted], strict=True) for day in range(a, b + 1)}
        assert not lived & read
        assert int(fitted.sum()) > int(parts.fit.sum()) // 2


def test_scales_are_those_of_what_was_measured() -> None:
    states = States.whole(torch.tensor([[1.0, 7.0], [3.0, 7.0], [99.0, 7.0], [500.0, 0.0]]), flags(0, of=4))
    states = states._replace(seen=torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0], [1.0, 1.0]]))
    scaler = Scaler.fitted(states, flags(0, 1, 2, of=4))
    assert (scaler.mean.tolist(), scaler.std.tolist()) == ([2.0, 7.0], [1.0, 1.0])
    assert scaler.apply(states.observation)[0].tolist() == [-1.0, 0.0]
    assert scaler.undo(scaler.apply(states.observation))[1].tolist() == pytest.approx([3.0, 7.0])
