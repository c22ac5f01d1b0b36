import numpy as np
import pytest
import torch

from feeds.backend import backend, to_numpy
from feeds.errors import FeedError


def test_numpy_and_torch_do_the_same() -> None:
    table, index = np.random.default_rng(0).normal(size=(9, 4)), np.array([3, 0, 8])
    cpu, other = backend("cpu"), backend("torch")
    rows = other.rows(other.put(table), other.put(index))
    assert isinstance(rows, torch.Tensor)
    np.testing.assert_array_equal(cpu.rows(table, index), to_numpy(rows))
    np.testing.assert_allclose(cpu.row_sum(table), to_numpy(other.row_sum(other.put(table))), rtol=1e-15)


def test_a_row_sums_to_the_same_bits_whatever_stands_beside_it() -> None:
    values = np.random.default_rng(1).normal(size=(257, 23))
    row_sum = backend("cpu").row_sum
    assert row_sum(values).tolist() == [row_sum(row[None])[0] for row in values]


def test_an_unknown_device_names_the_nearest() -> None:
    with pytest.raises(FeedError, match="did you mean 'cuda'"):
        backend("cuda0")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said() -> None:
    with pytest.raises(FeedError, match="sees no GPU"):
        backend("cuda")
