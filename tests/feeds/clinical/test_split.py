"""Parts by patient: siblings stay together, parts share nobody, and a part does not hang on the order of rows."""

import numpy as np
import polars as pl
import pytest

from feeds.clinical.audit import auroc
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.privacy import share
from feeds.errors import FeedError
from tests.feeds.clinical.tables import ROLES, feed, table

SPLITS = ("train", "validation", "test")


@pytest.mark.parametrize("exact", [True, False])
def test_parts_share_no_patient_and_stays_of_one_stand_together(exact: bool) -> None:
    made = feed(table(80), splits={"exact": exact})
    ids = [set(made.part(split).identities) for split in SPLITS]
    assert sum(map(len, ids)) == len(set.union(*ids)) == 80
    stays = sum(len(made.part(split).patient) for split in SPLITS)
    assert stays == len(made.records.patient) == 100
    if exact:
        assert [len(part) for part in ids] == [56, 12, 12]


def test_a_part_hangs_on_identity_and_seed_alone() -> None:
    frame = table(80)
    made = feed(frame, splits={"exact": False})
    shuffled = feed(frame.sample(fraction=1.0, shuffle=True, seed=1), splits={"exact": False}, policy="quarantine")
    fewer = feed(frame.filter(frame["subject_id"] != "MRN7003"), splits={"exact": False})
    other = feed(frame, splits={"exact": False, "seed": 1})
    for split in SPLITS:
        mine = set(made.part(split).identities)
        assert set(shuffled.part(split).identities) == mine
        assert set(fewer.part(split).identities) == mine - {"MRN7003"}
        assert set(other.part(split).identities) != mine


def test_by_site() -> None:
    roles = ROLES | {"site": "site"}
    made = feed(table(40), roles=roles, splits={"by": "site", "train_site": "A", "test_site": "B"})
    assert [len(made.part(split).identities) for split in SPLITS] == [20, 10, 10]
    site = {split: {made.records.sites[at] for at in made.part(split).site} for split in SPLITS}
    assert site == {"train": {"A"}, "validation": {"B"}, "test": {"B"}}
    with pytest.raises(FeedError, match="feed.splits.train_site=C is no site"):
        feed(table(40), roles=roles, splits={"by": "site", "train_site": "C", "test_site": "B"})


def test_who_was_at_both_sites_trains() -> None:
    frame = table(40)
    of_two = frame.filter(pl.col("subject_id") == "MRN7036")  # two stays, the later one at the other site
    later = pl.col("stay_id") == of_two["stay_id"].max()
    both = frame.with_columns(site=pl.when(later).then(pl.lit("A")).otherwise("site"))
    roles = ROLES | {"site": "site"}
    made = feed(both, roles=roles, splits={"by": "site", "train_site": "A", "test_site": "B"})
    ids = [set(made.part(split).identities) for split in SPLITS]
    assert not ids[0] & (ids[1] | ids[2])
    assert "MRN7036" in ids[0]


def test_stored_bounds_keep_everyone_in_their_part() -> None:
    frame = table(80)
    made = feed(frame)
    fewer = frame.filter(~pl.col("subject_id").is_in(list(made.part("validation").identities[:9])))
    again = ClinicalFeed(made.config, frame=fewer, fitted=made.state_dict())
    for split in SPLITS:
        assert set(again.part(split).identities) == set(made.part(split).identities) & set(fewer["subject_id"])
    fresh = feed(fewer)
    assert any(set(fresh.part(s).identities) != set(again.part(s).identities) for s in SPLITS)


def test_a_split_of_rows_would_flatter() -> None:
    """Outcomes that nothing can tell: who has seen other rows of the same patient seems to tell them."""
    frame = table(120)
    number = frame["subject_id"].str.slice(3).cast(pl.Int64) - 7000
    deaths = np.random.default_rng(0).random(120) < 0.5
    died = pl.Series(deaths).gather(number).cast(pl.Int64)
    frame = frame.with_columns(mbp=40.0 + number / 2, death=died, traj_end_reason=pl.lit(None, pl.String))
    made = feed(frame)
    seen = {split: (made.episodes(split).observation[:, :1], made.part(split)) for split in SPLITS}
    told = {split: records.died[records.stay] for split, (_, records) in seen.items()}
    shuffled = np.random.default_rng(1).permutation(len(told["train"]))
    half = len(shuffled) // 2
    values, labels = seen["train"][0], told["train"]
    by_row = nearest_score(values[shuffled[:half]], labels[shuffled[:half]], values[shuffled[half:]])
    flattered = auroc(by_row, labels[shuffled[half:]])
    others = np.concatenate([seen["validation"][0], seen["test"][0]])
    truth = np.concatenate([told["validation"], told["test"]])
    honest = auroc(nearest_score(values, labels, others), truth)
    assert flattered > 0.85
    assert honest < flattered - 0.15


def nearest_score(known: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The label of the nearest known row."""
    return labels[np.abs(asked[:, :1] - known[:, 0]).argmin(axis=1)].astype(float)


def test_the_bounds_that_models_keep_are_no_patients_own_hash() -> None:
    made = feed(table(40))
    shares = {share(str(identity), made.config.splits.seed) for identity in made.records.identities}
    bounds = made.state_dict()["bounds"]
    assert len(bounds) == 2
    assert not shares & set(bounds)
