import copy
import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from angle_domains.errors import ConfigError
from angle_domains.memory import Dictionary, DictionaryConfig
from angle_domains.memory import index as module
from tests.contracts.trees import assert_same

CPU = torch.device("cpu")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index is built for a few keys already."""
    pytest.importorskip("faiss")
    monkeypatch.setattr(module, "_LEAST", 50)


def made(index: str = "faiss", **changes: Any) -> Dictionary:
    given = {"capacity": 2_000, "neighbours": 10, "index": index, "stale": 0.1, "probes": 12, "key_rate": 1e-2}
    return Dictionary(DictionaryConfig(**{**given, **changes}), 4, CPU)


def filled(dictionary: Dictionary, count: int, seed: int = 0) -> torch.Tensor:
    chance = torch.Generator().manual_seed(seed)
    key = torch.randn(count, 4, generator=chance)
    dictionary.write(key, torch.randn(count, generator=chance), torch.arange(count))
    return key


def test_a_missing_faiss_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as something is to be remembered, be it nothing yet."""
    monkeypatch.setitem(sys.modules, "faiss", None)
    dictionary = made()
    with pytest.raises(ConfigError, match=r"angle-domains\[index\]"):
        dictionary.refresh(dictionary.find(torch.zeros(1, 4)))


@pytest.mark.usefixtures("small")
def test_without_faiss_a_checkpoint_is_read_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    dictionary, exact, again = made(), made("exact"), made()
    for each in (dictionary, exact):
        filled(each, 1_000)
    assert dictionary.index.built is not None
    state = copy.deepcopy(dictionary.state_dict())
    monkeypatch.setitem(sys.modules, "faiss", None)
    again.load_state_dict(state)
    query = torch.randn(20, 4, generator=torch.Generator().manual_seed(3))
    assert torch.equal(again.find(query).row, exact.find(query).row)
    again.check_valid()


@pytest.mark.usefixtures("small")
def test_what_was_read_exactly_goes_on_with_an_index() -> None:
    exact, dictionary = made("exact"), made()
    key = filled(exact, 1_000)
    dictionary.load_state_dict(exact.state_dict())
    dictionary.check_valid()
    assert torch.equal(dictionary.find(key[:20]).row, exact.find(key[:20]).row)
    filled(dictionary, 1, seed=1)
    assert dictionary.index.built.ntotal == 1_001
    dictionary.check_valid()


@pytest.mark.usefixtures("small")
@settings(max_examples=20)
@given(st.integers(100, 2_000), st.integers(0, 2**31))
def test_nine_of_ten_neighbours_are_those_of_brute_force(count: int, seed: int) -> None:
    """Of standard normal keys in four dimensions, a cell for each root of their number, 12 cells searched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_LEAST", 50)
        ours, exact = made(), made("exact")
        for dictionary in (ours, exact):
            filled(dictionary, count, seed)
        query = torch.randn(20, 4, generator=torch.Generator().manual_seed(seed + 1))
        found, truth = ours.find(query), exact.find(query)
    assert ours.index.built is not None
    same = (found.row.unsqueeze(-1) == truth.row.unsqueeze(1)).any(-1).float().mean()
    assert same >= 0.9


@pytest.mark.usefixtures("small")
def test_what_was_written_is_found_before_the_index_is_built_anew() -> None:
    dictionary = made(neighbours=1)
    filled(dictionary, 1_000)
    built = dictionary.index.built
    assert built.ntotal == 1_000
    key = filled(dictionary, 40, seed=1)
    found = dictionary.find(key)
    assert dictionary.index.built is built
    assert torch.equal(dictionary.entries.key[found.row[:, 0]], key)
    dictionary.check_valid()


@pytest.mark.usefixtures("small")
def test_what_made_room_is_found_no_more() -> None:
    dictionary = made(capacity=1_000, neighbours=1)
    key = filled(dictionary, 1_000)
    filled(dictionary, 60, seed=1)
    gone = (dictionary.entries.match(key) < 0).nonzero().squeeze(-1)
    assert len(gone) == 60
    found = dictionary.find(key[gone])
    assert not (dictionary.entries.key[found.row[:, 0]] == key[gone]).all(-1).any()
    dictionary.check_valid()


@pytest.mark.usefixtures("small")
def test_what_made_room_takes_no_place_among_the_candidates() -> None:
    """A hundred keys near the query make room for a hundred far ones; a hundred at half a unit's distance are left."""
    dictionary = made(capacity=1_200, cells=1, stale=0.5, neighbours=50)
    chance = torch.Generator().manual_seed(0)
    around = torch.nn.functional.normalize(torch.randn(200, 4, generator=chance), dim=-1)
    near, valid = 0.01 * around[:100], 0.5 * around[100:]
    rest = 50.0 + torch.randn(1_000, 4, generator=chance)
    dictionary.write(
        torch.cat([near, valid, rest]), torch.cat([torch.full((100,), 100.0), torch.ones(1_100)]), torch.arange(1_200)
    )
    entries = dictionary.entries
    entries.used[: entries.size][entries.value[: entries.size] == 100.0] = 0  # the near ones are the next to go
    built = dictionary.index.built
    dictionary.write(rest[:100] + 100.0, torch.full((100,), 100.0), torch.arange(100))
    assert dictionary.index.built is built
    found = dictionary.find(torch.zeros(1, 4))
    assert found.counted.all()
    assert dictionary.entries.value[found.row].unique().tolist() == [1.0]
    dictionary.check_valid()


