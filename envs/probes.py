"""Makers of worlds whose optimum is known, from the arguments of their laws in `feeds.synthetic.deeps`."""

from collections.abc import Callable
from inspect import signature
from typing import Any

from gymnasium.vector import AutoresetMode

from envs.feed_env import FeedEnv
from envs.vector import FeedVectorEnv
from feeds.errors import FeedError, nearest
from feeds.synthetic.deeps import deep_sea, long_chain, recall
from feeds.synthetic.probes import Law, Probe

_LAWS: dict[str, Callable[..., Law]] = {"deep-sea": deep_sea, "long-chain": long_chain, "recall": recall}


def make_probe(*, law: str, split: str = "train", render_mode: None = None, **settings: Any) -> FeedEnv:
    """One stream."""
    return FeedEnv(_probe(law, settings), split=split, render_mode=render_mode)


def make_probe_vector(
    *,
    law: str,
    num_envs: int = 1,
    split: str = "train",
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    device: str = "cpu",
    **settings: Any,
) -> FeedVectorEnv:
    """`num_envs` streams side by side."""
    return FeedVectorEnv(_probe(law, settings), num_envs, split=split, autoreset_mode=autoreset_mode, device=device)


def _probe(law: str, settings: dict[str, Any]) -> Probe:
    """FeedError for a setting that the law does not have."""
    known = signature(_LAWS[law]).parameters
    for key in settings:
        if key not in known:
            raise FeedError(f"{law} does not take {key}={settings[key]!r}: {nearest(key, known)}")
    return Probe(law, _LAWS[law](**settings))
