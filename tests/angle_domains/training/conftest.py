"""A small market on the disk, and configurations that train on it in a second."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from angle_domains.config import AgentConfig, load_config

Configure = Callable[..., AgentConfig]

SMALL = (
    "feed.splits.validation_from=null",
    "feed.splits.test_from=null",
    "feed.splits.embargo=5",
    "feed.features=[log_return_1, log_return_5]",
    "feed.episode_bars=40",
    "agent.network.kind=mlp",
    "agent.horizon=16",
    "agent.normalise_observation=true",
    "training.streams=8",
    "training.steps=1536",
    "training.evaluate_every=512",
    "training.checkpoint_every=256",
    "device=cpu",
    "tracking.uri=off",
)


@pytest.fixture(scope="session")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three random walks of 600 days, wide."""
    generator = np.random.default_rng(0)
    closes = 100.0 * np.exp(np.cumsum(generator.normal(0.0, 0.01, (600, 3)), 0))
    days = np.datetime64("2015-01-01T21:00", "us") + np.arange(600) * np.timedelta64(1, "D")
    path = tmp_path_factory.mktemp("prices") / "walks.parquet"
    frame = pl.DataFrame({"timestamp": days, **{name: closes[:, i] for i, name in enumerate("ABC")}})
    frame.with_columns(pl.col("timestamp").dt.replace_time_zone("UTC")).write_parquet(path)
    return path


@pytest.fixture
def configure(prices: Path) -> Configure:
    """Makes the configuration of a small run; texts `key=value` change it."""

    def make(*overrides: str, agent: str = "ppo") -> AgentConfig:
        texts = (f"feed.path={prices}", *SMALL, *overrides)
        return load_config(feed="market", agent=agent, overrides=texts)

    return make
