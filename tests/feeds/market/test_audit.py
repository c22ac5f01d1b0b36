"""The report of `feeds check`: whole, also where rows break rules."""

from pathlib import Path

import polars as pl
import pytest

from feeds.market import raw_future
from feeds.market.audit import check
from feeds.market.config import MarketConfig, Splits
from tests.feeds.market.frames import long_frame, wide_frame, write

CONFIG = MarketConfig(
    path="unused",
    features=("log_return_1", "volatility_5", "volume_z_5"),
    calendar=True,
    splits=Splits(embargo=3),
)


def test_the_whole_report(tmp_path: Path) -> None:
    path = write(long_frame(120), tmp_path / "prices.parquet")
    text, accepted = check(str(path), CONFIG)
    assert accepted
    for line in (
        f"source    {path}",
        "rows      360",
        "symbols   3",
        "bars      120 from 2020-01-01 00:00 to 2020-04-29 00:00 (UTC)",
        "findings  0 (policy error)",
        "verdict   accepted",
        "universe  3 listed at the first bar, 3 at the last",
        "split     train: 69 bars from 2020-01-01 to 2020-03-09",
        "split     left out: 3 between train and validation, 3 between validation and test (embargo 3 bars, labels",
        "log_return_1: train mean",
        "of all assets: weekday_sin",
        "proof     no observation or reward depends on what comes after it",
    ):
        assert line in text, line
    assert text.count("equal to the bit") == 11
    assert "raw       rows of all symbols (3) over 120 bars, changed before they are read and checked:" in text
    assert "raw       train, all 153 rows after 2020-03-09 00:00 changed or gone: " in text


@pytest.mark.parametrize(("frame", "rows"), [(long_frame(120), 102), (wide_frame(long_frame(120)), 51)])
def test_of_many_symbols_the_raw_rows_of_some_are_changed_and_the_report_says_so(
    frame: pl.DataFrame, rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_future, "CELLS", 250)
    path = write(frame, tmp_path / "prices.parquet")
    text = check(str(path), CONFIG.model_copy(update={"features": ("log_return_1", "volatility_5")})).text
    assert "raw       rows of a sample of 2 of 3 symbols over 120 bars" in text
    assert f"raw       train, all {rows} rows after" in text
    assert text.count("equal to the bit") == 11


def test_a_world_has_no_raw_rows() -> None:
    text = check("synthetic-brownian", CONFIG.model_copy(update={"features": ("log_return_1",)})).text
    assert text.count("future    ") == text.count("equal to the bit") > 0
    assert "raw  " not in text


def test_a_part_that_mostly_warms_features_up_is_no_look_ahead(tmp_path: Path) -> None:
    path = write(long_frame(140), tmp_path / "prices.parquet")
    text, accepted = check(str(path), CONFIG.model_copy(update={"features": ("momentum_60",)}))
    assert accepted
    assert text.count("equal to the bit") == 11
    assert " 0 steps" not in text


def test_what_long_labels_leave_out_is_told(tmp_path: Path) -> None:
    path = write(long_frame(120), tmp_path / "prices.parquet")
    text = check(str(path), CONFIG.model_copy(update={"rebalance_every": 2, "holding": 4})).text
    assert (
        "left out: 8 between train and validation, 8 between validation and test (embargo 3 bars, labels of 8" in text
    )


def test_the_report_goes_on_without_rows_that_break_rules(tmp_path: Path) -> None:
    frame = long_frame(120).with_row_index("index")
    bad = pl.when(pl.col("index") == 50).then(pl.col("low") / 2).otherwise("high")
    path = write(frame.with_columns(high=bad).drop("index"), tmp_path / "prices.csv")
    text, accepted = check(str(path), CONFIG)
    assert not accepted
    assert "verdict   refused: 1 finding under feed.policy=error" in text
    assert f"{path}, row 51, line 52 (CCC, 2020-01-17): high" in text
    assert "proof     no observation" in text
    text, accepted = check(str(path), CONFIG.model_copy(update={"policy": "quarantine"}))
    assert accepted
    assert "verdict   accepted with 1 finding" in text
