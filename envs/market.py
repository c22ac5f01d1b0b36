"""Makers of market environments from the settings of `feeds.market.config.MarketConfig`, given as keyword arguments."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from gymnasium.vector import AutoresetMode

from envs.feed_env import FeedEnv
from envs.settings import checked
from envs.vector import FeedVectorEnv
from feeds.market.bars import Bars
from feeds.market.config import MarketConfig
from feeds.market.feed import MarketFeed

_WHOSE = "the market environment"


def make_market(
    *, split: str = "train", bars: Bars | None = None, render_mode: None = None, **settings: Any
) -> FeedEnv:
    """One stream; `bars` instead of a path where prices are at hand."""
    return FeedEnv(_feed(settings, bars), split=split, render_mode=render_mode)


def make_market_vector(
    *,
    num_envs: int = 1,
    split: str = "train",
    bars: Bars | None = None,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    device: str = "cpu",
    **settings: Any,
) -> FeedVectorEnv:
    """`num_envs` streams over one copy of the prices."""
    return FeedVectorEnv(_feed(settings, bars), num_envs, split=split, autoreset_mode=autoreset_mode, device=device)


def _feed(settings: dict[str, Any], bars: Bars | None) -> MarketFeed:
    if bars is not None:
        return MarketFeed(checked(MarketConfig, {"path": bars.source or "bars", **settings}, _WHOSE), bars=bars)
    config = checked(MarketConfig, settings, _WHOSE)
    # a file may change between two environments; what is built in does not, and a feed holds nothing of its streams
    return MarketFeed(config) if Path(config.path).exists() else _built_in(config)


@lru_cache(maxsize=4)
def _built_in(config: MarketConfig) -> MarketFeed:
    return MarketFeed(config)
