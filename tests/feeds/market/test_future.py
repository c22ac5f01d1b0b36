"""The proof by changed futures: it passes on the feed, and it fails on feeds that look ahead."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from feeds.market.audit import proof
from feeds.market.bars import Bars
from feeds.market.config import MarketConfig, SideTable, Splits
from feeds.market.feed import MarketFeed
from feeds.market.future import change_future, future_trials
from feeds.market.read import read_bars
from tests.feeds.market.frames import long_frame, write

CONFIG = MarketConfig(
    path="unused",
    features=("log_return_1", "volatility_5", "volume_z_5"),
    window=4,
    calendar=True,
    episode_bars=40,
    splits=Splits(embargo=3),
)


def built(config: MarketConfig, bars: Bars) -> MarketFeed:
    return MarketFeed(config, bars=bars)


def with_sides(folder: Path) -> MarketConfig:
    chance = np.random.default_rng(0)
    stamps = [datetime(2020, 1, 1) + timedelta(hours=int(hour)) for hour in chance.integers(0, 120 * 24, 300)]
    table = {"published": stamps, "symbol": chance.choice(["AAA", "BBB"], 300), "tone": chance.normal(size=300)}
    news = pl.DataFrame({**table, "vector": chance.normal(size=(300, 2)).tolist()})
    macro = pl.DataFrame({"published": stamps[:50], "rate": np.arange(50)})
    sides = (
        SideTable(path=str(write(news, folder / "news.parquet"))),
        SideTable(path=str(write(macro, folder / "macro.parquet")), symbol=None, max_age_days=9.0),
    )
    return CONFIG.model_copy(update={"side_tables": sides})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"fill": "same_close"},
        {"rebalance_every": 3, "holding": 2},
        {"recovery": 0.5},
    ],
)
def test_the_feed_does_not_look_ahead(changes: dict[str, Any], tmp_path: Path) -> None:
    config = with_sides(tmp_path).model_copy(update=changes)
    bars, _ = read_bars(config, long_frame(120))
    bars = replace(bars, extras={"score": np.sin(bars.close)})
    trials = future_trials(config, bars, built)
    assert {trial.split for trial in trials} == {"train", "validation", "test"}
    assert len(trials) == 8
    assert all(trial.passed for trial in trials), trials
    assert all(trial.compared > 3 for trial in trials)


def test_the_future_is_changed_and_the_past_is_not(tmp_path: Path) -> None:
    config = with_sides(tmp_path)
    bars, _ = read_bars(config, long_frame(120))
    bars = replace(bars, extras={"score": np.sin(bars.close)})
    changed_config, changed = change_future(config, bars, 70, 0, tmp_path / "changed")
    for name in ("close", "open", "high", "low", "volume", "tradable", "listed"):
        before, after = getattr(bars, name), getattr(changed, name)
        assert np.array_equal(before[:71], after[:71]), name
        assert not np.array_equal(before[71:], after[71:]), name
    assert (changed.extras["score"][71:] != bars.extras["score"][71:]).all()
    assert (changed.low <= changed.high).all()  # type: ignore[operator]
    assert (changed.close[71:] != bars.close[71:]).all()
    end = bars.timestamp[70].astype(datetime)
    for old, new in zip(config.side_tables, changed_config.side_tables, strict=True):
        before, after = pl.read_parquet(old.path), pl.read_parquet(new.path)
        assert before.filter(pl.col("published") <= end).equals(after.filter(pl.col("published") <= end))
        later = before.filter(pl.col("published") > end)
        assert 0 < len(after) - (len(before) - len(later)) < len(later)
        kept = after.filter(pl.col("published") > end)
        assert not kept.join(later, on=kept.columns, how="semi").height


class Peeking:
    """A feed whose observation or reward shows the bar after t."""

    def __init__(self, config: MarketConfig, bars: Bars, where: str) -> None:
        self.feed, self.where = MarketFeed(config, bars=bars), where
        self.parts, self.spec = self.feed.parts, self.feed.spec
        self.ahead = np.append(bars.close[1:, 0], 0.0)

    def reset(self, keys: np.ndarray, *, split: str) -> Any:
        return self._peek(*self.feed.reset(keys, split=split))

    def step(self, state: Any, action: np.ndarray) -> Any:
        return self._peek(*self.feed.step(state, action))

    def _peek(self, state: Any, step: Any) -> Any:
        value = self.ahead[step.info["bar"]]
        if self.where == "reward":
            return state, step._replace(reward=step.reward + value)
        observation = step.observation.copy()
        observation[:, 0] = value
        return state, step._replace(observation=observation)


@pytest.mark.parametrize("where", ["reward", "observation"])
def test_a_feed_that_peeks_is_caught(where: str) -> None:
    bars, _ = read_bars(CONFIG, long_frame(120))
    trials = future_trials(CONFIG, bars, lambda config, prices: Peeking(config, prices, where))
    assert not any(trial.passed for trial in trials)
    assert all((trial.rewards > 0) == (where == "reward") for trial in trials)
    assert all((trial.observations > 0) == (where == "observation") for trial in trials)
    lines = proof(trials, bars)
    assert lines[-1] == "proof     FAILED: the feed looks ahead"
    assert "DIFFER in" in lines[0]
