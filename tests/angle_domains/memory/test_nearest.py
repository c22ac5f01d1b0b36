import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from angle_domains.memory import nearest as module
from angle_domains.memory.nearest import lowest, nearest


@given(st.integers(1, 700), st.integers(1, 5), st.integers(1, 9), st.integers(0, 2**31))
def test_the_lowest_are_those_of_a_sort(columns: int, rows: int, count: int, seed: int) -> None:
    """With ties, for scores are few whole numbers."""
    score = torch.randint(9, (rows, columns), generator=torch.Generator().manual_seed(seed)).float()
    found = lowest(score, count)
    assert found.shape == (rows, min(count, columns))
    assert all(len(set(row)) == len(row) for row in found.tolist())
    assert torch.equal(score.gather(1, found).sort(1).values, score.sort(1).values[:, :count])


@given(st.integers(1, 400), st.integers(1, 9), st.integers(1, 6), st.integers(0, 2**31))
def test_the_nearest_are_those_of_brute_force(keys: int, queries: int, count: int, seed: int) -> None:
    """Keys are whole numbers, so that no distance is rounded."""
    chance = torch.Generator().manual_seed(seed)
    key = torch.randint(-8, 8, (keys, 3), generator=chance).float()
    query = torch.randint(-8, 8, (queries, 3), generator=chance).float()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ROWS", 100)
        patch.setattr(module, "_QUERIES", 4)
        found = nearest(key, key.square().sum(-1), query, count)
    square = (query[:, None] - key).square().sum(-1)
    assert torch.equal(square.gather(1, found).sort(1).values, square.sort(1).values[:, :count])


def test_without_a_query_there_are_no_rows() -> None:
    assert nearest(torch.zeros(7, 2), torch.zeros(7), torch.zeros(0, 2), 3).shape == (0, 3)
