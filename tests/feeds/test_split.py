"""Parts of time: order, embargo, walk-forward folds, and labels that never reach into a later part."""

from collections.abc import Iterable
from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.errors import FeedError
from feeds.market.config import Splits
from feeds.split import Part, purge, time_splits, walk_forward

DAYS = np.arange("2000-01-01", "2010-01-01", dtype="datetime64[D]").astype("datetime64[us]")


def label_overlaps(parts: Iterable[Part], horizon: int) -> int:
    """How many bars have a label of `horizon` bars (t, t + horizon] that reaches into a later part."""
    ordered = sorted((part for part in parts if len(part)), key=lambda part: part.start)
    count = 0
    for index, part in enumerate(ordered):
        for later in ordered[index + 1 :]:
            bars = np.arange(part.start, part.stop)
            count += int(((bars + horizon >= later.start) & (bars < later.stop)).sum())
    return count


def test_dates_begin_parts() -> None:
    parts = time_splits(DAYS, Splits(validation_from=date(2004, 1, 1), test_from=date(2007, 1, 1), embargo=10))
    assert list(parts) == ["train", "validation", "test"]
    assert str(DAYS[parts["validation"].start])[:10] == "2004-01-01"
    assert str(DAYS[parts["test"].start])[:10] == "2007-01-01"
    assert parts["train"] == Part(0, parts["validation"].start - 10)
    assert parts["validation"].stop == parts["test"].start - 10
    assert parts["test"].stop == len(DAYS)


def test_fractions_where_no_date_is_given() -> None:
    parts = time_splits(DAYS[:1000], Splits(embargo=20))
    assert parts == {"train": Part(0, 580), "validation": Part(600, 780), "test": Part(800, 1000)}


def test_part_is_a_half_open_range() -> None:
    part = Part(3, 6)
    assert len(part) == 3
    assert [bar in part for bar in (2, 3, 5, 6)] == [False, True, True, False]
    assert np.arange(10)[part.slice].tolist() == [3, 4, 5]


@pytest.mark.parametrize(
    "splits",
    [
        Splits(test_from=date(2015, 1, 1)),
        Splits(validation_from=date(2000, 1, 5), embargo=20),
        Splits(validation_from=date(2005, 1, 1), test_from=date(2005, 1, 10), embargo=20),
        Splits(validation_from=date(2006, 1, 1), test_from=date(2005, 1, 1)),
        Splits(train_fraction=0.6, validation_fraction=0.4),
    ],
)
def test_an_empty_part_is_refused(splits: Splits) -> None:
    with pytest.raises(FeedError, match=r"the (train|validation|test) part is empty"):
        time_splits(DAYS, splits)


def test_embargo_leaves_no_label_overlap() -> None:
    parts = time_splits(DAYS, Splits(embargo=20)).values()
    assert label_overlaps(parts, 20) == 0
    assert label_overlaps(parts, 21) == 2  # the last bar of train and of validation


def test_purge_cuts_labels_that_reach_ahead() -> None:
    parts = time_splits(DAYS, Splits(embargo=0))
    assert label_overlaps(parts.values(), 5) == 10
    purged = purge(parts, 5)
    assert label_overlaps(purged.values(), 5) == 0
    assert len(parts["train"]) - len(purged["train"]) == 5  # the label of the fifth last bar ends in the next part
    assert purged["test"] == parts["test"]
    assert time_splits(DAYS, Splits(embargo=0), horizon=5) == purged
    with pytest.raises(FeedError, match="nothing is left of the validation part"):
        purge(parts, 2000)


def test_walk_forward_folds_tile_the_test_and_never_overlap() -> None:
    splits = Splits(folds=4, embargo=15)
    folds = walk_forward(DAYS, splits)
    assert len(folds) == 4
    assert folds[0]["test"].start == time_splits(DAYS, Splits(embargo=15))["test"].start
    for before, after in pairwise(folds):
        assert before["test"].stop == after["test"].start
        assert len(after["train"]) > len(before["train"])  # expanding
    assert folds[-1]["test"].stop == len(DAYS)
    for index, fold in enumerate(folds):
        assert label_overlaps(fold.values(), 15) == 0
        assert fold["train"].stop <= fold["validation"].start - 15
        assert fold["validation"].stop == fold["test"].start - 15
        assert time_splits(DAYS, splits.model_copy(update={"fold": index})) == fold


def test_a_fold_that_is_not_there_is_refused() -> None:
    with pytest.raises(FeedError, match=r"fold=4 is not below feed.splits.folds=4"):
        time_splits(DAYS, Splits(folds=4, fold=4))
    with pytest.raises(FeedError, match=r"fold=1 is not below feed.splits.folds=0"):
        time_splits(DAYS, Splits(fold=1))
    with pytest.raises(FeedError, match="too few for 900 walk-forward folds"):
        walk_forward(DAYS[:1000], Splits(folds=900))


@given(
    total=st.integers(60, 3000),
    train=st.floats(0.2, 0.7),
    embargo=st.integers(0, 10),
    folds=st.integers(0, 5),
)
def test_any_split_is_ordered_apart_and_inside(total: int, train: float, embargo: int, folds: int) -> None:
    splits = Splits(train_fraction=train, validation_fraction=0.2, embargo=embargo, folds=folds)
    stamps = DAYS[:1].repeat(total) + np.arange(total) * np.timedelta64(3600, "s")
    try:
        parts = time_splits(stamps, splits)
    except FeedError:
        assert total < 400  # only where there is too little to divide
        return
    train_part, validation, test = (parts[name] for name in ("train", "validation", "test"))
    assert 0 <= train_part.start < train_part.stop <= validation.start - embargo
    assert validation.start < validation.stop <= test.start - embargo
    assert test.start < test.stop <= total
    assert label_overlaps(parts.values(), embargo) == 0
