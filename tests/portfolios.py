"""Small markets and agents for tests of what judges and reports portfolios."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from angle_domains.types import Decision, Percept
from feeds.market.bars import Bars
from feeds.market.config import Actions, Costs, MarketConfig, Splits
from feeds.market.feed import MarketFeed

FREE = Costs(commission=0.0, half_spread=0.0)


def make_bars(close: np.ndarray, *, every: str = "D", **fields: Any) -> Bars:
    """Bars of these closes `[T, N]`, all listed and tradable where there is a price."""
    close = np.asarray(close, float)
    there = np.isfinite(close)
    begin = np.datetime64("2010-01-04T21:00", "us")
    stamps = begin + np.arange(len(close)) * np.timedelta64(1, every)
    symbols = tuple(f"A{i}" for i in range(close.shape[1]))
    return Bars(stamps, symbols, close, **{"listed": there, "tradable": there, "source": "made up", **fields})


def make_feed(bars: Bars | np.ndarray, **settings: Any) -> MarketFeed:
    """A feed of 40 % train, 20 % validation and 40 % test, without embargo; other settings of MarketConfig."""
    bars = bars if isinstance(bars, Bars) else make_bars(bars)
    defaults = {"features": ("log_return_1",), "episode_bars": 10, "splits": parts(), "costs": FREE}
    return MarketFeed(MarketConfig(**{**defaults, **settings}), bars=bars)


def parts(**settings: Any) -> Splits:
    return Splits(**{"train_fraction": 0.4, "validation_fraction": 0.2, "embargo": 0, **settings})


def random_closes(bars: int, assets: int, *, seed: int = 0, drift: float = 0.0004, risk: float = 0.01) -> np.ndarray:
    """Geometric Brownian closes."""
    steps = np.random.default_rng(seed).normal(drift, risk, (bars, assets))
    return 100.0 * np.exp(np.cumsum(steps, 0))


def wavy_closes(bars: int) -> np.ndarray:
    """Two assets of the same mean return: one falls and rises in turn, the other is calm."""
    turns = np.where(np.arange(bars) % 2, 0.01, -0.008)
    return 100.0 * np.exp(np.stack([np.cumsum(turns), np.cumsum(np.full(bars, 0.001))], 1))


class Rule:
    """An agent that answers each observation by a function; it remembers what it was asked."""

    def __init__(self, answer: Callable[[np.ndarray], Any], dtype: torch.dtype = torch.float32) -> None:
        self.answer, self.dtype = answer, dtype
        self.percepts: list[Percept] = []
        self.explored: list[bool] = []
        self.memories: list[Any] = []

    def act(self, percept: Percept, memory: Any, *, explore: bool) -> Decision:
        self.percepts.append(percept)
        self.explored.append(explore)
        self.memories.append(memory)
        action = np.asarray(self.answer(percept.obs[0].numpy()))
        return Decision(torch.as_tensor(action, dtype=self.dtype)[None], memory=len(self.memories))

    def learn(self, window: Any) -> Any:
        raise AssertionError("a judged agent does not learn")

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        raise AssertionError("a judged agent is not loaded")


def fixed(*weights: float) -> Rule:
    """Always the same weights."""
    return Rule(lambda obs: weights)


def wandering(assets: int, seed: int = 0) -> Rule:
    """Weights that drift at random over the assets and cash."""
    generator, score = np.random.default_rng(seed), np.zeros(assets + 1)

    def answer(obs: np.ndarray) -> np.ndarray:
        score[:] = 0.97 * score + 0.3 * generator.normal(size=assets + 1)
        return (np.exp(score) / np.exp(score).sum())[:-1]

    return Rule(answer)


LONG_SHORT = Actions(long_only=False, gross_cap=1.5, net_cap=1.0)
