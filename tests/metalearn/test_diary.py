"""What is held out of a diary stays held out, however often models learn from it."""

import pytest
import torch

from metalearn.diary import Diary
from metalearn.states import folds_of, parts_of

STREAMS = 4


def lived_through(diary: Diary, ticks: int, lengths: tuple[int, int], generator: torch.Generator) -> None:
    """Appends ticks of episodes of random lengths, each row with a number of its own as its observation."""
    for _ in range(ticks):
        number = diary.written * STREAMS + torch.arange(STREAMS)
        ends = torch.rand(STREAMS, generator=generator) < 1.0 / torch.randint(*lengths, (STREAMS,), generator=generator)
        first = ends | torch.tensor(diary.written == 0)
        diary.append(number[:, None].float(), torch.zeros(STREAMS), first, torch.zeros(STREAMS, dtype=torch.bool), None)


@pytest.mark.parametrize("lengths", [(10, 60), (3_000, 9_000)], ids=["short episodes", "long ones"])
def test_no_row_that_was_fitted_to_is_ever_judged_by(lengths: tuple[int, int]) -> None:
    generator, diary, reach = torch.Generator().manual_seed(0), Diary(8_000, STREAMS, 1), 5
    seen: dict[str, set[int]] = {"fit": set(), "calibrate": set(), "judge": set()}
    for _ in range(6):  # the ring turns twice
        lived_through(diary, 700, lengths, generator)
        states = diary.states()
        parts = parts_of(states, reach)
        number = states.observation[:, 0].long()
        for name, rows in zip(seen, parts, strict=True):
            assert rows.sum() > 100
            seen[name] |= set(number[rows].tolist())
        target = torch.arange(len(number) - reach)[parts.fit[:-reach]] + reach  # it is fitted to as well
        seen["fit"] |= set(number[target[states.entity[target] == states.entity[target - reach]]].tolist())
    assert not seen["fit"] & seen["judge"]
    assert not seen["fit"] & seen["calibrate"]
    assert not seen["calibrate"] & seen["judge"]


def test_targets_of_other_parts_are_left_out_where_a_unit_ends_within_an_episode() -> None:
    diary = Diary(4_800, STREAMS, 1)
    generator = torch.Generator().manual_seed(1)
    lived_through(diary, 1_200, (10**6, 10**6 + 1), generator)  # one episode a stream, twelve units each
    states, reach = diary.states(), 7
    assert states.unit is not None
    parts = parts_of(states, reach)
    unit = states.unit.view(STREAMS, -1)
    crosses = torch.zeros_like(unit, dtype=torch.bool)
    crosses[:, :-reach] = unit[:, reach:] != unit[:, :-reach]
    borders = crosses.flatten() & (states.unit % 10 == 9)
    assert borders.sum() == reach * 4  # of units 9, 19, 29 and 39; none of them is its stream's last
    assert not (parts.judge & borders).any()
    for fitted, held in folds_of(states, parts, reach):
        told = states.observation[fitted, 0].long()
        near = set(told.tolist()) | set((told + STREAMS * reach).tolist())
        assert not near & set(states.observation[held, 0].long().tolist())


def test_a_diary_too_short_for_ten_units_is_parted_by_time() -> None:
    diary = Diary(800, STREAMS, 1)
    lived_through(diary, 50, (10**6, 10**6 + 1), torch.Generator().manual_seed(2))
    parts = parts_of(diary.states(), 2)
    assert parts.fit.sum() == STREAMS * 38
    assert parts.judge.sum() == STREAMS * 5
