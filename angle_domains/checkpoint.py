"""Checkpoints: atomic, free of pickles, checksummed, loaded strictly.

A checkpoint is a folder of three files: `tensors.safetensors` holds every tensor and array, `state.json` the tree
around them, `manifest.json` the schema, the meta data, the SHA-256 of the other two and, as its seal, that of all it
says itself. It is written beside its place, flushed to the disk and renamed, so that a crash at any moment leaves the
old one whole.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from angle_domains.errors import CheckpointError

SCHEMA = 2
_UNSEALED = 1  # the schema before: its manifests have no seal, and are taken at their word
_FILES = ("tensors.safetensors", "state.json")
_PICKLED = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib")  # endings of files that could run code when loaded
_PREFIX = ".writing-"  # of folders that are not whole yet


def save(folder: Path, state: dict[str, Any], meta: dict[str, Any]) -> Path:
    """Writes `state` (nested dicts, lists and tuples of tensors, arrays, numbers, strings and None) as a new folder.

    Raises CheckpointError where the disk refuses; what stood there before is untouched then.
    """
    draft = folder.parent / f"{_PREFIX}{folder.name}-{os.getpid()}"
    try:
        draft.mkdir(parents=True)
        tensors: dict[str, torch.Tensor] = {}
        tree = _encode(state, "", tensors)
        save_file(tensors, draft / "tensors.safetensors")
        _write_json(draft / "state.json", tree)
        digests = {name: _sha256(draft / name) for name in _FILES}
        manifest = {"schema": SCHEMA, "sha256": digests, "meta": json.loads(json.dumps(meta, allow_nan=False))}
        _write_json(draft / "manifest.json", manifest | {"seal": _seal(manifest)})
        for name in (*_FILES, "manifest.json"):
            _flush(draft / name)
        os.replace(draft, folder)
        _flush(folder.parent)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"the checkpoint {folder} could not be written: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)  # renamed away where all went well
    return folder


def load(folder: Path, keys: Sequence[str] = ()) -> tuple[dict[str, Any], dict[str, Any]]:
    """The state and the meta data of a checkpoint; CheckpointError where a file is missing, damaged or too new, or the
    meta data lack one of `keys`."""
    manifest = _read_manifest(folder)
    if lacking := [key for key in keys if key not in manifest["meta"]]:
        raise CheckpointError(f"{folder / 'manifest.json'} is damaged: its meta data lack {', '.join(lacking)}")
    if planted := sorted(file.name for file in folder.iterdir() if file.suffix.lower() in _PICKLED):
        raise CheckpointError(
            f"the checkpoint {folder} holds {', '.join(planted)}, which none of ours does: it may be a pickle, and no "
            "pickle is loaded; take it away if you know where it came from"
        )
    for name, digest in manifest["sha256"].items():
        if not (folder / name).is_file():
            raise CheckpointError(f"the checkpoint {folder} has no {name}")
        if _sha256(folder / name) != digest:
            raise CheckpointError(f"{folder / name} is damaged: its SHA-256 is not the one in the manifest")
    try:
        tensors = load_file(folder / "tensors.safetensors")
    except SafetensorError as error:
        raise CheckpointError(f"{folder / 'tensors.safetensors'} cannot be read: {error}") from error
    try:
        return _decode(json.loads((folder / "state.json").read_text()), tensors), manifest["meta"]
    except (ValueError, KeyError) as error:
        raise CheckpointError(f"{folder / 'state.json'} does not fit its tensors: {error}") from error


def read_meta(folder: Path) -> dict[str, Any]:
    """The meta data alone, without reading tensors."""
    return _read_manifest(folder)["meta"]


def remove(folder: Path) -> None:
    """Takes a checkpoint away, where there is one."""
    shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Removes drafts that a killed process left behind."""
    for draft in parent.glob(f"{_PREFIX}*"):
        shutil.rmtree(draft, ignore_errors=True)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not path.is_file():
        raise CheckpointError(f"{folder} is no checkpoint: it has no manifest.json")
    try:
        manifest = json.loads(path.read_text())
        schema, seal = manifest["schema"], _seal(manifest)
    except KeyError as error:
        raise CheckpointError(f"{path} is damaged: it has no {error}") from error
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if schema not in (_UNSEALED, SCHEMA):
        raise CheckpointError(
            f"{folder} has schema {schema}, this version reads schemas {_UNSEALED} and {SCHEMA}: "
            "load it with the version of angle-domains that wrote it"
        )
    if manifest.get("seal", seal if schema == _UNSEALED else None) != seal:
        raise CheckpointError(f"{path} is damaged: what it says does not have the SHA-256 that is its seal")
    digests, meta = manifest["sha256"], manifest["meta"]
    if not isinstance(digests, dict) or set(digests) != set(_FILES) or not isinstance(meta, dict):
        raise CheckpointError(f"{path} is damaged: it should list {' and '.join(_FILES)}, and hold meta data")
    return manifest


def _seal(manifest: dict[str, Any]) -> str:
    """The SHA-256 of what a manifest says, whatever the order of its keys and the space between them."""
    told = {key: manifest[key] for key in ("schema", "sha256", "meta")}
    return hashlib.sha256(json.dumps(told, allow_nan=False, sort_keys=True).encode()).hexdigest()


def _encode(value: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    """The JSON form of a tree; tensors move to `tensors` under their path and leave a reference."""
    match value:
        case torch.Tensor():
            tensors[path] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
            return {"$tensor": path}
        case np.ndarray():
            tensors[path] = torch.from_numpy(np.array(value, order="C"))
            return {"$array": path}
        case np.generic():
            return _encode(value.item(), path, tensors)
        case float() if not math.isfinite(value):
            return {"$float": repr(value)}
        case None | bool() | int() | float() | str():
            return value
        case dict():
            pairs = [[key, _encode(item, f"{path}/{key}", tensors)] for key, item in value.items()]
            plain = all(isinstance(key, str) and not key.startswith("$") for key, _ in pairs)
            return dict(pairs) if plain else {"$pairs": pairs}
        case list() | tuple():
            items = [_encode(item, f"{path}/{index}", tensors) for index, item in enumerate(value)]
            return items if isinstance(value, list) else {"$tuple": items}
    raise TypeError(f"a checkpoint cannot hold {type(value).__name__} at {path or 'its root'}")


def _decode(tree: Any, tensors: dict[str, torch.Tensor]) -> Any:
    match tree:
        case {"$tensor": str(path)}:
            return tensors[path]
        case {"$array": str(path)}:
            return tensors[path].numpy()
        case {"$float": str(text)}:
            return float(text)
        case {"$tuple": list(items)}:
            return tuple(_decode(item, tensors) for item in items)
        case {"$pairs": list(pairs)}:
            return {key: _decode(item, tensors) for key, item in pairs}
        case dict():
            return {key: _decode(item, tensors) for key, item in tree.items()}
        case list():
            return [_decode(item, tensors) for item in tree]
    return tree


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, allow_nan=False, indent=1))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def _flush(path: Path) -> None:
    """Forces a file or folder to the disk: a rename may otherwise outrun the content."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
