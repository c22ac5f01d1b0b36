"""Parts by patient: all stays of one stand in the same part."""

import numpy as np

from feeds.clinical.config import Splits
from feeds.clinical.disclosure import LEAST
from feeds.clinical.privacy import share
from feeds.clinical.records import Records
from feeds.errors import FeedError, nearest

SPLITS = ("train", "validation", "test")


def patient_parts(
    records: Records, splits: Splits, bounds: tuple[float, ...] | None = None, least: int = 1
) -> tuple[np.ndarray, tuple[float, ...]]:
    """The part of each patient [P], as an index in SPLITS, -1 in none; and the hashes at which the next part begins.

    Handed back, the `bounds` keep everyone in the same part whoever joins or leaves; parts that the data name need
    none. FeedError where a part is small.
    """
    if splits.by == "given" and records.given is None:
        raise FeedError(f"{records.source}: feed.splits.by=given is for MEDS data with metadata/subject_splits.parquet")
    shares = np.array([share(str(identity), splits.seed) for identity in records.identities])
    if splits.by == "site":
        trains, tests = _sites(records, splits)
        bounds = bounds or _bounds(shares[tests], (0.5,), exact=splits.exact)
        parts = np.where(trains, 0, np.where(tests, 1 + np.digitize(shares, bounds), -1))
    elif records.given is not None:
        parts, bounds = records.given, ()
    else:
        fractions = splits.train_fraction, splits.train_fraction + splits.validation_fraction
        if fractions[1] >= 1:
            raise FeedError("feed.splits: train_fraction and validation_fraction leave nothing for the test part")
        bounds = bounds or _bounds(shares, fractions, exact=splits.exact)
        parts = np.digitize(shares, bounds)
    for index, name in enumerate(SPLITS):
        count = int((parts == index).sum())
        if count < max(1, least):
            raise FeedError(
                f"{records.source}: the {name} part holds {count} of {len(parts)} patients, "
                f"fewer than {max(1, least)}; see feed.splits"
            )
    return parts, bounds


def _bounds(shares: np.ndarray, fractions: tuple[float, ...], *, exact: bool) -> tuple[float, ...]:
    """The fractions themselves, or numbers below which as many hashes lie as the fractions say.

    They are kept with models, so none is a patient's own hash: each lies in the middle between two of them.
    """
    if not exact:
        return fractions
    ordered = np.concatenate([[0.0], np.sort(shares), [1.0]])
    places = [round(fraction * len(shares)) for fraction in fractions]
    return tuple(float((ordered[place] + ordered[place + 1]) / 2) for place in places)


def _sites(records: Records, splits: Splits) -> tuple[np.ndarray, np.ndarray]:
    """Who was ever at the training site [P], and who else was at the test site [P]."""
    numbers = []
    for key, name in (("train_site", splits.train_site), ("test_site", splits.test_site)):
        if name not in records.sites:
            at = [len(np.unique(records.patient[records.site == k])) for k in range(len(records.sites))]
            known = [site for site, patients in zip(records.sites, at, strict=True) if site and patients >= LEAST]
            raise FeedError(f"{records.source}: feed.splits.{key}={name} is no site; {nearest(str(name), known)}")
        numbers.append(records.sites.index(name))
    if numbers[0] == numbers[1]:
        raise FeedError("feed.splits: train_site and test_site are the same")
    trains, tests = (np.zeros(len(records.identities), bool) for _ in range(2))
    trains[records.patient[records.site == numbers[0]]] = True
    tests[records.patient[records.site == numbers[1]]] = True
    return trains, tests & ~trains
