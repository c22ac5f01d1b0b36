"""Checkpoints: what goes in comes out to the bit, damage is named, a crash leaves the old one whole."""

import hashlib
import json
import math
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from angle_domains import checkpoint
from angle_domains.errors import CheckpointError

STATE = {
    "agent": {
        "weight": torch.randn(3, 4),
        "steps": 7,
        "optimizer": {0: {"momentum": torch.zeros(2, dtype=torch.float64)}},
    },
    "scalars": [1.5, math.inf, -math.inf, True, None, "text", 2**127],
    "pair": (np.arange(3, dtype=np.int64), np.array([True, False])),
    "empty": {"tensor": torch.empty(0), "dict": {}, "list": []},
    "bytes": torch.Generator().get_state(),
}


def same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and bool((a == b).all())
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and a == b


def test_what_goes_in_comes_out_to_the_bit(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "one", STATE, {"step": 3})
    state, meta = checkpoint.load(tmp_path / "one")
    assert same(STATE, state)
    assert meta == {"step": 3} == checkpoint.read_meta(tmp_path / "one")


def test_not_a_number_survives(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "one", {"x": math.nan}, {})
    assert math.isnan(checkpoint.load(tmp_path / "one")[0]["x"])
    json.loads((tmp_path / "one" / "state.json").read_text(), parse_constant=pytest.fail)  # strict JSON


def test_tensors_that_share_memory_are_stored_apart(tmp_path: Path) -> None:
    base = torch.arange(6.0)
    checkpoint.save(tmp_path / "one", {"a": base[:3], "b": base.view(2, 3).T}, {})
    state, _ = checkpoint.load(tmp_path / "one")
    assert torch.equal(state["b"], base.view(2, 3).T)


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_damage_is_named(tmp_path: Path, name: str, damage: str) -> None:
    path = checkpoint.save(tmp_path / "one", STATE, {}) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "truncate" else content)
    with pytest.raises(CheckpointError, match=name):
        checkpoint.load(tmp_path / "one")


META = {"step": 600, "config": {"seed": 0, "agent": {"gamma": 0.95}}, "data": "ab12"}


def altered(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"step": 600', '"step": 100'),
        ('"step": 600,', ""),
        ('"gamma": 0.95', '"gamma": 0.85'),
        ('"data": "ab12"', '"data": "ab13"'),
        ('"seal"', '"sial"'),
        ('"schema": 2', '"schema": 1'),  # none is taken for one of the time before seals
        ('"seed": 0', '"seed": NaN'),
    ],
)
def test_an_altered_manifest_is_named(tmp_path: Path, before: str, after: str) -> None:
    path = checkpoint.save(tmp_path / "one", STATE, META) / "manifest.json"
    altered(path, before, after)
    for read in (checkpoint.load, checkpoint.read_meta):
        with pytest.raises(CheckpointError, match=r"manifest\.json is damaged"):
            read(tmp_path / "one")


@pytest.mark.parametrize("key", ["schema", "sha256", "meta", "seal"])
def test_a_manifest_that_lacks_a_key_is_named(tmp_path: Path, key: str) -> None:
    path = checkpoint.save(tmp_path / "one", STATE, META) / "manifest.json"
    path.write_text(json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != key}))
    with pytest.raises(CheckpointError, match=r"manifest\.json is damaged"):
        checkpoint.load(tmp_path / "one")


@pytest.mark.slow
def test_no_flip_of_a_bit_in_a_manifest_goes_by(tmp_path: Path) -> None:
    """Every bit of it in turn: the meta data are what they were, or the damage is told."""
    path = checkpoint.save(tmp_path / "one", {}, META) / "manifest.json"
    content = path.read_bytes()
    for place in range(len(content) * 8):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            assert checkpoint.load(tmp_path / "one")[1] == META
        except CheckpointError:
            continue


def test_a_manifest_means_the_same_in_another_order(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path / "one", STATE, META | {"of": {2: "b", 10: "a"}, "pair": (1, 2)}) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert checkpoint.load(tmp_path / "one")[1] == META | {"of": {"2": "b", "10": "a"}, "pair": [1, 2]}


