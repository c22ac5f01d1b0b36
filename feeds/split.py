"""Parts of time for training, validation and test, with bars left out between them."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np

from feeds.errors import FeedError

SPLITS = ("train", "validation", "test")


@runtime_checkable
class SplitSettings(Protocol):
    """What `feeds.market.config.Splits` says; dates begin a part, fractions count where there is no date."""

    @property
    def validation_from(self) -> object: ...
    @property
    def test_from(self) -> object: ...
    @property
    def train_fraction(self) -> float: ...
    @property
    def validation_fraction(self) -> float: ...
    @property
    def embargo(self) -> int: ...
    @property
    def folds(self) -> int: ...
    @property
    def fold(self) -> int: ...


@dataclass(frozen=True)
class Part:
    """The bars from `start` up to, not including, `stop`."""

    start: int
    stop: int

    def __len__(self) -> int:
        return max(0, self.stop - self.start)

    def __contains__(self, bar: int) -> bool:
        return self.start <= bar < self.stop

    @property
    def slice(self) -> slice:
        return slice(self.start, self.stop)


def time_splits(timestamps: np.ndarray, splits: SplitSettings, horizon: int = 0) -> dict[str, Part]:
    """Train, validation and test, in this order of time; of walk-forward folds the one that `splits.fold` names.

    The `embargo` bars before validation and before test belong to no part, more of them where labels look `horizon`
    bars ahead and the embargo is shorter. Raises FeedError where a part is empty.
    """
    if splits.fold and splits.fold >= splits.folds:
        raise FeedError(f"feed.splits.fold={splits.fold} is not below feed.splits.folds={splits.folds}")
    parts = walk_forward(timestamps, splits)[splits.fold] if splits.folds else _one_split(timestamps, splits)
    return purge(parts, horizon) if horizon else parts


def walk_forward(timestamps: np.ndarray, splits: SplitSettings) -> list[dict[str, Part]]:
    """Folds whose tests tile the bars from the first test bar on, each trained on all that came before.

    Validation is the newest share of a fold's past. The folds are those of `skfolio.model_selection.WalkForward`,
    expanding, with `purged_size` the embargo.
    """
    from skfolio.model_selection import WalkForward

    total = len(timestamps)
    validation_from, test_from = _bounds(timestamps, splits)
    past = test_from - splits.embargo
    size = (total - test_from) // splits.folds
    if past <= 0 or size <= 0:
        raise FeedError(f"{total} bars are too few for {splits.folds} walk-forward folds from bar {test_from} on")
    share = (test_from - validation_from) / test_from
    spare = total - test_from - size * splits.folds  # does not divide by the folds: the last test takes it
    forward = WalkForward(
        test_size=size, train_size=past, expand_train=True, purged_size=splits.embargo, reduce_test=False
    )
    folds: list[dict[str, Part]] = []
    for before, test in forward.split(np.empty((total - spare, 1))):
        start, stop = int(before[0]), int(before[-1]) + 1
        validation = stop - max(1, round(share * (stop - start)))
        end = int(test[-1]) + 1 if len(folds) < splits.folds - 1 else total
        parts = Part(start, validation - splits.embargo), Part(validation, stop), Part(int(test[0]), end)
        folds.append(_checked(timestamps, *parts))
    return folds


def purge(parts: dict[str, Part], horizon: int) -> dict[str, Part]:
    """The same parts, cut at their end as far as needed for labels of `horizon` bars never to overlap."""
    ordered = sorted(parts.items(), key=lambda item: item[1].start)
    purged = dict(parts)
    for (name, part), (_, later) in pairwise(ordered):
        purged[name] = Part(part.start, max(part.start, min(part.stop, later.start - horizon)))
        if not len(purged[name]):
            raise FeedError(f"nothing is left of the {name} part once labels of {horizon} bars are purged")
    return purged


def _one_split(timestamps: np.ndarray, splits: SplitSettings) -> dict[str, Part]:
    validation, test = _bounds(timestamps, splits)
    return _checked(
        timestamps,
        Part(0, validation - splits.embargo),
        Part(validation, test - splits.embargo),
        Part(test, len(timestamps)),
    )


def _bounds(timestamps: np.ndarray, splits: SplitSettings) -> tuple[int, int]:
    """First bars of validation and test."""
    total = len(timestamps)
    test = round(total * (splits.train_fraction + splits.validation_fraction))
    if splits.test_from is not None:
        test = int(np.searchsorted(timestamps, np.datetime64(str(splits.test_from), "us")))
    validation = round(total * splits.train_fraction)
    if splits.validation_from is not None:
        validation = int(np.searchsorted(timestamps, np.datetime64(str(splits.validation_from), "us")))
    elif splits.test_from is not None:
        share = splits.train_fraction / (splits.train_fraction + splits.validation_fraction)
        validation = round(test * share)
    return validation, test


def _checked(timestamps: np.ndarray, *parts: Part) -> dict[str, Part]:
    named = dict(zip(SPLITS, parts, strict=True))
    for name, part in named.items():
        if part.stop <= part.start or part.start < 0 or part.stop > len(timestamps):
            raise FeedError(
                f"the {name} part is empty: bars {part.start} to {part.stop} of {len(timestamps)} "
                f"({_span(timestamps)}); see feed.splits, whose embargo is left out before validation and test"
            )
    return named


def _span(timestamps: np.ndarray) -> str:
    if not len(timestamps):
        return "no bars"
    return f"{str(timestamps[0])[:10]} to {str(timestamps[-1])[:10]}"
