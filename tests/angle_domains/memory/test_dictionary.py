import copy
from collections import OrderedDict
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from angle_domains.errors import CheckpointError
from angle_domains.memory import Dictionary, DictionaryConfig, Neighbours
from angle_domains.memory.kernel import kernel_mean, squared_distance
from tests.contracts.trees import assert_same

CPU = torch.device("cpu")


def made(width: int = 2, **changes: Any) -> Dictionary:
    return Dictionary(DictionaryConfig(**{"capacity": 8, "neighbours": 3, **changes}), width, CPU)


def keys(*numbers: float) -> torch.Tensor:
    return torch.tensor([[number, 0.0] for number in numbers])


def write(dictionary: Dictionary, key: torch.Tensor, value: torch.Tensor, serial: int = 0) -> None:
    """By decisions numbered from `serial`."""
    dictionary.write(key, value, serial + torch.arange(len(key)))


def read(dictionary: Dictionary, query: torch.Tensor) -> torch.Tensor:
    found = dictionary.find(query)
    square = squared_distance(query, dictionary.entries.key[found.row])
    return kernel_mean(square, dictionary.entries.value[found.row], found.counted, dictionary.config.delta)


def held(dictionary: Dictionary) -> dict[float, float]:
    """Values by the first number of their key."""
    entries = dictionary.entries
    return dict(zip(entries.key[: entries.size, 0].tolist(), entries.value[: entries.size].tolist(), strict=True))


def numbers(dictionary: Dictionary) -> dict[float, int]:
    """Of the decisions that last wrote each entry, by the first number of its key."""
    entries = dictionary.entries
    return dict(zip(entries.key[: entries.size, 0].tolist(), entries.serial[: entries.size].tolist(), strict=True))


def test_a_read_after_a_write_returns_the_value() -> None:
    dictionary = made(neighbours=1)
    write(dictionary, keys(1.0, 2.0, 3.0), torch.tensor([10.0, 20.0, 30.0]))
    assert read(dictionary, keys(2.0, 3.0, 1.0)).tolist() == [20.0, 30.0, 10.0]


def test_fewer_entries_than_neighbours_speak_alone() -> None:
    dictionary = made(delta=1.0)
    blank = dictionary.find(keys(0.0, 1.0))
    assert blank.row.shape == (2, 3)
    assert not blank.counted.any()
    write(dictionary, keys(1.0, -2.0), torch.tensor([6.0, 12.0]))
    found = dictionary.find(keys(0.0))
    assert found.counted.tolist() == [[True, True, False]]
    torch.testing.assert_close(read(dictionary, keys(0.0)), torch.tensor([(6 / 2 + 12 / 5) / (1 / 2 + 1 / 5)]))


def test_what_a_decision_wrote_can_be_left_out() -> None:
    dictionary = made(key_rate=0.1)
    write(dictionary, keys(1.0, 2.0), torch.tensor([10.0, 20.0]), serial=7)
    dictionary.move(torch.tensor([0]), torch.ones(1, 2), torch.ones(1))
    for serial, left in ((6, [0, 1]), (7, [1]), (8, [0])):
        found = dictionary.find(keys(1.0), skip=torch.tensor([serial]))
        assert sorted(found.row[found.counted].tolist()) == left


def test_an_entry_bears_the_number_of_the_last_decision_that_wrote_it() -> None:
    dictionary = made(capacity=3)
    write(dictionary, keys(2.0, 1.0, 2.0), torch.zeros(3), serial=10)
    assert numbers(dictionary) == {1.0: 11, 2.0: 12}
    write(dictionary, keys(1.0, 3.0, 1.0), torch.zeros(3), serial=20)
    assert numbers(dictionary) == {1.0: 22, 2.0: 12, 3.0: 21}
    write(dictionary, keys(4.0), torch.zeros(1), serial=30)
    assert numbers(dictionary) == {1.0: 22, 4.0: 30, 3.0: 21}


def test_a_key_met_again_moves_its_value_by_alpha() -> None:
    dictionary = made(alpha=0.1)
    write(dictionary, keys(1.0, 2.0), torch.tensor([10.0, 20.0]))
    write(dictionary, keys(2.0), torch.tensor([30.0]))
    assert len(dictionary) == 2
    assert held(dictionary) == pytest.approx({1.0: 10.0, 2.0: 20.0 + 0.1 * (30.0 - 20.0)})


