import json
import multiprocessing
from pathlib import Path

import pytest

from angle_domains.errors import ConfigError
from angle_domains.tracking.journal import Delivery, Journal, journals, read_points
from angle_domains.tracking.owner import Owner


def filled(folder: Path, count: int) -> Journal:
    journal = Journal(folder)
    journal.open()
    for step in range(count):
        journal.append("metrics", step=step, values={"a": step / 2})
    return journal


def test_lines_come_back_in_order_and_in_portions(tmp_path: Path) -> None:
    journal = filled(tmp_path, 100)
    steps, start = [], 0
    while lines := list(journal.lines(start, limit=500)):
        assert lines[-1].end - start <= 500
        steps += [line.entry["step"] for line in lines]
        start = lines[-1].end
    assert steps == list(range(100))
    assert start == journal.size
    assert read_points(tmp_path) == {"a": {step: step / 2 for step in range(100)}}
    journal.close()


def test_one_line_longer_than_a_portion_still_comes(tmp_path: Path) -> None:
    journal = filled(tmp_path, 1)
    assert len(list(journal.lines(0, limit=5))) == 1
    journal.close()


def test_a_line_torn_by_a_kill_is_cut(tmp_path: Path) -> None:
    journal = filled(tmp_path, 3)
    journal.close()
    with journal.path.open("ab") as file:
        file.write(b'{"op": "metrics", "step": 3, "val')
    assert [line.entry["step"] for line in journal.lines()] == [0, 1, 2]
    journal.open()
    journal.append("metrics", step=4, values={"a": 4.0})
    assert [line.entry["step"] for line in journal.lines()] == [0, 1, 2, 4]
    journal.close()


def test_a_line_cut_short_by_a_full_disk_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = filled(tmp_path, 2)
    real = __import__("os").write
    with monkeypatch.context() as patch:
        patch.setattr("angle_domains.tracking.journal.os.write", lambda file, data: real(file, data[:9]))
        journal.append("metrics", step=2, values={"a": 2.0})
    journal.append("metrics", step=3, values={"a": 3.0})
    assert list(read_points(tmp_path)["a"]) == [0, 1, 3]
    assert journal.lost == 1
    journal.close()


def test_a_disk_that_refuses_costs_lines_and_raises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = filled(tmp_path, 1)

    def refuse(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("angle_domains.tracking.journal.os.write", refuse)
    journal.append("metrics", step=1, values={"a": 1.0})
    assert journal.lost == 1
    journal.close()


def test_a_clock_that_is_set_back_leaves_times_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, clock = filled(tmp_path, 0), iter([5_000, 1_000, 6_000])
    monkeypatch.setattr("angle_domains.tracking.journal.time.time_ns", lambda: next(clock) * 1_000_000)
    for step in range(3):
        journal.append("metrics", step=step, values={"a": 1.0})
    assert [time for _, time, _ in journal.points()] == [5_000, 5_000, 6_000]
    journal.close()


def _take(folder: Path, told: "multiprocessing.Queue[str]") -> None:
    try:
        Journal(folder).open()
        told.put("taken")
    except ConfigError as error:
        told.put(str(error))


def test_a_second_process_is_told_who_holds_the_run(tmp_path: Path) -> None:
    journal = filled(tmp_path, 1)
    owner = Owner.current()
    journal.store(Delivery("run-1", "sqlite:///x.db", "market", str(owner)))
    spawn = multiprocessing.get_context("spawn")
    told = spawn.Queue()
    for expected in (f"held by process {owner.pid}", "taken"):
        process = spawn.Process(target=_take, args=(tmp_path, told))
        process.start()
        assert expected in told.get(timeout=60)
        process.join()
        journal.close()


def test_journals_are_found_oldest_first(tmp_path: Path) -> None:
    for age, name in enumerate(("parent", "parent/seed-1", "b")):
        journal = filled(tmp_path / name, 0)
        journal.store(Delivery(name, "u", "e", "o"))
        journal.path.write_text(json.dumps({"op": "start", "t": age}) + "\n")
        journal.close()
    assert [journal.load().key for journal in journals(tmp_path)] == ["parent", "parent/seed-1", "b"]


def test_a_draft_that_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "tracking.77.tmp").write_text("half a sta")
    journal = Journal(tmp_path)
    journal.open()
    assert [path.name for path in tmp_path.iterdir()] == ["tracking.jsonl"]
    journal.close()
