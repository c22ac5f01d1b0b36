"""Parts by patient: all stays of one stand in the same part."""

import numpy as np

from feeds.clinical.config import Splits
from feeds.clinical.privacy import share
from feeds.clinical.records import Records
from feeds.errors import FeedError, nearest

SPLITS = ("train", "validation", "test")


def patient_parts(records: Records, splits: Splits, least: int = 1) -> np.ndarray:
    """The part of each patient [P], as an index in SPLITS, -1 in none. FeedError where a part is too small."""
    shares = np.array([share(str(identity), splits.seed) for identity in records.identities])
    if splits.by == "site":
        parts = _by_site(records, splits, shares)
    else:
        if splits.train_fraction + splits.validation_fraction >= 1:
            raise FeedError("feed.splits: train_fraction and validation_fraction leave nothing for the test part")
        bounds = splits.train_fraction, splits.train_fraction + splits.validation_fraction
        parts = np.digitize(_ranked(shares) if splits.exact else shares, bounds)
    for index, name in enumerate(SPLITS):
        count = int((parts == index).sum())
        if count < max(1, least):
            raise FeedError(
                f"{records.source}: the {name} part holds {count} of {len(parts)} patients, "
                f"fewer than {max(1, least)}; see feed.splits"
            )
    return parts


def _ranked(shares: np.ndarray) -> np.ndarray:
    """Shares by rank: as many patients in each part as the fractions say."""
    ranks = np.empty(len(shares))
    ranks[np.argsort(shares, kind="stable")] = np.arange(len(shares))
    return (ranks + 0.5) / max(1, len(shares))


def _by_site(records: Records, splits: Splits, shares: np.ndarray) -> np.ndarray:
    """All who were ever at the training site train; the others of the test site are halved."""
    numbers = []
    for key, name in (("train_site", splits.train_site), ("test_site", splits.test_site)):
        if name not in records.sites:
            known = [site for site in records.sites if site]
            raise FeedError(f"{records.source}: feed.splits.{key}={name} is no site; {nearest(str(name), known)}")
        numbers.append(records.sites.index(name))
    if numbers[0] == numbers[1]:
        raise FeedError("feed.splits: train_site and test_site are the same")
    trains, tests = (np.zeros(len(shares), bool) for _ in range(2))
    trains[records.patient[records.site == numbers[0]]] = True
    tests[records.patient[records.site == numbers[1]]] = True
    tests &= ~trains
    parts = np.full(len(shares), -1)
    parts[trains] = 0
    halves = _ranked(shares[tests]) if splits.exact else shares[tests]
    parts[tests] = np.where(halves < 0.5, 1, 2)
    return parts
