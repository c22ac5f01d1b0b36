"""Somebody else's feed: a tossed coin is seen and to be named, four times in an episode."""

from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from angle_domains.tables import FeedEntry
from envs.vector import FeedVectorEnv
from feeds import random
from feeds.backend import Backend, backend
from feeds.base import FeedSpec, Step
from feeds.settings import Settings

Array = Any


class CoinsConfig(Settings):
    tosses: int = 4


class Coins(NamedTuple):
    key: Array  # [B] int64, of the episode
    time: Array  # [B] int64, coins named


class CoinsFeed:
    def __init__(self, config: CoinsConfig, where: Backend | None = None) -> None:
        self.config, self.backend = config, where or backend("cpu")
        faces = spaces.Box(0.0, 1.0, (1,), np.float32)
        self.spec = FeedSpec("coins", faces, spaces.Discrete(2), clock="one toss")

    def reset(self, keys: Array, *, split: str) -> tuple[Coins, Step]:
        key = random.fold(self.backend.put(keys), self.spec.splits.index(split))
        coins = Coins(key, self.backend.xp.zeros_like(key))
        return coins, self._step(coins, self._face(coins), ~self._face(coins))

    def step(self, state: Coins, action: Array) -> tuple[Coins, Step]:
        coins = Coins(state.key, state.time + 1)
        return coins, self._step(coins, self._face(state), self.backend.put(action))

    def to(self, device: str) -> "CoinsFeed":
        return CoinsFeed(self.config, backend(device))

    def envs(self, streams: int, *, split: str) -> FeedVectorEnv:
        return FeedVectorEnv(self, streams, split=split)

    def describe(self) -> dict[str, Any]:
        return {"name": "coins", "digest": "", "source": "made up", "schema": {}, "profile": {}}

    def _face(self, coins: Coins) -> Array:
        return random.fold(coins.key, coins.time) & 1

    def _step(self, coins: Coins, face: Array, named: Array) -> Step:
        xp = self.backend.xp
        seen = xp.astype(self._face(coins), xp.float32)[:, None]
        over = coins.time >= self.config.tosses
        return Step(seen, xp.astype(face == named, xp.float64), over, xp.zeros_like(over), {})


ENTRY = FeedEntry(
    summary="Coins that are seen and named",
    config="coins:CoinsConfig",
    build="coins:CoinsFeed",
    judge="angle_domains.evaluation.games:judge",
    play="angle_domains.watch.games:play",
    report="angle_domains.report.games:write_report",
    envs=("Coins-v*",),
)