def test_a_key_that_comes_several_times_at_once_is_written_in_turn() -> None:
    at_once, in_turn = made(alpha=0.25), made(alpha=0.25)
    write(at_once, keys(5.0), torch.tensor([8.0]))
    write(in_turn, keys(5.0), torch.tensor([8.0]))
    key, value = keys(7.0, 5.0, 7.0, 5.0, 7.0), torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    write(at_once, key, value)
    for place in range(5):
        write(in_turn, key[place : place + 1], value[place : place + 1])
    assert held(at_once) == pytest.approx(held(in_turn))
    assert held(at_once)[7.0] == pytest.approx(0.75 * (0.75 * 1.0 + 0.25 * 3.0) + 0.25 * 5.0)
    at_once.check_valid()


def test_zero_and_minus_zero_are_one_key() -> None:
    dictionary = made()
    write(dictionary, keys(0.0), torch.tensor([1.0]))
    write(dictionary, keys(-0.0), torch.tensor([2.0]))
    assert len(dictionary) == 1


def test_what_was_used_longest_ago_makes_room() -> None:
    dictionary = made(capacity=3, neighbours=1)
    for number in (1.0, 2.0, 3.0):
        write(dictionary, keys(number), torch.tensor([number]))
    dictionary.refresh(dictionary.find(keys(1.1)))  # 2 is now the oldest
    write(dictionary, keys(4.0), torch.tensor([4.0]))
    assert held(dictionary) == {1.0: 1.0, 4.0: 4.0, 3.0: 3.0}
    write(dictionary, keys(3.0), torch.tensor([3.0]))  # so is a key that is met again
    write(dictionary, keys(5.0), torch.tensor([5.0]))
    assert held(dictionary) == pytest.approx({5.0: 5.0, 4.0: 4.0, 3.0: 3.0})


def test_of_what_is_written_at_once_the_first_makes_room_first() -> None:
    dictionary = made(capacity=4, neighbours=1)
    write(dictionary, keys(3.0, 2.0, 4.0, 3.0, 1.0), torch.zeros(5))
    for number, left in ((5.0, {3.0, 4.0, 1.0, 5.0}), (6.0, {3.0, 1.0, 5.0, 6.0}), (7.0, {1.0, 5.0, 6.0, 7.0})):
        write(dictionary, keys(number), torch.zeros(1))
        assert set(held(dictionary)) == left
    write(dictionary, keys(1.0, 8.0, 9.0, 8.0), torch.zeros(4))  # those met again are ordered among the new ones
    write(dictionary, keys(10.0, 11.0), torch.zeros(2))
    assert set(held(dictionary)) == {9.0, 8.0, 10.0, 11.0}
    dictionary.check_valid()


def test_of_more_than_there_is_room_for_the_last_stay() -> None:
    dictionary = made(capacity=3)
    write(dictionary, keys(*range(7)), torch.arange(7.0))
    assert 6.0 in held(dictionary)
    assert len(dictionary) == 3
    dictionary.check_valid()


def test_steps_by_hand() -> None:
    """Gradients of a row that comes twice are summed; the first is its own mean, so the step is the rate."""
    dictionary = made(key_rate=0.1, value_rate=0.5)
    write(dictionary, keys(1.0, 2.0), torch.tensor([10.0, 20.0]))
    gradient = torch.tensor([[1.0, 1.0], [2.0, 2.0]])
    dictionary.move(torch.tensor([1, 1]), gradient, torch.tensor([-3.0, -1.0]))
    torch.testing.assert_close(dictionary.entries.key[:2], torch.tensor([[1.0, 0.0], [1.9, -0.1]]))
    torch.testing.assert_close(dictionary.entries.value[:2], torch.tensor([10.0, 20.5]))
    dictionary.move(torch.tensor([1]), torch.zeros(1, 2), torch.tensor([-4.0]))
    torch.testing.assert_close(dictionary.entries.value[1], torch.tensor(21.0))
    torch.testing.assert_close(dictionary.entries.key_square[:2], torch.tensor([0.0, 0.99 * 9.0]))
    dictionary.check_valid()


def test_without_rates_nothing_moves() -> None:
    dictionary = made(key_rate=0.0, value_rate=0.0)
    write(dictionary, keys(1.0), torch.tensor([10.0]))
    before = copy.deepcopy(dictionary.state_dict())
    dictionary.move(torch.tensor([0]), torch.ones(1, 2), torch.ones(1))
    assert_same(before, dictionary.state_dict())


