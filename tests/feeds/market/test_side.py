"""Side tables: a bar knows what was published by its end, no more, and only while it is fresh."""

from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from feeds.errors import FeedError
from feeds.market.bars import Bars
from feeds.market.config import MarketConfig, SideTable
from feeds.market.features import build_features
from feeds.market.read import read_bars
from feeds.market.side import join_side
from feeds.split import Part
from tests.feeds.market.frames import write


def closes(bars: int = 10, symbols: tuple[str, ...] = ("A", "B")) -> Bars:
    """Daily bars that end at 21:00 UTC."""
    stamps = [datetime(2020, 1, 1 + day, 21) for day in range(bars)]
    table = pl.DataFrame({"timestamp": stamps, **{symbol: np.linspace(1, 2, bars) for symbol in symbols}})
    return read_bars(MarketConfig(path="unused"), table)[0]


def news(tmp_path: Path, rows: list[tuple[object, ...]], name: str = "news.parquet", **settings: object) -> SideTable:
    table = pl.DataFrame(rows, schema=["published", "symbol", "tone"], orient="row")
    return SideTable(path=str(write(table, tmp_path / name)), **settings)  # type: ignore[arg-type]


def test_facts_are_known_from_their_publication_on(tmp_path: Path) -> None:
    rows = [
        (datetime(2020, 1, 3, 20, 59), "A", 1.0),
        (datetime(2020, 1, 5, 21, 0), "A", 2.0),
        (datetime(2020, 1, 5, 21, 1), "B", 3.0),
    ]
    facts = join_side(news(tmp_path, rows), closes())
    assert facts.names == ("news.tone",)
    nan = float("nan")
    assert facts.columns[0][:, 0] == pytest.approx([nan, nan, 1, 1, 2, 2, 2, 2, 2, 2], nan_ok=True)
    assert facts.columns[0][:, 1] == pytest.approx([nan] * 5 + [3.0] * 5, nan_ok=True)
    assert facts.known.tolist() == np.isfinite(facts.columns[0]).tolist()


def test_a_date_is_known_when_its_day_is_over(tmp_path: Path) -> None:
    facts = join_side(news(tmp_path, [(date(2020, 1, 4), "A", 1.0)]), closes())
    assert np.flatnonzero(facts.known[:, 0])[0] == 4  # not at 21:00 of the 4th
    text = join_side(news(tmp_path, [("2020-01-04", "A", 1.0)], "text.csv"), closes())
    assert np.array_equal(text.known, facts.known)
    assert facts.notes == text.notes == ()


def test_a_date_among_times_of_day_is_known_when_its_day_is_over_too(tmp_path: Path) -> None:
    rows = [("2020-01-04", "A", 1.0), ("2020-01-06T20:00:00", "B", 2.0)]
    facts = join_side(news(tmp_path, rows, "mixed.csv"), closes())
    assert np.flatnonzero(facts.known[:, 0])[0] == 4  # not at 21:00 of the 4th
    assert np.flatnonzero(facts.known[:, 1])[0] == 5  # at 21:00 of the 6th


@pytest.mark.parametrize(
    ("stamps", "name"),
    [
        ([datetime(2020, 1, 4), datetime(2020, 1, 6)], "pandas.parquet"),
        (["2020-01-04 00:00:00", "2020-01-06 00:00:00"], "text.csv"),
        (["2020-01-04T00:00:00+00:00", "2020-01-06T00:00:00Z"], "zoned.parquet"),
        (["2020-01-04", "2020-01-06 00:00:00"], "mixed.parquet"),
    ],
)
def test_midnights_alone_are_days_known_from_their_end(stamps: list[object], name: str, tmp_path: Path) -> None:
    facts = join_side(news(tmp_path, [(stamp, "A", 1.0) for stamp in stamps], name, max_age_days=1.0), closes())
    assert np.flatnonzero(facts.known[:, 0]).tolist() == [4, 6]  # not at 21:00 of the 4th and the 6th
    assert facts.notes == (
        f"{tmp_path / name}: every 'published' is a midnight, read as a day that is known from its end on",
    )


