"""Makers of ICU-Sepsis from the settings of `feeds.clinical.config.ProcessConfig`, given as keyword arguments."""

from typing import Any

from gymnasium.vector import AutoresetMode

from envs.feed_env import FeedEnv
from envs.settings import checked
from envs.vector import FeedVectorEnv
from feeds.clinical.config import ProcessConfig
from feeds.clinical.process import IcuSepsisFeed


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
    return IcuSepsisFeed(checked(ProcessConfig, settings, "ICU-Sepsis"))
