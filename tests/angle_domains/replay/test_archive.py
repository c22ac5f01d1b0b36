"""Rows on the disk: written once, found damaged, gone when no checkpoint names them, whole after a kill."""

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from angle_domains import checkpoint
from angle_domains.errors import CheckpointError
from angle_domains.replay import Prioritised, ReplayBuffer, ReplayConfig, archive
from angle_domains.runs import META, RunFolder
from angle_domains.types import Decision, Percept
from tests.contracts.trees import assert_same

STREAMS, STACK = 2, 3


def replay_of(rows: int, seed: int = 0) -> ReplayBuffer:
    sampler = Prioritised(rows, STREAMS, ReplayConfig(prioritised=True, beta_steps=100))
    generator = torch.Generator().manual_seed(seed)
    return ReplayBuffer(rows * STREAMS, STREAMS, generator, sampler=sampler, stack=STACK)


def insert(replay: ReplayBuffer, ticks: int, width: int = 1) -> None:
    """One endless episode; every frame shows its tick."""
    for tick in range(replay.added, replay.added + ticks):
        frames = torch.arange(tick - STACK + 1, tick + 1).clamp(min=-1) + 1
        zero, no = torch.zeros(STREAMS), torch.zeros(STREAMS, dtype=torch.bool)
        obs = frames.repeat(STREAMS, 1).unsqueeze(-1).repeat(1, 1, width)
        percept = Percept(obs, zero, zero + tick, zero + 1, no | (tick == 0), no)
        replay.insert(percept, Decision(zero + tick))


def learn(replay: ReplayBuffer) -> torch.Tensor:
    window = replay.get_batch(4, 2)
    replay.reprioritise(window.reward.sum(0))
    return window.obs


def save(run: RunFolder, replay: ReplayBuffer, **named: Any) -> None:
    meta = dict.fromkeys(META) | {"step": replay.added}
    run.save(replay.added, {"weight": torch.ones(2)}, meta, replay=replay, **named)


def loaded(run: RunFolder, rows: int) -> tuple[ReplayBuffer, list[str]]:
    replay = replay_of(rows, seed=99)
    state, _, problems = run.load_last()
    replay.load_state_dict(state["replay"])
    replay.check_valid()
    return replay, problems


def files(run: RunFolder) -> set[str]:
    return {path.name for path in run.replay.iterdir()}


@settings(max_examples=30)
@given(
    st.integers(6, 40),
    st.lists(st.integers(1, 30), min_size=1, max_size=6),
    st.sampled_from([0, 400, 8 << 20]),
    st.sampled_from([500, 64 << 20]),
)
def test_what_is_saved_by_parts_goes_on_to_the_bit(rows: int, saves: list[int], small: int, large: int) -> None:
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "_SMALL", small)
        patch.setattr(archive, "_LARGE", large)
        run, one = RunFolder(Path(root) / "run"), replay_of(rows)
        for ticks in saves:
            insert(one, ticks)
            if one.size > 5:
                learn(one)
            save(run, one)
        other, problems = loaded(run, rows)
        assert not problems
        assert_same(other.state_dict(), one.state_dict())
        for replay in (one, other):
            insert(replay, 7)
        assert torch.equal(learn(one), learn(other))
        assert_same(other.state_dict(), one.state_dict())
        save(run, other)  # goes on with the segments that were loaded
        assert_same(loaded(run, rows)[0].state_dict(), one.state_dict())


def test_a_save_writes_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_SMALL", 0)
    run, replay = RunFolder(tmp_path / "run", keep=1), replay_of(1_000)
    insert(replay, 900)
    save(run, replay)
    before = {path: path.stat().st_mtime_ns for path in run.replay.iterdir()}
    insert(replay, 10)
    save(run, replay)
    after = {path: path.stat() for path in run.replay.iterdir()}
    assert all(after[path].st_mtime_ns == stamp for path, stamp in before.items())
    (new,) = after.keys() - before.keys()
    assert new.stat().st_size < sum(path.stat().st_size for path in before) / 20


def test_small_last_segments_are_joined(tmp_path: Path) -> None:
    run, replay = RunFolder(tmp_path / "run", keep=1), replay_of(1_000)
    for _ in range(20):
        insert(replay, 5)
        save(run, replay)
    assert len(files(run)) == 1


def test_rows_that_no_kept_checkpoint_needs_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_SMALL", 0)
    run, replay = RunFolder(tmp_path / "run", keep=2), replay_of(20)
    for _ in range(12):
        insert(replay, 10)
        save(run, replay)
        (run.replay / ".writing-1").write_bytes(b"left by a killed process")
    spans = sorted(tuple(map(int, name.split("-")[1:3])) for name in files(run) if name.startswith("rows"))
    assert spans == [(89, 99), (99, 109), (109, 119)]  # 20 rows of the checkpoints at 110 and at 120
    run.discard_after(110)
    spans = sorted(tuple(map(int, name.split("-")[1:3])) for name in files(run))
    assert spans == [(89, 99), (99, 109)]