def test_midnights_of_another_zone_are_days_of_that_zone(tmp_path: Path) -> None:
    text = news(tmp_path, [("2020-01-04T00:00:00-05:00", "A", 1.0)], "text.csv")
    assert np.flatnonzero(join_side(text, closes()).known[:, 0])[0] == 4  # from 05:00 UTC of the 5th on
    zoned = pl.DataFrame({"published": [datetime(2020, 1, 4)], "symbol": ["A"], "tone": [1.0]})
    path = write(
        zoned.with_columns(pl.col("published").dt.replace_time_zone("America/New_York")), tmp_path / "z.parquet"
    )
    assert np.flatnonzero(join_side(SideTable(path=str(path)), closes()).known[:, 0])[0] == 4


def test_a_midnight_among_times_of_day_is_that_instant(tmp_path: Path) -> None:
    rows = [(datetime(2020, 1, 4), "A", 1.0), (datetime(2020, 1, 6, 9, 30), "B", 1.0)]
    facts = join_side(news(tmp_path, rows), closes())
    assert np.flatnonzero(facts.known[:, 0])[0] == 3
    assert facts.notes == ()


def test_zones_of_publication_are_respected(tmp_path: Path) -> None:
    rows = [("2020-01-04T16:00:00-05:00", "A", 1.0), ("2020-01-04T16:00:01-05:00", "B", 1.0)]
    facts = join_side(news(tmp_path, rows, "news.csv"), closes())
    assert [int(np.flatnonzero(facts.known[:, n])[0]) for n in (0, 1)] == [3, 4]


def test_old_facts_are_missing(tmp_path: Path) -> None:
    side = news(tmp_path, [(datetime(2020, 1, 2, 21), "A", 1.0)], max_age_days=3.0)
    assert np.flatnonzero(join_side(side, closes()).known[:, 0]).tolist() == [1, 2, 3, 4]


def test_rows_need_no_order_and_the_last_of_one_instant_counts(tmp_path: Path) -> None:
    rows = [(datetime(2020, 1, day, 9), "A", value) for day, value in ((5, 5.0), (2, 1.0), (2, 2.0))]
    column = join_side(news(tmp_path, rows), closes()).columns[0][:, 0]
    assert column[1:].tolist() == [2.0] * 3 + [5.0] * 6


def test_facts_of_all_assets(tmp_path: Path) -> None:
    table = pl.DataFrame({"published": [datetime(2020, 1, 3)], "rate": [1.5], "spread": [0.5], "comment": ["x"]})
    side = SideTable(path=str(write(table, tmp_path / "macro.parquet")), symbol=None)
    facts = join_side(side, closes())
    assert facts.names == ("macro.rate", "macro.spread")
    assert facts.columns[0].shape == (10,)
    assert np.flatnonzero(facts.known).tolist() == list(range(3, 10))  # the 3rd is over after the third bar


def test_embeddings_become_columns(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {"published": [datetime(2020, 1, 2)] * 2, "symbol": ["A", "B"], "vector": [[1.0, 2.0, 3.0], None]},
        schema_overrides={"vector": pl.List(pl.Float32)},
    )
    for kind in (pl.List(pl.Float32), pl.Array(pl.Float32, 3)):
        path = write(table.with_columns(pl.col("vector").cast(kind)), tmp_path / "text.parquet")
        facts = join_side(SideTable(path=str(path)), closes())
        assert facts.names == ("text.vector_0", "text.vector_1", "text.vector_2")
        assert [column[5, 0] for column in facts.columns] == [1.0, 2.0, 3.0]
        assert all(np.isnan(column[5, 1]) for column in facts.columns)
    ragged = pl.DataFrame({"published": [datetime(2020, 1, 2)] * 2, "symbol": ["A", "B"], "v": [[1.0], [1.0, 2.0]]})
    with pytest.raises(FeedError, match=r"column 'v' holds lists of \[1, 2\] numbers"):
        join_side(SideTable(path=str(write(ragged, tmp_path / "ragged.parquet"))), closes())


