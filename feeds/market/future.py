"""Proof by example that a feed does not look ahead: change everything after t, and see what changes up to t."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from feeds.base import Step
from feeds.market.bars import Bars
from feeds.market.config import MarketConfig, SideTable
from feeds.market.panel import carried, last_bar
from feeds.market.side import is_numeric, known_from, open_side
from feeds.market.tables import PATH, ROW

Build = Callable[[MarketConfig, Bars], Any]  # -> a DataFeed with `.parts`

_STREAMS = 3  # episodes side by side, with other actions each
_SPREAD = 0.2  # deviation of the log factors that the future is multiplied by


@dataclass(frozen=True)
class Trial:
    """What one changed future showed."""

    split: str
    bar: int  # t: everything after it was changed
    scaled: bool  # False: raw features, since the scaler of the train part belongs to all of that part
    compared: int  # steps up to t
    observations: int  # of them differ
    rewards: int  # of them differ

    @property
    def passed(self) -> bool:
        return self.compared > 0 and self.observations == 0 and self.rewards == 0


def future_trials(config: MarketConfig, bars: Bars, build: Build, seed: int = 0) -> list[Trial]:
    """Changed futures at several t of every part, each with another set of random actions.

    Inside the train part the features are compared unscaled: their mean and deviation are taken over the whole part, by
    design. From its last bar on nothing may change, scaling included.
    """
    config = whole_parts(config, bars)
    base = build(config, bars)
    trials = []
    for split, part in base.parts.items():
        for bar in _instants(max(part.start, first_seen(base, split)), part.stop):
            if bar == len(bars.timestamp) - 1:
                continue  # it has no future
            scaled = split != "train" or bar == part.stop - 1
            used = config if scaled else config.model_copy(update={"scale": "none"})
            trials.append(_trial(used, bars, build, split, bar, seed))
    return trials


def first_seen(feed: Any, split: str) -> int:
    """The bar at which the episodes of a part begin: the first bars of a record may only warm features up."""
    return int(np.min(feed.reset(np.arange(_STREAMS, dtype=np.int64), split=split)[1].info["bar"]))


def whole_parts(config: MarketConfig, bars: Bars) -> MarketConfig:
    """Settings under which the episodes of every part begin at its first bar and go on to its last."""
    return config.model_copy(update={"random_start": False, "episode_bars": len(bars.timestamp)})


def _instants(start: int, stop: int) -> list[int]:
    """Two bars within what is seen of a part (its first bars may only warm features up), and its last."""
    length = stop - start
    return sorted({start + length // 2, start + 4 * length // 5, stop - 1})


def _trial(config: MarketConfig, bars: Bars, build: Build, split: str, bar: int, seed: int) -> Trial:
    with TemporaryDirectory() as folder:
        changed_config, changed = change_future(config, bars, bar, seed, Path(folder))
        return compare_up_to(
            build(config, bars), build(changed_config, changed), split, bar, seed=seed, scaled=config.scale != "none"
        )


def compare_up_to(feed: Any, changed: Any, split: str, bar: int, *, seed: int, scaled: bool) -> Trial:
    """Steps of two feeds under the same actions, which should be equal to the bit as far as `bar`."""
    tapes = [_tape(one, split, bar, seed) for one in (feed, changed)]
    compared = observations = rewards = 0
    for before, after in zip(*tapes, strict=False):  # streams that are past t may end at other times
        past = np.asarray(before.info["bar"]) <= bar
        past &= np.asarray(after.info["bar"]) <= bar
        compared += int(past.sum())
        observations += _differing(before.observation, after.observation, past)
        rewards += _differing(before.reward, after.reward, past)
    return Trial(split, bar, scaled, compared, observations, rewards)


def _differing(before: np.ndarray, after: np.ndarray, past: np.ndarray) -> int:
    """Streams of which any bit differs."""
    if before.shape != after.shape:
        return int(past.sum())
    equal = (np.asarray(before) == np.asarray(after)).reshape(len(past), -1).all(axis=1)
    return int((past & ~equal).sum())


def _tape(feed: Any, split: str, bar: int, seed: int) -> list[Step]:
    """Steps of random actions from the start of the episodes until all streams are past `bar` or over."""
    state, step = feed.reset(np.arange(_STREAMS, dtype=np.int64) + seed * _STREAMS, split=split)
    space = feed.spec.action_space
    space.seed(seed)
    tape, live = [step], np.ones(_STREAMS, bool)
    while live.any():
        action = np.stack([space.sample() for _ in range(_STREAMS)])
        state, step = feed.step(state, action)
        live &= ~(np.asarray(step.terminated) | np.asarray(step.truncated)) & (np.asarray(step.info["bar"]) < bar)
        tape.append(step)
    return tape


def change_future(config: MarketConfig, bars: Bars, bar: int, seed: int, folder: Path) -> tuple[MarketConfig, Bars]:
    """Other prices, volumes, extras and side tables after `bar`, halts, and one asset delisted there."""
    chance = np.random.default_rng([seed, bar])
    return change_sides(config, bars, bar, folder), _change_bars(bars, bar, chance)


def _change_bars(bars: Bars, bar: int, chance: np.random.Generator) -> Bars:
    length, assets = bars.shape
    ahead = slice(bar + 1, length)
    tradable, listed = bars.tradable.copy(), bars.listed.copy()
    tradable[ahead] &= chance.random(tradable[ahead].shape) > 0.1
    if assets > 1:
        gone = int(chance.integers(assets))
        tradable[ahead, gone] = listed[ahead, gone] = False
    factor = np.exp(chance.normal(0.0, _SPREAD, (length, assets)))
    factor[: bar + 1] = 1.0
    last = last_bar(tradable)
    close = carried(bars.close * factor, last)

    def price(past: np.ndarray | None) -> np.ndarray | None:
        return None if past is None else _spliced(past, np.where(tradable, past * factor, close), bar)

    volume = None
    if bars.volume is not None:
        volume = _spliced(bars.volume, np.where(tradable, bars.volume * factor**3, 0.0), bar)
    return replace(
        bars,
        close=_spliced(bars.close, close, bar),
        open=price(bars.open),
        high=price(bars.high),
        low=price(bars.low),
        volume=volume,
        tradable=tradable,
        listed=listed,
        extras={name: _spliced(values, 1.0 - 2.0 * values, bar) for name, values in bars.extras.items()},
        digest="",
    )


def _spliced(past: np.ndarray, future: np.ndarray, bar: int) -> np.ndarray:
    """The one up to `bar`, to the bit, and the other after it."""
    return np.concatenate([past[: bar + 1], future[bar + 1 :]])


def change_sides(config: MarketConfig, bars: Bars, bar: int, folder: Path) -> MarketConfig:
    """The settings with side tables, written to `folder`, that differ in what is known after `bar`."""
    sides = tuple(_change_side(side, bars, bar, folder / str(index)) for index, side in enumerate(config.side_tables))
    return config.model_copy(update={"side_tables": sides})


def _change_side(side: SideTable, bars: Bars, bar: int, folder: Path) -> SideTable:
    """The same table with other numbers in the rows that are known after `bar`, and every third of them gone."""
    table = open_side(side)
    frame = table.collect(table.scan).drop(PATH, ROW)
    end = bars.timestamp[bar].astype("datetime64[us]").astype(np.int64)
    later = known_from(side, table)[0] > end
    numeric = [
        name for name in frame.columns if name not in (side.published, side.symbol) and is_numeric(frame[name].dtype)
    ]
    mask = pl.lit(pl.Series(later))
    changed = frame.with_columns(
        pl.when(mask).then(_other(frame, name)).otherwise(pl.col(name)).alias(name) for name in numeric
    )
    kept = ~(later & (np.cumsum(later) % 3 == 0))
    folder.mkdir(parents=True)
    path = folder / f"{Path(side.path).name.split('.')[0]}.parquet"
    changed.filter(kept).write_parquet(path)
    return side.model_copy(update={"path": str(path)})


def _other(frame: pl.DataFrame, name: str) -> pl.Expr:
    kind = frame[name].dtype
    if isinstance(kind, pl.List | pl.Array):
        inner = pl.col(name).cast(pl.List(kind.inner)).list.eval(pl.element() * -2 + 1)
        return inner.cast(kind)
    return (pl.col(name) * -2 + 1).cast(kind)
