"""A checkpoint as MLflow models, the policy and what learned beside it: code and safetensors, no pickle."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from angle_domains.tracking.store import load_mlflow

if TYPE_CHECKING:
    from feeds.base import FeedSpec

POLICY = "policy"
Shape = Mapping[str, Any]  # "dtype" and "shape" of a batch
Signatures = Mapping[str, tuple[Shape, Shape]]  # by kind, inputs and outputs; `<kind>_model.py` is its code

_NEEDS = ("angle-domains", "gymnasium", "numpy", "safetensors", "torch")


@dataclass(frozen=True)
class LoggedPolicy:
    """A policy on its way into the store."""

    run_id: str
    model_id: str
    entry: Mapping[str, Any]  # what `policy_entry` gave


def policy_entry(checkpoint: Path, spec: "FeedSpec", step: int, register: str | None) -> dict[str, Any]:
    """The journal's line for a policy: JSON-ready, so that another process can send it."""
    load_mlflow()
    import mlflow.pyfunc  # noqa: F401  (here rather than on the writer's thread: see load_mlflow)

    shapes = (_tensor(spec.observation_space), _tensor(spec.action_space))
    return model_entry(POLICY, checkpoint, *shapes, step) | {"register": register}


def model_entry(kind: str, checkpoint: Path, inputs: Shape, outputs: Shape, step: int) -> dict[str, Any]:
    """The journal's line for a model that a checkpoint holds."""
    where = {"path": str(checkpoint.resolve()), "inputs": dict(inputs), "outputs": dict(outputs)}
    return where | {"kind": kind, "step": step, "register": None}


def save_policy(policy: LoggedPolicy, folder: Path) -> None:
    """Writes the model `folder`: its code, the checkpoint, and the signature."""
    checkpoint = Path(policy.entry["path"])
    if not checkpoint.is_dir():
        raise FileNotFoundError(f"{checkpoint} of the policy at step {policy.entry['step']}")
    mlflow = load_mlflow()
    mlflow.pyfunc.save_model(
        str(folder),
        python_model=str(Path(__file__).with_name(f"{policy.entry.get('kind', POLICY)}_model.py")),
        artifacts={"checkpoint": str(checkpoint)},
        signature=_signature(policy.entry),
        pip_requirements=_requirements(),
        mlflow_model=mlflow.models.Model(run_id=policy.run_id, model_id=policy.model_id),
    )


def _signature(entry: Mapping[str, Any]) -> Any:
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    sides = (entry["inputs"], entry["outputs"])
    return ModelSignature(*(Schema([TensorSpec(np.dtype(s["dtype"]), tuple(s["shape"]))]) for s in sides))


def _tensor(space: Any) -> dict[str, Any]:
    """Type and shape of a batch of points of a gymnasium space."""
    return {"dtype": str(space.dtype), "shape": [-1, *space.shape]}


def _requirements() -> list[str]:
    """What loading needs, as installed here; a checkout that was never installed has no version to name."""
    found = []
    for name in _NEEDS:
        try:
            found.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            continue
    return found
