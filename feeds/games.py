"""What the sources of games share: seeds of their parts, and a camera."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from feeds.base import GameFeed
from feeds.errors import FeedError, nearest

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Camera:
    """One stream to play, and the picture of it."""

    envs: VectorEnv[Any, Any, Any]  # of one stream: what the agent sees
    frame: Callable[[], np.ndarray]  # () -> uint8 [H, W, 3]: what the screen shows now


def split_seed(seed: int, split: str) -> int:
    """The seed of the first stream on a part, 30 bits; the stream i is seeded `split_seed(seed, split) + i`."""
    words = np.random.SeedSequence([seed, SPLITS.index(check_split(split))]).generate_state(1)
    return int(words[0] >> 2)


def check_split(split: str) -> str:
    """The part's name; FeedError where there is none of that name."""
    if split not in SPLITS:
        raise FeedError(f"games have no part '{split}': {nearest(split, SPLITS)}")
    return split


def check_streams(streams: int) -> int:
    if streams < 1:
        raise FeedError(f"a vector environment needs at least one stream, {streams} were asked for")
    return streams


def refuse_state(state: Any) -> None:
    """Games in flight cannot be put back: FeedError where a state is handed in all the same."""
    if state is not None:
        raise FeedError("games cannot go on from a saved state: they begin anew")


def vector(feed: GameFeed, streams: int, *, split: str, device: str) -> VectorEnv[Any, Any, Any]:
    """The streams of a game feed: arrays of the CPU, whatever the agent's device."""
    return feed.envs(streams, split=split)
