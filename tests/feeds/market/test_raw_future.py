"""Raw rows after t are changed or gone before anything is read: nothing up to t may change, and a proof says so."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from feeds.base import Step
from feeds.market import side as side_module
from feeds.market.audit import proof
from feeds.market.bars import Bars
from feeds.market.config import Costs, MarketConfig, SideTable, Splits
from feeds.market.feed import MarketFeed
from feeds.market.future import future_trials
from feeds.market.panel import DAY
from feeds.market.raw_future import change_rows, instants_of, raw_trials
from feeds.market.read import Source, open_source, read_bars, read_source
from tests.feeds.market.frames import long_frame, write

BARS, T = 120, 50
CONFIG = MarketConfig(
    path="unused",
    features=("log_return_1", "volatility_5", "volume_z_5"),
    window=4,
    max_gap_days=5.0,
    recovery=0.3,
    policy="quarantine",
    scale="none",  # the scaler belongs to the whole train part
    random_start=False,
    episode_bars=BARS,
    splits=Splits(embargo=3),
    costs=Costs(sqrt_impact=0.1),
)
BBB, AFTER = pl.col("symbol") == "BBB", pl.col("timestamp").rank("dense") > T + 1


def silent(begin: int, end: int = BARS) -> pl.Expr:
    """Rows of BBB in bars `begin` up to, not including, `end`."""
    bar = pl.col("timestamp").rank("dense") - 1
    return BBB & (bar >= begin) & (bar < end)


def other_prices(frame: pl.DataFrame) -> pl.DataFrame:
    factor = pl.when(AFTER).then(0.5 + pl.int_range(pl.len()) % 7 / 10).otherwise(1.0)
    return frame.with_columns(pl.col(name) * factor for name in ("open", "high", "low", "close", "volume"))


FUTURES = {
    "other prices": other_prices,
    "no rows of one asset": lambda frame: frame.filter(~(AFTER & BBB)),
    "rows of one asset again": lambda frame: frame.filter(~silent(T + 1, T + 11)),
    "every third row": lambda frame: frame.filter(~AFTER | (pl.int_range(pl.len()) % 3 > 0)),
    "only one asset goes on": lambda frame: frame.filter(~AFTER | (pl.col("symbol") == "AAA")),
}


def tape(frame: pl.DataFrame, config: MarketConfig) -> list[Step]:
    """Steps from the start of the train part on, none beyond the close of bar T."""
    bars, _ = read_bars(config, frame)
    feed = MarketFeed(config, bars=bars)
    chance = np.random.default_rng(0)
    state, step = feed.reset(np.arange(3))
    steps = [step]
    while int(step.info["bar"].max()) + config.rebalance_every <= T:
        state, step = feed.step(state, chance.dirichlet(np.ones(4), 3)[:, :3])
        steps.append(step)
    return steps


def assert_same(one: list[Step], other: list[Step]) -> None:
    assert len(one) == len(other) > T // 3
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first.observation, second.observation)
        np.testing.assert_array_equal(first.reward, second.reward)
        np.testing.assert_array_equal(first.info["weights"], second.info["weights"])


@pytest.mark.parametrize("future", FUTURES)
@pytest.mark.parametrize("changes", [{}, {"fill": "same_close"}, {"rebalance_every": 2, "holding": 2}])
def test_raw_rows_after_t_change_nothing_up_to_t(future: str, changes: dict[str, Any]) -> None:
    config = CONFIG.model_copy(update=changes)
    for past in (None, silent(T - 1), silent(T - 20, T - 3)):  # whole, silent at t, delisted and listed anew before t
        frame = long_frame(BARS) if past is None else long_frame(BARS).filter(~(past & ~AFTER))
        assert_same(tape(frame, config), tape(FUTURES[future](frame), config))


@pytest.mark.parametrize("gap", [5.0, 14.0])
def test_whether_a_silent_asset_trades_again_is_not_known_before_it_does(gap: float) -> None:
    """Two tables that are equal up to bar 59; in one of them BBB trades again from bar 60 on."""
    config = CONFIG.model_copy(update={"max_gap_days": gap})
    returns, stays_away = (long_frame(BARS).filter(~silent(T - 1, end)) for end in (60, BARS))
    assert_same(tape(returns, config), tape(stays_away, config))


def test_a_silent_asset_is_delisted_once_the_gap_is_too_long_and_pays_then() -> None:
    """The last bar is 48, five days later is 53: BBB pays its recovery in bar 54, and is listed anew from 60 on."""
    bars, _ = read_bars(CONFIG, long_frame(BARS).filter(~silent(49, 60)))
    assert np.flatnonzero(~bars.listed[:, 1]).tolist() == list(range(54, 60))
    assert np.flatnonzero(~bars.tradable[:, 1]).tolist() == list(range(49, 60))
    feed = MarketFeed(CONFIG, bars=bars)
    state, step = feed.reset(np.zeros(1, np.int64))
    wealth, weights = {}, {}
    while int(step.info["bar"][0]) < 62:
        bar = int(step.info["bar"][0])
        wealth[bar], weights[bar] = float(step.info["wealth"][0]), float(step.info["weights"][0, 1])
        state, step = feed.hold(state, np.array([[0.0, 0.5 if bar < 40 or bar > 58 else np.nan, 0.0]]))
    assert wealth[53] == pytest.approx(wealth[49], rel=1e-12)  # halted: carried
    assert wealth[54] / wealth[53] == pytest.approx(1.0 - weights[53] * 0.7)
    assert weights[54] == weights[59] == 0.0
    assert weights[60] > 0.4


def on_disk(form: str, folder: Path) -> MarketConfig:
    """The same prices in one of the forms that are read."""
    frame = long_frame(BARS)
    if form == "wide":
        frame = frame.pivot("symbol", index="timestamp", values="close")
    if form == "a file a symbol":
        for (symbol,), rows in frame.group_by("symbol"):
            write(rows.sort("timestamp").drop("symbol"), folder / f"{symbol}.parquet")
    else:
        write(frame, folder / ("prices.csv" if form == "csv" else "prices.parquet"))
    closes_alone = {"features": ("log_return_1", "volatility_5"), "costs": Costs()} if form == "wide" else {}
    return CONFIG.model_copy(update={"path": str(folder), "scale": "standard"} | closes_alone)


@pytest.mark.parametrize("form", ["long", "wide", "csv", "a file a symbol"])
@pytest.mark.parametrize("policy", ["quarantine", "clip"])
def test_the_proof_passes_on_every_form_of_table(form: str, policy: str, tmp_path: Path) -> None:
    config = on_disk(form, tmp_path).model_copy(update={"policy": policy})
    raw = raw_trials(config, read_bars(config)[0])
    assert [trial.split for trial in raw.trials] == ["train", "validation", "test"]
    assert all(trial.passed and trial.compared > 10 for trial in raw.trials), raw.trials
    assert raw.symbols == len(raw.bars.symbols) == 3


def test_the_rows_after_t_differ_and_those_before_do_not(tmp_path: Path) -> None:
    for form in ("long", "wide"):
        source = open_source(on_disk(form, tmp_path / form))
        micros = instants_of(source)
        later = micros > np.sort(np.unique(micros))[T]
        before, after = source.table.collect(source.table.scan), change_rows(source, later, 1).scan.collect()
        assert after[: int((~later).sum())].equals(before.filter(~later))
        assert sorted(set(instants_of(replace(source, table=change_rows(source, later, 1))))) == sorted(set(micros))
        joined = after.join(before.filter(later), on=["timestamp", *(["symbol"] if form == "long" else [])])
        names = ("close", "open", "volume") if form == "long" else ("AAA", "BBB", "CCC")
        assert not any((joined[name] == joined[f"{name}_right"]).any() for name in names)
        assert sum(joined[name].null_count() for name in names) > 0
        assert (len(after) < len(before)) == (form == "long")


def test_side_tables_change_as_well_and_one_known_too_early_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    news = pl.DataFrame({"published": long_frame(BARS)["timestamp"].unique().sort(), "tone": np.arange(float(BARS))})
    side = SideTable(path=str(write(news, tmp_path / "news.parquet")), symbol=None)
    config = on_disk("long", tmp_path / "prices").model_copy(update={"side_tables": (side,)})
    raw = raw_trials(config, read_bars(config)[0])
    assert all(trial.passed for trial in raw.trials)
    assert "over 120 bars, and of side tables, changed before" in proof([], raw.bars, raw)[0]
    known_from = side_module.known_from
    early = np.int64(5 * DAY)
    monkeypatch.setattr(side_module, "known_from", lambda *given: (known_from(*given)[0] - early, ()))
    raw = raw_trials(config, read_bars(config)[0])
    assert all(trial.observations > 0 for trial in raw.trials)


def confirmed_by_the_next(source: Source) -> Bars:
    """Bars of a reader that takes a bar for an error where the one after it is far away."""
    bars, _ = read_source(source)
    ahead = np.append(bars.close[1:], bars.close[-1:], axis=0)
    return replace(bars, tradable=bars.tradable & (np.abs(np.log(ahead / bars.close)) < 0.05))


def filled_backward(source: Source) -> Bars:
    bars, _ = read_source(source)
    return replace(bars, close=np.append(bars.close[1:], bars.close[-1:], axis=0))


@pytest.mark.parametrize("read", [confirmed_by_the_next, filled_backward])
def test_a_reader_that_peeks_is_caught_here_though_its_bars_are_above_suspicion(read: Any, tmp_path: Path) -> None:
    config = on_disk("long", tmp_path)
    bars = read(open_source(config))
    checked = future_trials(config, bars, lambda settings, prices: MarketFeed(settings, bars=prices))
    assert all(trial.passed for trial in checked)
    raw = raw_trials(config, bars, read=read)
    assert not all(trial.passed for trial in raw.trials)
    lines = proof(checked, bars, raw)
    assert lines[-1] == "proof     FAILED: the feed looks ahead"
    assert any(line.startswith("raw ") and "DIFFER in" in line for line in lines)