def test_a_state_of_another_width_or_of_too_many_is_refused() -> None:
    dictionary = made()
    write(dictionary, keys(1.0, 2.0), torch.ones(2))
    for other in (made(width=3), made(capacity=1)):
        with pytest.raises(CheckpointError, match="another network"):
            other.load_state_dict(dictionary.state_dict())


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 2**31))
def test_neighbours_are_those_of_brute_force(count: int, neighbours: int, seed: int) -> None:
    chance = torch.Generator().manual_seed(seed)
    dictionary = made(width=4, capacity=50, neighbours=neighbours)
    write(dictionary, torch.randn(count, 4, generator=chance), torch.randn(count, generator=chance))
    query = torch.randn(3, 4, generator=chance)
    found = dictionary.find(query)
    square = (query[:, None] - dictionary.entries.key[: len(dictionary)]).square().sum(-1)
    for each in range(3):
        got = square[each][found.row[each][found.counted[each]]]
        assert torch.equal(got.sort().values, square[each].sort().values[: len(got)])
        assert len(got) == min(neighbours, len(dictionary))


_NUMBERS = st.lists(st.integers(0, 9), min_size=1, max_size=12)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.lists(st.one_of(_NUMBERS, st.integers(0, 9)), max_size=20))
def test_a_plain_dict_holds_the_same(capacity: int, done: list[list[int] | int]) -> None:
    """Of writes, lists of numbers, and retrievals, of the one nearest to a number; it is in the order of use."""
    dictionary, plain = made(capacity=capacity, neighbours=1, alpha=0.5), OrderedDict[float, float]()
    for tick, each in enumerate(done):
        if isinstance(each, list):
            write(dictionary, keys(*each), tick + torch.arange(float(len(each))))
            for start in range(0, len(each), capacity):
                remember(plain, {tick + place: each[place] for place in range(len(each))[start:][:capacity]}, capacity)
        elif plain:
            dictionary.refresh(dictionary.find(keys(each + 0.25)))
            plain.move_to_end(min(plain, key=lambda number: abs(number - each - 0.25)))
        assert held(dictionary) == plain


def remember(plain: OrderedDict[float, float], written: dict[int, int], capacity: int) -> None:
    """Numbers by the value that came of them, in their order; those that are there already do not make room."""
    for number in written.values():
        if number in plain:
            plain.move_to_end(number)
    for value, number in written.items():
        if number not in plain and len(plain) == capacity:
            plain.popitem(last=False)
        plain[number] = plain[number] + 0.5 * (value - plain[number]) if number in plain else float(value)
        plain.move_to_end(number)


class AnyOrder(RuleBasedStateMachine):
    """Operations in any order keep a dictionary whole."""

    @initialize(capacity=st.integers(1, 6))
    def begin(self, capacity: int) -> None:
        self.dictionary = made(capacity=capacity, neighbours=2, alpha=0.5, key_rate=1e-3, value_rate=1e-3)

    @rule(numbers=st.lists(st.integers(0, 9), min_size=1, max_size=12), value=st.integers(-9, 9))
    def write(self, numbers: list[int], value: int) -> None:
        write(self.dictionary, keys(*numbers), torch.full((len(numbers),), float(value)))
        assert 0 < len(self.dictionary) <= self.dictionary.config.capacity

    @rule(number=st.integers(0, 9))
    def retrieve(self, number: int) -> None:
        found = self.dictionary.find(keys(number))
        assert int(found.counted.sum()) == min(2, len(self.dictionary))
        self.dictionary.refresh(found)

    @rule(number=st.integers(0, 9))
    def move(self, number: int) -> None:
        found: Neighbours = self.dictionary.find(keys(number))
        row = found.row[found.counted]
        self.dictionary.move(row, torch.ones(len(row), 2), torch.ones(len(row)))

    @rule()
    def reload(self) -> None:
        other = Dictionary(self.dictionary.config, 2, CPU)
        other.load_state_dict(copy.deepcopy(self.dictionary.state_dict()))
        assert_same(other.state_dict(), self.dictionary.state_dict())
        self.dictionary = other

    @invariant()
    def whole(self) -> None:
        if hasattr(self, "dictionary"):
            self.dictionary.check_valid()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
