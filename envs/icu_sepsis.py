"""Makers of ICU-Sepsis from the settings of `feeds.clinical.config.ProcessConfig`, given as keyword arguments."""

from typing import Any

from gymnasium.vector import AutoresetMode
from pydantic import ValidationError

from envs.feed_env import FeedEnv
from envs.vector import FeedVectorEnv
from feeds.clinical.config import ProcessConfig
from feeds.clinical.process import IcuSepsisFeed
from feeds.errors import FeedError, nearest


def make_icu_sepsis(*, split: str = "train", render_mode: None = None, **settings: Any) -> FeedEnv:
    """One patient at a time."""
    return FeedEnv(_feed(settings), split=split, render_mode=render_mode)


def make_icu_sepsis_vector(
    *,
    num_envs: int = 1,
    split: str = "train",
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    device: str = "cpu",
    **settings: Any,
) -> FeedVectorEnv:
    """`num_envs` patients side by side."""
    return FeedVectorEnv(_feed(settings), num_envs, split=split, autoreset_mode=autoreset_mode, device=device)


def _feed(settings: dict[str, Any]) -> IcuSepsisFeed:
    try:
        return IcuSepsisFeed(ProcessConfig(**settings))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        hint = nearest(key, ProcessConfig.model_fields) if first["type"] == "extra_forbidden" else first["msg"]
        raise FeedError(f"ICU-Sepsis does not take {key}={first['input']!r}: {hint}") from error
