import os
from pathlib import Path
from typing import Any

import pytest
import torch

from angle_domains.errors import ConfigError
from angle_domains.replay.storage import allocate


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.float32, torch.int64])
def test_a_file_holds_what_memory_holds_and_has_no_name(tmp_path: Path, dtype: torch.dtype) -> None:
    mapped = allocate((5, 2, 3), dtype, device="cpu", folder=tmp_path / "new")
    plain = allocate((5, 2, 3), dtype, device="cpu", folder=None)
    assert torch.equal(mapped, plain)
    mapped[3], plain[3] = 1, 1
    assert torch.equal(mapped, plain)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ConfigError, match="found no 7.1 GB on the disk .* No space left"):
        allocate((1_000_001, 1, 84, 84), torch.uint8, device="cpu", folder=tmp_path)
