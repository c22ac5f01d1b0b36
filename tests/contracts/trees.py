"""Equality to the bit of nested states."""

from typing import Any

import numpy as np
import torch


def assert_same(left: Any, right: Any, path: str = "state") -> None:
    """Raises AssertionError that names the first place where two nested states differ."""
    if isinstance(left, torch.Tensor | np.ndarray):
        left, right = torch.as_tensor(left), torch.as_tensor(right)
        assert left.dtype == right.dtype, f"{path}: {left.dtype} against {right.dtype}"
        assert torch.equal(left, right), f"{path} differs"
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), f"{path}: {left.keys()} against {right.keys()}"
        for key, value in left.items():
            assert_same(value, right[key], f"{path}/{key}")
    elif isinstance(left, list | tuple):
        assert len(left) == len(right), f"{path}: {len(left)} against {len(right)} entries"
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            assert_same(one, other, f"{path}/{index}")
    else:
        assert left == right, f"{path}: {left!r} against {right!r}"
