"""Small universes of prices for tests of the market feed."""

from typing import Any

import numpy as np

from feeds.base import Step
from feeds.market.bars import Bars
from feeds.market.config import MarketConfig
from feeds.market.feed import MarketFeed

FREE: dict[str, Any] = {"commission": 0.0, "half_spread": 0.0}
SPLITS: dict[str, Any] = {"train_fraction": 0.5, "validation_fraction": 0.25, "embargo": 2}


def bars_of(close: Any, **panels: Any) -> Bars:
    """Bars from closes `[T, N]` or `[T]`; everything is listed and tradable unless said otherwise."""
    close = np.asarray(close, float)
    close = close[:, None] if close.ndim == 1 else close
    there = np.ones(close.shape, bool)
    return Bars(
        timestamp=np.datetime64("2020-01-01", "us") + np.arange(len(close)) * np.timedelta64(1, "D"),
        symbols=tuple(f"A{index}" for index in range(close.shape[1])),
        close=close,
        **{"listed": there, "tradable": there.copy(), "source": "a test", **panels},
    )


def random_closes(length: int = 200, assets: int = 4, seed: int = 0, volatility: float = 0.02) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0.0, volatility, (length, assets))
    return 100.0 * np.exp(np.cumsum(noise, 0))


def market(close: Any = None, *, panels: dict[str, Any] | None = None, **settings: Any) -> MarketFeed:
    """A feed on these closes, else on random ones; one short feature, so that almost every bar can be used."""
    bars = bars_of(random_closes() if close is None else close, **(panels or {}))
    return MarketFeed(
        MarketConfig(**{"path": "a test", "features": ("log_return_1",), "splits": SPLITS, **settings}), bars=bars
    )


def whole(feed: MarketFeed) -> MarketFeed:
    """The same feed whose test part is all of the data, so that closed forms start at its first bar."""
    first = feed.features.first
    feed.parts = {**feed.parts, "test": type(feed.parts["test"])(first, len(feed.bars.timestamp))}
    return feed


def play(feed: MarketFeed, targets: Any, *, split: str = "test", decode: bool = False) -> list[Step]:
    """One stream through a part, from the first observation on; `targets` are weights or `(bar, step) -> weights`."""
    state, step = feed.reset(np.array([0]), split=split)
    tape = [step]
    move = feed.step if decode else feed.hold
    while not (tape[-1].terminated[0] or tape[-1].truncated[0]):
        wanted = targets(int(tape[-1].info["bar"][0]), len(tape) - 1) if callable(targets) else targets
        state, step = move(state, np.asarray(wanted, float)[None])
        tape.append(step)
    return tape


def rewards(tape: list[Step]) -> np.ndarray:
    return np.array([step.reward[0] for step in tape[1:]])