@pytest.mark.parametrize("harm", ["missing", "damaged", "truncated"])
def test_a_harmed_segment_is_named_and_the_checkpoint_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    monkeypatch.setattr(archive, "_SMALL", 0)
    run, replay = RunFolder(tmp_path / "run"), replay_of(100)
    insert(replay, 10)
    save(run, replay)
    before = replay.state_dict()
    kept = files(run)
    insert(replay, 10)
    save(run, replay)
    (name,) = files(run) - kept
    path, content = run.replay / name, (run.replay / name).read_bytes()
    path.unlink()
    if harm != "missing":
        path.write_bytes(content[:-9] if harm == "truncated" else content[:-1] + bytes([content[-1] ^ 1]))
    other, problems = loaded(run, 100)
    assert len(problems) == 1
    assert name in problems[0]
    assert "the checkpoint before it is used" in problems[0]
    assert other.added == 10
    assert_same(other.state_dict()["rows"][0]["action"][:10], before["rows"][0]["action"][:10])
    run.discard_after(10)
    insert(other, 10)
    save(run, other)
    assert loaded(run, 100)[1] == []


def full(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("call", range(7))
@pytest.mark.parametrize(
    ("module", "name"),
    [
        (archive, "save_file"),
        (checkpoint, "save_file"),
        (os, "fsync"),
        (os, "replace"),
        (Path, "mkdir"),
        (Path, "write_text"),
        (Path, "symlink_to"),
    ],
)
def test_a_full_disk_is_one_sentence_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, call: int
) -> None:
    """The disk refuses one call of a save: whichever it is, the run can go on, and no draft is left."""
    run, replay = RunFolder(tmp_path / "run"), replay_of(100)
    insert(replay, 10)
    save(run, replay)
    insert(replay, 10)
    calls, real = iter(range(call + 1)), getattr(module, name)

    def counted(*given: Any, **named: Any) -> Any:
        return (full if next(calls, None) == call else real)(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, counted)
        told = ""
        try:
            save(run, replay, best=True)
        except CheckpointError as error:
            told = str(error)
    refused = next(calls, None) is None
    assert bool(re.search("could not be written.*No space left", told)) == refused, told
    assert not [path for path in run.path.rglob(".*") if path.name.startswith(".")]
    held, problems = loaded(run, 100)
    assert (held.added in (10, 20), problems) == (True, [])
    save(run, replay, best=True)
    assert (loaded(run, 100)[0].added, run.best.resolve()) == (20, run.last.resolve())


def test_rows_written_to_another_folder_are_written_again(tmp_path: Path) -> None:
    replay = replay_of(100)
    insert(replay, 10)
    for name in ("one", "two"):
        save(RunFolder(tmp_path / name), replay)
        assert_same(loaded(RunFolder(tmp_path / name), 100)[0].state_dict(), replay.state_dict())


def test_a_cleared_replay_writes_no_rows(tmp_path: Path) -> None:
    run, replay = RunFolder(tmp_path / "run"), replay_of(100)
    insert(replay, 10)
    replay.clear()
    save(run, replay)
    assert files(run) == set()
    assert loaded(run, 100)[0].size == 0


def test_a_cut_newest_row_is_not_written_before_it_is_settled(tmp_path: Path) -> None:
    run, replay = RunFolder(tmp_path / "run"), replay_of(100)
    insert(replay, 10)
    save(run, replay)
    other, _ = loaded(run, 100)
    other.cut()
    other._stack = None
    zero, no = torch.zeros(STREAMS), torch.zeros(STREAMS, dtype=torch.bool)
    obs = torch.zeros(STREAMS, STACK, 1, dtype=torch.long)
    other.insert(Percept(obs, zero, zero, zero + 1, ~no, no), Decision(zero))
    save(run, other)
    assert loaded(run, 100)[0].state_dict()["rows"][0]["percept/last"][9].all()


CHILD = """
import sys; from pathlib import Path
from tests.angle_domains.replay.test_archive import *
archive._SMALL = 20_000
run, replay = RunFolder(Path(sys.argv[1])), replay_of(150)
if run.last.exists():
    replay.load_state_dict(run.load_last()[0]["replay"])
    run.discard_after(replay.added)
print("begun", flush=True)
while True:
    insert(replay, 20, 100)
    learn(replay)
    save(run, replay)
"""


@pytest.mark.slow
def test_killed_at_any_moment_rows_and_checkpoints_stay_whole(tmp_path: Path) -> None:
    run, seed, reached = RunFolder(tmp_path / "run"), random.Random(0), 0
    for _ in range(5):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(run.path)], stdout=subprocess.PIPE, cwd=os.getcwd())
        assert child.stdout is not None
        assert child.stdout.readline() == b"begun\n"
        time.sleep(0.3 + seed.random() * 0.4)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        replay, problems = loaded(run, 150)
        assert not problems
        assert replay.added > reached
        reached = replay.added
        seen = replay.newest(min(replay.size - STACK, 100)).obs[:, 0, :, 0]
        assert torch.equal(seen[:, -1], torch.arange(reached - len(seen), reached) + 1)
