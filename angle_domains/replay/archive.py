"""Rows of a replay on the disk, written once each.

A folder holds segments: files of consecutive rows that never change. A checkpoint names the segments it needs and
holds the newest row itself (it may still be cut); so a save takes as long as the rows that are new, whatever the
size of the replay. A segment is written beside its place, flushed and renamed before a checkpoint names it: a crash
at any moment leaves files that nothing names, which the next save removes.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from angle_domains.errors import CheckpointError
from angle_domains.replay.buffer import ReplayBuffer

Segment = dict[str, Any]  # file, sha256, bytes, and its ticks: from start up to, not including, stop

_SMALL, _LARGE = 8 << 20, 64 << 20  # bytes: a smaller last segment is written again, joined with what is new


def store(folder: Path, replay: ReplayBuffer) -> list[Segment]:
    """Writes the rows that no segment holds, the newest left out; gives all segments that the replay needs.

    Rows that a feed gave are left there. CheckpointError where the disk refuses.
    """
    if replay.given:
        return []
    oldest, newest = replay.added - replay.size, replay.added - 1
    segments = [segment for segment in replay.stored if segment["stop"] > oldest]
    if not all((folder / segment["file"]).is_file() for segment in segments):
        segments = []  # another folder than the one they were written to
    start = segments[-1]["stop"] if segments else oldest
    if start < newest and segments and segments[-1]["bytes"] < _SMALL:
        start = max(oldest, segments.pop()["start"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while start < newest:
            stop = min(newest, start + _ticks_of_a_segment(replay))
            segments.append(_write(folder, replay, start, stop))
            start = stop
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"the replay could not be written to {folder}: {error}") from error
    replay.stored = segments
    return segments


def newest_row(replay: ReplayBuffer) -> dict[str, Any]:
    """The state of a replay without the rows that `store` writes."""
    if replay.given:
        return replay.state_without_rows()
    return replay.state_without_rows() | {"rows": [replay.read_rows(replay.added - min(1, replay.size), replay.added)]}


def load(folder: Path, segments: list[Segment], state: dict[str, Any]) -> dict[str, Any]:
    """The state with all rows, mapped from the files; CheckpointError where one is missing or damaged."""
    if "rows" not in state:
        return state
    oldest = state["added"] - state["size"]
    pieces = []
    for segment in segments:
        columns = _read(folder / segment["file"], segment["sha256"])
        fallen = max(0, oldest - segment["start"])  # out of the ring, when the checkpoint was written
        pieces.append({name: column[fallen:] for name, column in columns.items()})
    return state | {"rows": [*pieces, *state["rows"]], "stored": segments}


def keep(folder: Path, files: set[str]) -> None:
    """Removes all other files."""
    for path in folder.glob("*"):
        if path.name not in files:
            path.unlink(missing_ok=True)


def _ticks_of_a_segment(replay: ReplayBuffer) -> int:
    tick = sum(column.nbytes for column in replay.read_rows(replay.added - 1, replay.added).values())
    return max(1, _LARGE // tick)


def _write(folder: Path, replay: ReplayBuffer, start: int, stop: int) -> Segment:
    draft = folder / f".writing-{os.getpid()}"
    try:
        save_file({name: column.cpu() for name, column in replay.read_rows(start, stop).items()}, draft)
        with draft.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        path = folder / f"rows-{start:012d}-{stop:012d}-{digest[:12]}.safetensors"
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)  # a full disk has no room for half a file
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return {"file": path.name, "sha256": digest, "bytes": path.stat().st_size, "start": start, "stop": stop}


def _read(path: Path, sha256: str) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != sha256:
            raise CheckpointError(f"{path} is damaged: its SHA-256 is not the one in the checkpoint")
        return load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: the checkpoint needs its rows of the replay") from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
