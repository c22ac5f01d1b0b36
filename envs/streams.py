"""Seeds of streams, and the state of a feed as arrays that can be saved."""

from collections.abc import Mapping
from typing import Any

import array_api_compat
import numpy as np

from feeds.backend import to_numpy
from feeds.base import DataFeed
from feeds.errors import FeedError
from feeds.random import fold

Array = Any

_SEED_BITS = (1 << 63) - 1


def stream_seed(seed: int) -> int:
    """A seed as it fits int64."""
    return int(seed) & _SEED_BITS


def episode_keys(seeds: np.ndarray, episodes: np.ndarray) -> np.ndarray:
    """`[B]` int64: the key of episode number `episodes` of the streams with these seeds."""
    return fold(seeds, episodes)


def pack(state: Any) -> dict[str, np.ndarray]:
    """The state of a feed, a copy on the CPU."""
    return {name: np.array(to_numpy(array)) for name, array in state._asdict().items()}


def unpack(feed: DataFeed[Any], packed: Mapping[str, np.ndarray], split: str) -> Any:
    """The state on the feed's device; FeedError where it belongs to another feed."""
    template, _ = feed.reset(np.zeros(1, np.int64), split=split)
    arrays = {}
    for name, like in template._asdict().items():
        if name not in packed or tuple(packed[name].shape[1:]) != tuple(like.shape[1:]):
            raise FeedError(
                f"the saved state of '{feed.spec.name}' does not fit: '{name}' is missing or of other shape"
            )
        xp = array_api_compat.array_namespace(like)
        arrays[name] = xp.asarray(np.array(packed[name]), dtype=like.dtype, device=array_api_compat.device(like))
    return type(template)(**arrays)


def overwrite(target: Any, index: Array, source: Any) -> None:
    """Rows `index` of every array of a state, in place: for states that nobody else holds."""
    for array, rows in zip(target, source, strict=True):
        array[index] = rows
