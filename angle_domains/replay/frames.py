"""Stacks of frames, kept as single frames.

A stack `[k, H, W]` shares all frames but its newest with the row before. Beside its newest frame a row therefore keeps
one small number, its *past*: how many of its frames lie in the rows before it. Older frames are blank where past is
not negative; below 0 it is -1 - that number, and the oldest frame there is stands for them. Both are found by
comparing, not assumed, so that what is read is what was inserted, however an environment begins its episodes.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from feeds.errors import FeedError

Array = np.ndarray[Any, Any]


def find_past(
    stack: Shaped[Tensor, "b k *frame"],
    first: Bool[Tensor, " b"],
    before: Shaped[Tensor, "b k *frame"] | None,
    past_before: Int[Tensor, " b"] | None,
) -> Int[Tensor, " b"]:
    """The past of each stack, given those of the tick before; FeedError where it does not follow from them."""
    k = stack.shape[1]
    if before is not None and past_before is not None and _equal(stack[:, :-1], before[:, 1:]) and not first.any():
        return _longer(past_before, k)  # nearly always
    older = stack[:, :-1].flatten(1)
    blank = (older == 0).all(1)
    repeats = (stack[:, :-1] == stack[:, -1:]).flatten(1).all(1)
    past = torch.where(blank, 0, -1).to(torch.int8)
    known = blank | repeats
    if before is not None and past_before is not None:
        follows = (older == before[:, 1:].flatten(1)).all(1) & ~(first & known)
        past = torch.where(follows, _longer(past_before, k), past)
        known = known | follows
    if not known.all():
        raise FeedError(
            f"the observations are no stacks of {k} frames, newest last, that go on from tick to tick: "
            "the feed should give stack=0 in its spec"
        )
    return past


def source_of_frames(past: Int[Array, "t b"], k: int) -> tuple[Int[Array, "t b {k}"], Bool[Array, "t b {k}"]]:
    """For each frame of a row's stack, oldest first: how many ticks before the row it came, and whether it is blank."""
    back = np.arange(k - 1, -1, -1)
    past = past[..., None].astype(np.int64)
    real = np.maximum(past, -1 - past)
    return np.minimum(back, real), (back > real) & (past >= 0)


def strip_of(place: Int[Array, "t b k"]) -> Int[Array, "b n"] | None:
    """The frames `[B, T - 1 + k]` of stacks `[T, B, k]` each of which goes on from the one before; else None."""
    if not np.array_equal(place[1:, :, :-1], place[:-1, :, 1:]):
        return None
    return np.concatenate((place[0], place[1:, :, -1].T), 1)


def stacks_of(strip: Shaped[Tensor, "b n *frame"], k: int) -> Shaped[Tensor, "t b {k} *frame"]:
    """Views into the strip."""
    batch, frames = strip.shape[:2]
    window, frame = strip.stride()[:2]
    shape, stride = strip.shape[2:], strip.stride()[2:]
    return strip.as_strided((frames + 1 - k, batch, k, *shape), (frame, window, frame, *stride))


def _equal(one: Tensor, other: Tensor) -> bool:
    """On the CPU by NumPy, which compares strided bytes twenty times as fast."""
    return np.array_equal(one.numpy(), other.numpy()) if one.device.type == "cpu" else torch.equal(one, other)


def _longer(past: Tensor, k: int) -> Tensor:
    """The past of the stack that follows; a full one has nothing blank or repeated."""
    longer = torch.where(past < 0, past - 1, past + 1)
    return torch.where((past >= k - 2) | (past <= -(k - 1)), k - 1, longer)
