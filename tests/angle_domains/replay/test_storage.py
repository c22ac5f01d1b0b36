import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from angle_domains.errors import ConfigError
from angle_domains.replay import ReplayBuffer, buffer, storage
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


def test_where_memory_is_short_rows_lie_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    meminfo, limit = tmp_path / "meminfo", tmp_path / "memory.max"
    monkeypatch.setattr(storage, "_MEMINFO", meminfo)
    monkeypatch.setattr(storage, "_CGROUP", tmp_path)
    assert storage.free_memory() == math.inf
    meminfo.write_text("MemTotal:       9000 kB\nMemAvailable:   8000 kB\n")
    assert storage.free_memory() == 8000 * 1024
    limit.write_text("max\n")
    assert storage.fits((6000, 1024), torch.uint8)
    limit.write_text("5000000\n")  # of a container
    (tmp_path / "memory.current").write_text("1500000\n")
    (tmp_path / "memory.stat").write_text("anon 900000\ninactive_file 500000\n")  # a cache, given back when asked
    assert storage.free_memory() == 4_000_000
    assert not storage.fits((6000, 1024), torch.uint8)
    assert "of memory 0.0 GB are free: it is kept in a file" in caplog.text

    def made(kind: storage.Storage) -> list[Path | None]:
        given: list[Path | None] = []

        def spied(*rest: Any, folder: Path | None, **named: Any) -> torch.Tensor:
            given.append(folder)
            return allocate(*rest, folder=folder, **named)

        monkeypatch.setattr(buffer, "allocate", spied)
        replay = ReplayBuffer(8, 1, torch.Generator(), storage=kind)
        replay.folder = tmp_path
        replay._allocate("percept/obs", (1, 1 << 20), torch.uint8)
        return given

    assert made("auto") == [tmp_path]
    assert made("memory") == [None]
    limit.write_text("max\n")
    meminfo.write_text("MemAvailable:   80000 kB\n")
    assert made("auto") == [None]