def test_checkpoints_of_the_time_before_seals_are_read(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path / "one", STATE, META) / "manifest.json"
    manifest = json.loads(path.read_text()) | {"schema": 1}
    del manifest["seal"]
    path.write_text(json.dumps(manifest))
    assert checkpoint.load(tmp_path / "one", ("step", "config"))[1] == META
    with pytest.raises(CheckpointError, match=r"manifest\.json is damaged: its meta data lack agent, spec"):
        checkpoint.load(tmp_path / "one", ("step", "agent", "config", "spec"))


def test_another_schema_names_both_versions(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path / "one", STATE, {}) / "manifest.json"
    altered(path, '"schema": 2', '"schema": 99')
    with pytest.raises(CheckpointError, match="99.*reads schemas 1 and 2"):
        checkpoint.load(tmp_path / "one")


def test_a_foreign_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no manifest\.json"):
        checkpoint.load(tmp_path)


def test_objects_are_refused_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="at /agent/odd"):
        checkpoint.save(tmp_path / "one", {"agent": {"odd": object()}}, {})
    checkpoint.sweep(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left"):
        checkpoint.save(tmp_path / "one", STATE, {})
    assert not list(tmp_path.iterdir())


def test_no_pickle_is_read_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a pickle was touched")

    for module, names in ((pickle, ("load", "loads", "dump", "dumps")), (torch, ("load", "save"))):
        for name in names:
            monkeypatch.setattr(module, name, refuse)
    checkpoint.save(tmp_path / "one", STATE, {})
    checkpoint.load(tmp_path / "one")


class Bomb:
    """Unpickled, it would make a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_a_pickle_in_place_of_a_file_is_refused_and_never_loaded(tmp_path: Path, name: str, form: str) -> None:
    """However well it was planted: the manifest vouches for it."""
    folder, bomb, planted = checkpoint.save(tmp_path / "one", STATE, META), Bomb(tmp_path / "gone"), tmp_path / "it"
    if form == "pickle":
        planted.write_bytes(pickle.dumps(bomb))
    else:
        torch.save(bomb, planted)
    shutil.copyfile(planted, folder / name)
    with pytest.raises(CheckpointError, match=name):  # no digest knows it
        checkpoint.load(folder)
    if name != "manifest.json":
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        told = {key: manifest[key] for key in ("schema", "sha256", "meta")}
        seal = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        (folder / "manifest.json").write_text(json.dumps(told | {"seal": seal}))
        with pytest.raises(CheckpointError, match=name):
            checkpoint.load(folder)
    assert not bomb.place.exists()
    torch.load(planted, weights_only=False) if form == "torch" else pickle.loads(planted.read_bytes())
    assert bomb.place.exists()  # it was a live one


@pytest.mark.parametrize("name", ["weights.pt", "optimizer.pkl"])
def test_a_pickle_beside_the_files_is_refused(tmp_path: Path, name: str) -> None:
    folder = checkpoint.save(tmp_path / "one", STATE, META)
    (folder / name).write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(CheckpointError, match=f"holds {name}, which none of ours does"):
        checkpoint.load(folder)
    assert not (tmp_path / "exploded").exists()


WRITER = """
import sys, torch
from pathlib import Path
from angle_domains.runs import META, RunFolder
run, meta = RunFolder(Path(sys.argv[1])), dict.fromkeys(META)
print("ready", flush=True)
for step in range(1, 100_000):
    run.save(step, {"weight": torch.full((400_000,), float(step))}, meta | {"step": step}, best=step % 3 == 0)
"""


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    from angle_domains.runs import RunFolder

    chance = random.Random(0)
    for trial in range(8):
        folder = tmp_path / str(trial)
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, cwd=Path.cwd())
        assert writer.stdout is not None
        writer.stdout.readline()
        while not (folder / "last").exists():
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 0.15))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        run = RunFolder(folder)
        state, meta, problems = run.load_last()
        assert not problems
        assert (state["weight"] == meta["step"]).all()
        assert checkpoint.load(run.last.resolve())[1]["step"] <= meta["step"]
        with run.lock():
            assert not list(run.checkpoints.glob(".*"))
