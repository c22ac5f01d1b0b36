"""FeedSpec as plain data, so that a checkpoint can be served where its feed's data are not."""

from typing import Any

import numpy as np
from gymnasium import spaces

from angle_domains.errors import CheckpointError
from feeds.base import Block, FeedSpec


def spec_to_dict(spec: FeedSpec) -> dict[str, Any]:
    """JSON-ready form of a spec."""
    return {
        "name": spec.name,
        "observation_space": _space_to_dict(spec.observation_space),
        "action_space": _space_to_dict(spec.action_space),
        "blocks": [[b.name, b.start, list(b.shape), list(b.features)] for b in spec.blocks],
        "simplex": spec.simplex,
        "clock": spec.clock,
        "units": dict(spec.units),
        "splits": list(spec.splits),
    }


def spec_from_dict(data: dict[str, Any]) -> FeedSpec:
    return FeedSpec(
        name=data["name"],
        observation_space=_space_from_dict(data["observation_space"]),
        action_space=_space_from_dict(data["action_space"]),
        blocks=tuple(Block(n, start, tuple(shape), tuple(f)) for n, start, shape, f in data["blocks"]),
        simplex=data["simplex"],
        clock=data["clock"],
        units=data["units"],
        splits=tuple(data["splits"]),
    )


def _space_to_dict(space: spaces.Space[Any]) -> dict[str, Any]:
    match space:
        case spaces.Box():
            return {
                "kind": "box",
                "low": _bound(space.low),
                "high": _bound(space.high),
                "shape": list(space.shape),
                "dtype": str(space.dtype),
            }
        case spaces.Discrete():
            return {"kind": "discrete", "n": int(space.n), "start": int(space.start)}
        case spaces.MultiDiscrete():
            return {"kind": "multi_discrete", "nvec": space.nvec.tolist()}
    raise CheckpointError(f"a policy on the space {space} cannot be stored: Box, Discrete and MultiDiscrete can")


def _space_from_dict(data: dict[str, Any]) -> spaces.Space[Any]:
    match data["kind"]:
        case "box":
            dtype = np.dtype(data["dtype"])
            low, high = (np.broadcast_to(np.array(data[k], float), data["shape"]) for k in ("low", "high"))
            return spaces.Box(low.astype(dtype), high.astype(dtype), dtype=dtype.type)
        case "discrete":
            return spaces.Discrete(data["n"], start=data["start"])
        case "multi_discrete":
            return spaces.MultiDiscrete(data["nvec"])
    raise CheckpointError(f"a space of kind '{data['kind']}' is unknown")


def _bound(values: np.ndarray) -> Any:
    """One text where all entries agree (JSON has no infinity), else the list of them."""
    if values.size and (values == values.flat[0]).all():
        return str(float(values.flat[0]))
    return np.vectorize(lambda v: str(float(v)), otypes=[object])(values).tolist()
