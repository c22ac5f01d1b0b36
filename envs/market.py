"""Makers of market environments from the settings of `feeds.market.config.MarketConfig`, given as keyword arguments."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from gymnasium.vector import AutoresetMode
from pydantic import ValidationError

from envs.feed_env import FeedEnv
from envs.vector import FeedVectorEnv
from feeds.errors import FeedError, nearest
from feeds.market.bars import Bars
from feeds.market.config import MarketConfig
from feeds.market.feed import MarketFeed


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
        return MarketFeed(_config({"path": bars.source or "bars", **settings}), bars=bars)
    config = _config(settings)
    # a file may change between two environments; what is built in does not, and a feed holds nothing of its streams
    return MarketFeed(config) if Path(config.path).exists() else _built_in(config)


@lru_cache(maxsize=4)
def _built_in(config: MarketConfig) -> MarketFeed:
    return MarketFeed(config)


def _config(settings: dict[str, Any]) -> MarketConfig:
    try:
        return MarketConfig(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        hint = nearest(key, MarketConfig.model_fields) if first["type"] == "extra_forbidden" else first["msg"]
        raise FeedError(f"the market environment does not take {key}={first['input']!r}: {hint}") from error
