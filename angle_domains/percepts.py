"""Between environments and agents: percepts made of what a step gives, and actions as environments take them."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from torch import Tensor

from angle_domains.errors import FeedError
from angle_domains.types import Percept


def for_environment(action: Tensor, obs: Tensor) -> Any:
    """Actions where the environment computes: environments whose observations lie on the CPU take arrays."""
    return action.cpu().numpy() if obs.device.type == "cpu" else action.to(obs.device)


def perceive(
    envs: VectorEnv[Any, Any, Any], before: Percept, action: Tensor, outcome: tuple[Any, Any, Any, Any, dict[str, Any]]
) -> Percept:
    """What all streams see after a step; FeedError where masks come late."""
    obs, reward, terminated, truncated, info = outcome
    seen, ended = torch.as_tensor(obs), torch.as_tensor(terminated)
    last = ended | torch.as_tensor(truncated)
    mask = allowed(info, last, envs.single_action_space)
    if before.mask is None and mask is not None:
        raise FeedError(
            "the environment names an action_mask after a step, but named none when it was first reset: "
            "let the info of reset hold one, too"
        )
    return Percept(
        obs=seen,
        action=action.to(seen.device),
        reward=torch.as_tensor(reward, dtype=torch.float32),
        discount=1.0 - ended.to(torch.float32),
        first=before.last,
        last=last,
        mask=torch.ones_like(before.mask) if mask is None and before.mask is not None else mask,
        elapsed=passed(info, before.last),
    )


def passed(info: dict[str, Any], first: Tensor) -> Tensor | None:
    """`[B]` float32: the time since the row before, 0 in `first` rows; None where the environment tells none.

    It tells it as `discount_time`, in the units of gamma's exponent: hours, where gamma is that of an hour.
    """
    if "discount_time" not in info:
        return None
    return torch.as_tensor(info["discount_time"], dtype=torch.float32).masked_fill(first, 0.0)


def allowed(info: dict[str, Any], last: Tensor, space: spaces.Space[Any]) -> Tensor | None:
    """The allowed actions, where the environment names them as `action_mask`; None where no stream does.

    A stream that names none allows all, and so does a `last` row that allows nothing: the action chosen there is
    ignored, and many environments end on a mask of zeros. Where a `last` row allows something it stays so, for
    what is cut goes on from there. FeedError where another row allows nothing.
    """
    if "action_mask" not in info:
        return None
    mask = _stacked(info["action_mask"]).to(last.device, torch.bool)
    named = torch.as_tensor(info.get("_action_mask", np.ones(len(mask), dtype=bool))).to(last.device)
    mask = mask | ~_of_rows(named, mask)
    parts = space.nvec.ravel().tolist() if isinstance(space, spaces.MultiDiscrete) else [mask[0].numel()]
    free = torch.stack([part.any(-1) for part in mask.flatten(1).split(parts, -1)], -1).all(-1)
    stuck = ~free & ~last
    if stuck.any():
        raise FeedError(
            f"stream {int(stuck.nonzero()[0])} of the environment has an action_mask that allows no action, "
            "although its episode goes on: at least one must be allowed"
        )
    return mask | ~_of_rows(free, mask)


def _of_rows(rows: Tensor, mask: Tensor) -> Tensor:
    """`[B]` as it stands beside masks `[B, *mask]`."""
    return rows.reshape(-1, *[1] * (mask.ndim - 1))


def _stacked(rows: Any) -> Tensor:
    """`[B, *mask]`: environments that are stepped one by one give an array of arrays."""
    single = isinstance(rows, np.ndarray) and rows.dtype.kind == "O"
    return torch.as_tensor(np.stack(list(rows)) if single else rows)
