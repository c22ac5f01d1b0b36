from collections.abc import Iterator

import pytest
import torch

from angle_domains.networks import precision

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    precision.has_bfloat16.cache_clear()
    yield
    precision.has_bfloat16.cache_clear()


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        ({"avx512f", "avx512_bf16"}, torch.bfloat16),
        ({"amx_bf16"}, torch.bfloat16),
        ({"avx512f", "avx512_vnni"}, torch.float32),
        (set(), torch.float32),
    ],
)
def test_the_processor_decides_where_nobody_else_does(
    flags: set[str], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_processor", lambda: flags)
    assert precision.compute_dtype("auto", CPU) == dtype
    assert precision.compute_dtype("float32", CPU) == torch.float32
    assert precision.compute_dtype("bfloat16", CPU) == torch.bfloat16


def test_products_are_computed_in_the_type_that_is_asked_for() -> None:
    x = torch.ones(2, 2)
    for dtype in (torch.float32, torch.bfloat16):
        with precision.computing_in(dtype, CPU):
            assert (x @ x).dtype == dtype
