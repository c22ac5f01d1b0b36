"""What an agent sees of a market: a panel of causal features, computed once, scaled by the training part alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from feeds.errors import FeedError
from feeds.market.bars import Bars
from feeds.market.config import MarketConfig
from feeds.market.indicators import History, parse
from feeds.market.panel import fresh, last_bar
from feeds.market.side import SideFacts, join_side
from feeds.scale import Standardiser, moments, rescaled
from feeds.split import Part

_MOST_WINDOW = 16 * 2**30  # bytes
_CALENDAR = ("weekday_sin", "weekday_cos", "year_sin", "year_cos")


@dataclass(frozen=True)
class Features:
    """T bars, N assets, F features of each, G features of all; nothing is NaN, the unknown is 0, the training mean."""

    values: Float[np.ndarray, "t n f"]  # float32, scaled
    names: tuple[str, ...]  # F: indicators, extras of the bars, columns of side tables, whether those are known
    known: Bool[np.ndarray, "t n f"]  # where `values` is more than the 0 of the unknown
    shared: Float[np.ndarray, "t g"]  # float32: calendar and side tables that speak of all assets
    shared_names: tuple[str, ...]  # G
    window: Float[np.ndarray, "t k n"] | None  # float32 closes, oldest first, over their maximum; 0 before listing
    first: int  # first bar at which assets listed from the start have their whole history
    scaler: Standardiser  # F
    shared_scaler: Standardiser  # G
    notes: tuple[str, ...] = ()


def build_features(bars: Bars, config: MarketConfig, train: Part) -> Features:
    """All features of `config`; means and deviations come from the bars of `train` alone.

    An asset without a bar for more than `max_gap_days` is unknown until it trades again. Raises FeedError on an
    unknown feature, with the nearest name.
    """
    indicators = [parse(name) for name in config.features if name not in bars.extras]
    facts = [join_side(side, bars) for side in config.side_tables]
    own, common = ([fact for fact in facts if fact.known.ndim == axes] for axes in (2, 1))
    flags = {fact.known_name for fact in facts}
    names = [*(indicator.name for indicator in indicators), *bars.extras]
    names += [name for fact in own for name in (*fact.names, fact.known_name)]
    shared_names = list(_CALENDAR) * config.calendar
    shared_names += [name for fact in common for name in (*fact.names, fact.known_name)]
    _distinct([*names, *shared_names])

    def panels() -> Iterator[np.ndarray]:
        history = History(bars)
        yield from (indicator.compute(history) for indicator in indicators)
        yield from bars.extras.values()
        yield from _unfolded(own)

    recent = fresh_bars(bars, config.max_gap_days)
    scaled = config.scale == "standard"
    values, known, scaler = _stack(names, panels(), recent, train, flags if scaled else set(names))
    lines = [*_calendar(bars.timestamp)] * config.calendar + [*_unfolded(common)]
    unscaled = {*flags, *_CALENDAR} if scaled else set(shared_names)
    shared, _, shared_scaler = _stack(shared_names, iter(lines), np.ones(len(bars.timestamp), bool), train, unscaled)
    return Features(
        values=values,
        names=tuple(names),
        known=known,
        shared=shared,
        shared_names=tuple(shared_names),
        window=price_window(bars.close, recent, config.window) if config.window else None,
        first=max([indicator.lookback for indicator in indicators] + [config.window - 1, 0]),
        scaler=scaler,
        shared_scaler=shared_scaler,
        notes=tuple(note for fact in facts for note in fact.notes),
    )


def fresh_bars(bars: Bars, max_age_days: float) -> np.ndarray:
    """`[T, N]` bool: the asset had a bar within the last `max_age_days`; a carried price older than that says nothing.

    It asks nothing of the future: a halt and a delisting look alike until the data tell them apart.
    """
    return fresh(last_bar(bars.tradable), bars.timestamp.astype("datetime64[us]").astype(np.int64), max_age_days)


def price_window(close: np.ndarray, fresh: np.ndarray, bars: int) -> np.ndarray:
    """Float32 `[T, K, N]`: the last K closes over their maximum, oldest first; 0 where there was none."""
    length, assets = close.shape
    size = length * assets * bars * 4
    if size > _MOST_WINDOW:
        raise FeedError(
            f"feed.window={bars} of {assets} symbols over {length} bars takes {size / 2**30:.0f} GiB, "
            f"more than {_MOST_WINDOW // 2**30}; take fewer symbols, a shorter window or a shorter time"
        )
    padded = np.concatenate([np.zeros((bars - 1, assets)), np.where(np.isnan(close), 0.0, close)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, bars, axis=0)  # [T, N, K], a view
    result = np.zeros((length, bars, assets), np.float32)
    for t in range(length):
        highest = windows[t].max(axis=1)
        use = fresh[t] & (highest > 0)
        result[t][:, use] = (windows[t][use] / highest[use, None]).T
    return result


def _distinct(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise FeedError(
                f"feed.features: two features are called '{name}'; give side tables files of distinct names"
            )


def _unfolded(facts: list[SideFacts]) -> Iterator[np.ndarray]:
    """Columns of side tables, each table followed by whether it is known."""
    for fact in facts:
        yield from fact.columns
        yield fact.known.astype(np.float64)


def _stack(
    names: list[str], panels: Iterator[np.ndarray], fresh: np.ndarray, train: Part, unscaled: set[str]
) -> tuple[np.ndarray, np.ndarray, Standardiser]:
    """Scaled float32 `[..., F]`, where it is known, and the scaler; one panel is in memory at a time."""
    values = np.zeros((*fresh.shape, len(names)), np.float32)
    known = np.zeros(values.shape, bool)
    mean, scale = np.zeros(len(names)), np.ones(len(names))
    for index, (name, panel) in enumerate(zip(names, panels, strict=True)):
        there = np.isfinite(panel) & fresh
        if name not in unscaled:
            mean[index], scale[index] = moments(panel[train.slice], there[train.slice])
        values[..., index] = rescaled(panel, there, mean[index], scale[index])
        known[..., index] = there
    return values, known, Standardiser(tuple(names), mean, scale)


def _calendar(timestamp: np.ndarray) -> list[np.ndarray]:
    """Day of the week and day of the year as points on circles, each `[T]`."""
    days = timestamp.astype("datetime64[D]")
    weekday = (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    in_year = (days - days.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64)
    angles = (2 * np.pi * weekday / 7, 2 * np.pi * in_year / 365.25)
    return [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
