"""Steps a second of the market environment on one core: one JSON line for each form.

Beside each form runs, in turns and in the same process, a bare NumPy loop of the same arithmetic (weights on the
simplex, drift, costs, reward, reset, an observation of the same width) without accounts, infos or checks.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when NumPy loads

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.feed_env import FeedEnv
from envs.vector import FeedVectorEnv
from feeds.market.bars import Bars
from feeds.market.config import MarketConfig
from feeds.market.feed import MarketFeed

_COST, _EPISODE = 0.001, 252


@dataclass(frozen=True)
class Load:
    """How much is timed: the best of `turns` turns of `steps` vector steps."""

    assets: int = 20
    bars: int = 5_787
    steps: int = 100
    turns: int = 60


def random_bars(load: Load) -> Bars:
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(0).normal(0.0, 0.01, (load.bars, load.assets)), 0))
    there = np.ones(close.shape, bool)
    days = np.datetime64("2000-01-03", "us") + np.arange(load.bars) * np.timedelta64(1, "D")
    return Bars(days, tuple(f"A{index}" for index in range(load.assets)), close, there, there.copy(), source="random")


def actions(streams: int, assets: int) -> list[np.ndarray]:
    """Points of the simplex less cash, float32, as an agent's head gives them."""
    chance = np.random.default_rng(1)
    return [chance.dirichlet(np.ones(assets + 1), streams)[:, :assets].astype(np.float32) for _ in range(8)]


def vector_form(feed: MarketFeed, streams: int) -> Iterator[None]:
    envs, given = FeedVectorEnv(feed, streams), actions(streams, len(feed.bars.symbols))
    envs.reset(seed=0)
    while True:
        for action in given:
            envs.step(action)
            yield


def single_form(feed: MarketFeed) -> Iterator[None]:
    env, given = FeedEnv(feed), [rows[0] for rows in actions(1, len(feed.bars.symbols))]
    env.reset(seed=0)
    while True:
        for action in given:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
            yield


def bare_loop(feed: MarketFeed, streams: int) -> Iterator[None]:
    """The least that has to be computed."""
    close, assets = feed.bars.close, len(feed.bars.symbols)
    growth = np.ones_like(close)
    growth[1:] = close[1:] / close[:-1]
    table = np.random.default_rng(2).random((len(close), feed.spec.observation_space.shape[0])).astype(np.float32)
    chance, given, last = np.random.default_rng(0), actions(streams, assets), len(close) - _EPISODE - 1
    bar = chance.integers(0, last, streams)
    end = bar + _EPISODE
    weights, wealth = np.zeros((streams, assets)), np.ones(streams)
    while True:
        for action in given:
            target = np.maximum(action, 0.0).astype(np.float64)
            target /= np.maximum(target.sum(1), 1.0)[:, None]
            bar = bar + 1
            held = weights * growth[bar]
            grown = 1.0 - weights.sum(1) + held.sum(1)
            held /= grown[:, None]
            left = grown * (1.0 - _COST * np.abs(target - held).sum(1))
            reward = np.log(left)
            wealth = wealth * left
            weights = target
            over = bar >= end
            if over.any():
                index = np.flatnonzero(over)
                bar[index] = chance.integers(0, last, len(index))
                end[index] = bar[index] + _EPISODE
                weights[index], wealth[index] = 0.0, 1.0
            observation = table[bar]
            observation[:, -assets - 2 : -2] = weights
            observation[:, -2], observation[:, -1] = reward, wealth
            yield


def race(forms: dict[str, Iterator[None]], load: Load, repeat: int) -> dict[str, float]:
    """Seconds of a vector step, the best turn of each form; they take turns, so that noise falls on all."""
    best = dict.fromkeys(forms, float("inf"))
    for _ in range(load.turns):
        for name, form in forms.items():
            begin = time.perf_counter()
            for _ in range(load.steps * repeat):
                next(form)
            best[name] = min(best[name], (time.perf_counter() - begin) / (load.steps * repeat))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=Load.turns)
    load = Load(turns=parser.parse_args().turns)
    feed = MarketFeed(MarketConfig(path="random walk"), bars=random_bars(load))
    forms: list[tuple[str, int, Callable[[], Any]]] = [
        ("vector", 1024, lambda: vector_form(feed, 1024)),
        ("vector", 64, lambda: vector_form(feed, 64)),
        ("single", 1, lambda: single_form(feed)),
    ]
    for form, streams, build in forms:
        seconds = race({"ours": build(), "bare": bare_loop(feed, streams)}, load, 1 if streams > 64 else 5)
        result = {
            "benchmark": "market_env",
            "form": form,
            "streams": streams,
            "assets": load.assets,
            "observation": feed.spec.observation_space.shape[0],
            "steps_per_second": round(streams / seconds["ours"]),
            "bare_steps_per_second": round(streams / seconds["bare"]),
            "ratio": round(seconds["bare"] / seconds["ours"], 3),
            "microseconds": round(seconds["ours"] * 1e6, 1),
            "threads": 1,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "numpy": np.__version__,
        }
        print(json.dumps(result))


if __name__ == "__main__":
    main()
