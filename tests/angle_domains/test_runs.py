"""Run folders: names, locks, pointers, and falling back to the checkpoint before a damaged one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from angle_domains.errors import CheckpointError, ConfigError
from angle_domains.runs import META, RunFolder, check_name, find_checkpoint, find_run, fresh_name, write_group


def save(run: RunFolder, step: int, *, best: bool = False) -> None:
    meta = dict.fromkeys(META) | {"step": step}
    run.save(step, {"weight": torch.full((2,), float(step))}, meta, best=best)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a..b", "x\0", "é", "x" * 101, "-flag"])
def test_names_that_are_no_folder_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a run"):
        check_name(name)


def test_a_fresh_name_avoids_what_stands(tmp_path: Path) -> None:
    first = fresh_name(tmp_path, "market-ppo")
    (tmp_path / first).mkdir()
    assert fresh_name(tmp_path, "market-ppo") != first


def test_pointers_and_retention(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    for step in range(1, 7):
        save(run, step, best=step == 2)
    assert sorted(path.name[-1] for path in run.checkpoints.iterdir()) == ["2", "5", "6"]
    assert run.best.resolve().name.endswith("2")
    assert run.last.resolve().name.endswith("6")


def test_a_damaged_newest_checkpoint_is_named_and_passed_over(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    save(run, 1)
    save(run, 2)
    (run.last / "tensors.safetensors").write_bytes(b"x")
    state, meta, problems = run.load_last()
    assert meta["step"] == 1
    assert (state["weight"] == 1).all()
    assert "step-000000000002" in problems[0]
    run.discard_after(1)
    assert run.last.resolve().name == "step-000000000001"
    save(run, 2)
    assert run.load_last()[1]["step"] == 2


def test_without_a_whole_checkpoint_the_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        RunFolder(tmp_path / "run").load_last()


def test_a_single_damaged_checkpoint_has_none_before_it(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    save(run, 1)
    (run.last / "tensors.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="is damaged") as told:
        run.load_last()
    assert "before it is used" not in str(told.value)


@pytest.mark.parametrize("sealed", [True, False])
def test_a_step_that_is_not_the_folders_is_damage(tmp_path: Path, sealed: bool) -> None:
    run = RunFolder(tmp_path / "run")
    for step in (1, 2, 3):
        save(run, step)
    path = run.last / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["meta"]["step"] = 1
    if not sealed:
        manifest = {"schema": 1, "sha256": manifest["sha256"], "meta": manifest["meta"]}
    path.write_text(json.dumps(manifest))
    _, meta, problems = run.load_last()
    assert meta["step"] == 2
    assert "step-000000000003/manifest.json is damaged" in problems[0]


@pytest.mark.parametrize("key", ["step", "agent", "config", "spec", "data"])
def test_a_checkpoint_that_lacks_what_a_run_says_is_passed_over(tmp_path: Path, key: str) -> None:
    run = RunFolder(tmp_path / "run")
    save(run, 1)
    meta = dict.fromkeys(META) | {"step": 2}
    run.save(2, {}, {name: value for name, value in meta.items() if name != key})
    _, meta, problems = run.load_last()
    assert meta["step"] == 1
    assert f"its meta data lack {key}; the checkpoint before it is used" in problems[0]


def test_nothing_is_discarded_after_a_step_that_was_not_saved(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    save(run, 2, best=True)
    save(run, 3)
    with pytest.raises(CheckpointError, match="has no checkpoint of step 1: nothing"):
        run.discard_after(1)
    assert [path.name[-1] for path in run.saved] == ["2", "3"]
    assert (run.best.resolve().name[-1], run.last.resolve().name[-1]) == ("2", "3")


def test_a_best_checkpoint_that_was_saved_but_not_pointed_to_is_found(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    save(run, 1, best=True)
    save(run, 2)
    run.discard_after(2, best=2)
    assert run.best.resolve().name.endswith("2")


def test_drafts_of_a_killed_process_are_swept(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    save(run, 1, best=True)
    for name in (".last-77", ".best-77"):
        (run.path / name).symlink_to("checkpoints/step-000000000001")
    (run.checkpoints / ".writing-step-000000000002-77").mkdir()
    with run.lock():
        assert not [path for path in run.path.rglob(".*")]
    assert run.last.exists()


def test_damaged_facts_are_named(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    (tmp_path / "run.json").write_text("")
    with pytest.raises(CheckpointError, match=r"run\.json is damaged"):
        run.note(status="RUNNING")


def test_where_one_run_is_wanted_a_group_names_its_seeds(tmp_path: Path) -> None:
    group = RunFolder(tmp_path / "four")
    group.path.mkdir()
    write_group(group, {}, [("seed-0", {"seed": 0}), ("seed-7", {"seed": 7})])
    with pytest.raises(CheckpointError, match="four-seed-0, four-seed-7"):
        find_checkpoint("four", tmp_path)


def test_runs_are_found_by_name_path_and_tracking_id(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "market-one")
    run.create({"seed": 1})
    run.note(run_id="abc")
    for text in ("market-one", str(run.path), "abc"):
        assert find_run(text, tmp_path).path == run.path
    assert find_run("market-one", tmp_path).read_config() == {"seed": 1}
    with pytest.raises(CheckpointError, match="did you mean 'market-one'"):
        find_run("market-on", tmp_path)
    with pytest.raises(CheckpointError, match="no checkpoint yet"):
        find_checkpoint("market-one", tmp_path)
    save(run, 1)
    save(run, 2)
    assert find_checkpoint("market-one", tmp_path).name.endswith("2")
    with pytest.raises(ConfigError, match="exists.*--resume market-one"):
        run.create({})


def test_a_second_process_is_told_who_holds_the_run(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from angle_domains.runs import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).lock():\n    print('held', flush=True); sys.stdin.readline()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(ConfigError, match=f"held by process {holder.pid}"), RunFolder(tmp_path / "run").lock():
            pass
        holder.kill()
    with RunFolder(tmp_path / "run").lock():  # the lock of a dead process is free
        pass


def test_notes_add_up(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create({})
    run.note(a=1)
    assert run.note(b=2) == {"a": 1, "b": 2} == run.note()


def test_the_best_checkpoint_goes_by_the_name_that_others_give_it(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create({})
    best = run.save(1, {"x": 1}, {}, best=True)
    run.save(2, {"x": 2}, {})
    for name in ("best_model", "best_model.zip"):
        assert find_checkpoint(str(run.path / name), tmp_path) == best
    with pytest.raises(CheckpointError, match="no run"):
        find_checkpoint(str(tmp_path / "nothing" / "best_model.zip"), tmp_path)