def test_strangers_are_told_and_missing_columns_refused(tmp_path: Path) -> None:
    rows = [(datetime(2020, 1, 2), "A", 1.0), (datetime(2020, 1, 2), "ZZZ", 1.0)]
    side = news(tmp_path, rows)
    assert "1 symbols are not in the universe: ZZZ" in join_side(side, closes()).notes[-1]
    for changes, hint in (
        ({"columns": ("tune",)}, r"column 'tune' is missing \(did you mean 'tone'\?\)"),
        ({"published": "publisher"}, r"column 'publisher' is missing \(did you mean 'published'\?\)"),
        ({"columns": ("symbol",)}, "column 'symbol' is String, wanted numbers"),
        ({"path": str(tmp_path / "new.parquet")}, r"did you mean 'news.parquet'"),
    ):
        with pytest.raises(FeedError, match=hint):
            join_side(side.model_copy(update=changes), closes())


def test_features_of_side_tables_are_scaled_and_say_whether_they_are_known(tmp_path: Path) -> None:
    rows = [
        (datetime(2020, 1, 1 + day, 12), symbol, day + 10.0 * (symbol == "B")) for day in range(6) for symbol in "AB"
    ]
    macro = pl.DataFrame({"published": [datetime(2020, 1, 3, 9), datetime(2020, 1, 5, 9)], "rate": [1.0, 3.0]})
    sides = (
        news(tmp_path, rows, max_age_days=2.0),
        SideTable(path=str(write(macro, tmp_path / "macro.parquet")), symbol=None),
    )
    config = MarketConfig(path="unused", features=(), side_tables=sides)
    features = build_features(closes(), config, Part(0, 5))
    assert features.names == ("news.tone", "news.known")
    assert features.shared_names == ("macro.rate", "macro.known")
    train = np.array([[day, day + 10.0] for day in range(5)])
    assert features.values[:5, :, 0] == pytest.approx((train - train.mean()) / train.std())
    assert features.values[:, 0, 1].tolist() == [1.0] * 7 + [0.0] * 3  # flags are not scaled
    assert not features.values[7:, :, 0].any()
    assert features.shared[:, 1].tolist() == [0.0] * 2 + [1.0] * 8
    assert features.shared[2:, 0] == pytest.approx([(x - 5 / 3) / np.std([1, 1, 3]) for x in (1, 1, *[3] * 6)])


def test_publications_after_t_change_nothing_up_to_t(tmp_path: Path) -> None:
    """Also inside the bar that is open at t: what is published between its ends is known at its close, not before."""
    chance = np.random.default_rng(0)
    stamps = [datetime(2020, 1, 1 + int(day), int(hour)) for day, hour in chance.integers((0, 0), (10, 24), (60, 2))]
    rows = [(stamp, "AB"[stamp.day % 2], float(chance.normal())) for stamp in stamps]
    end = datetime(2020, 1, 6, 21)  # bar 5
    other = [(stamp, who, value if stamp <= end else value + 100.0) for stamp, who, value in rows]
    config = MarketConfig(path="unused", features=("log_return_1",))
    built = []
    for index, table in enumerate((rows, other)):
        side = news(tmp_path / str(index), table)
        built.append(build_features(closes(), config.model_copy(update={"side_tables": (side,)}), Part(0, 6)))
    assert np.array_equal(built[0].values[:6], built[1].values[:6])
    assert built[0].scaler.digest() == built[1].scaler.digest()
    assert not np.array_equal(built[0].values[6], built[1].values[6])  # known at the next close
