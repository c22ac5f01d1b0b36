"""The contract, for every feed that there is."""

from dataclasses import replace
from functools import cache
from typing import Any, Literal

import numpy as np
import pytest

from feeds.clinical.process import TELLTALES, IcuSepsisFeed, ProcessConfig
from feeds.market.config import MarketConfig
from feeds.market.feed import MarketFeed
from feeds.market.read import read_bars
from feeds.synthetic.probes import PROBES, probe
from feeds.synthetic.worlds import WORLDS
from tests.contracts.feed_contract import FeedContract
from tests.universe import market, random_closes

LONG_SHORT = {"long_only": False, "gross_cap": 1.0, "net_cap": 0.5}
VARIANTS: dict[str, dict[str, Any]] = {
    "weights": {},
    "long-short": {"actions": LONG_SHORT, "costs": {"borrow_rate": 0.02, "cash_rate": 0.01}},
    "discrete": {"actions": {"mode": "discrete", "long_only": False}},
    "portfolios": {"actions": {"mode": "portfolios", "portfolios": ((0.25,) * 4, (1.0, 0.0, 0.0, 0.0))}},
    "same-close": {"fill": "same_close", "window": 4},
    "tranches": {"holding": 3, "rebalance_every": 2, "calendar": True},
    "sharpe": {"reward": {"kind": "differential_sharpe", "drawdown_penalty": 0.1}},
}


class TestMarket(FeedContract):
    @pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
    def feed(self, request: pytest.FixtureRequest) -> MarketFeed:
        return market(scale="none", episode_bars=30, **request.param)

    def changed_future(self, feed: Any) -> tuple[Any, int] | None:
        """Another path after t, with halts, and a delisting."""
        bar = 130
        close, later = feed.bars.close.copy(), random_closes(seed=9)
        close[bar + 1 :] = later[bar + 1 :]
        tradable, listed = feed.bars.tradable.copy(), feed.bars.listed.copy()
        tradable[bar + 1 :: 3, 0] = False
        listed[bar + 20 :, 1] = tradable[bar + 20 :, 1] = False
        close[bar + 20 :, 1] = close[bar + 19, 1]
        bars = replace(feed.bars, close=close, tradable=tradable, listed=listed)
        return MarketFeed(feed.config, bars=bars), bar


@cache  # a feed is pure: tests can share it
def built(path: str, scale: Literal["standard", "none"]) -> MarketFeed:
    return MarketFeed(MarketConfig(path=path, scale=scale))


class TestEmbeddedStocks(FeedContract):
    @pytest.fixture
    def feed(self) -> MarketFeed:
        return built("sp500", "standard")


class TestWorlds(FeedContract):
    @pytest.fixture(params=WORLDS)
    def feed(self, request: pytest.FixtureRequest) -> MarketFeed:
        return built(request.param, "none")

    def changed_future(self, feed: Any) -> tuple[Any, int] | None:
        """Another draw of the same world after t."""
        bar = feed.parts["validation"].start + 200
        other, _ = read_bars(feed.config.model_copy(update={"world_seed": 1}))
        close = np.concatenate([feed.bars.close[: bar + 1], other.close[bar + 1 :]])
        extras = {
            name: np.concatenate([values[: bar + 1], other.extras[name][bar + 1 :]])
            for name, values in feed.bars.extras.items()
        }
        return MarketFeed(feed.config, bars=replace(feed.bars, close=close, extras=extras)), bar


class TestProbes(FeedContract):
    @pytest.fixture(params=PROBES)
    def feed(self, request: pytest.FixtureRequest) -> Any:
        return probe(request.param)


class TestIcuSepsis(FeedContract):
    @pytest.fixture(params=[{}, {"observation": "state"}, {"leave_out": TELLTALES, "mask": False}])
    def feed(self, request: pytest.FixtureRequest) -> IcuSepsisFeed:
        return IcuSepsisFeed(ProcessConfig(**request.param))