@pytest.mark.usefixtures("small")
def test_keys_that_moved_far_are_searched_beside_it_and_then_it_is_built_anew() -> None:
    dictionary = made(neighbours=1, key_rate=0.01)
    filled(dictionary, 1_000)
    built, row, key = dictionary.index.built, torch.arange(150), dictionary.entries.key[:150].clone()
    dictionary.move(row[:90], torch.ones(90, 4), torch.zeros(90))  # by 0.01 in each number, so by 0.02
    assert torch.equal(dictionary.index.fresh, row[:90])
    assert torch.equal(dictionary.find(key[:90] - 0.01).row[:, 0], row[:90])
    assert dictionary.index.built is built
    dictionary.move(row[90:], torch.ones(60, 4), torch.zeros(60))
    assert dictionary.index.built is not built
    assert len(dictionary.index.fresh) == 0
    assert torch.equal(dictionary.find(key - 0.01).row[:, 0], row)
    dictionary.check_valid()


@pytest.mark.usefixtures("small")
def test_reading_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where more is unknown than may be."""
    dictionary = made()
    filled(dictionary, 1_000)
    filled(dictionary, 90, seed=1)
    monkeypatch.setattr(module, "_LEAST", 0)
    dictionary.index.config = dictionary.config.model_copy(update={"stale": 0.0})
    before = copy.deepcopy(dictionary.state_dict())
    dictionary.find(torch.zeros(3, 4))
    assert_same(before, dictionary.state_dict())


@pytest.mark.usefixtures("small")
def test_small_moves_add_up() -> None:
    dictionary = made(key_rate=5e-3)
    filled(dictionary, 1_000)
    for moves in (1, 2):
        dictionary.move(
            torch.tensor([7]), torch.ones(1, 4), torch.zeros(1)
        )  # by 0.01; half the root of delta is 0.0158
        assert len(dictionary.index.fresh) == moves - 1


@pytest.mark.usefixtures("small")
def test_a_dictionary_goes_on_to_the_bit() -> None:
    dictionary = made(capacity=10_000)  # whose tensors grow on, after the load
    filled(dictionary, 1_000)
    filled(dictionary, 50, seed=1)
    dictionary.move(torch.arange(20), torch.ones(20, 4), torch.ones(20))
    other = made(capacity=10_000)
    other.load_state_dict(copy.deepcopy(dictionary.state_dict()))
    for each in (dictionary, other):
        filled(each, 80, seed=2)
        assert each.index.built.ntotal == 1_130
        filled(each, 1_000, seed=4)
        filled(each, 70, seed=5)
        found = each.find(torch.randn(50, 4, generator=torch.Generator().manual_seed(3)))
        each.refresh(found)
        each.check_valid()
    assert_same(dictionary.state_dict(), other.state_dict())
