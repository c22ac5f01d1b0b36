"""What is told of the patients of a feed, whose records are at hand to count again."""

from functools import cache

import numpy as np
import polars as pl
import pytest

from angle_domains.evaluation import Terms
from angle_domains.evaluation.cohort import Intended
from angle_domains.evaluation.patients.study import Study, study_of
from angle_domains.evaluation.patients.subgroups import subgroups
from angle_domains.ope.episodes import from_rows
from angle_domains.ope.settings import JudgingConfig
from feeds.base import Rows
from feeds.clinical.config import ClinicalConfig
from feeds.clinical.disclosure import small
from feeds.clinical.feed import ClinicalFeed
from tests.feeds.clinical.tables import ROLES, feed, table

PROPENSE = ROLES | {"propensity": "propensity", "site": "site"}


def ward(patients: int = 400) -> ClinicalFeed:
    frame = table(patients).with_columns(propensity=pl.lit(1 / 12))
    return feed(frame, roles=PROPENSE, splits={"train_fraction": 0.2, "validation_fraction": 0.1})


@cache
def made() -> tuple[ClinicalFeed, Rows, Study]:
    """A policy that does what was done, half of the time; else it gives nothing."""
    found = ward()
    rows = found.episodes("test")
    mean = np.where(np.random.default_rng(0).random(len(rows)) < 0.5, rows.action, 0)
    policy = np.full((len(rows), 12), 1 / 12)
    told = study_of(
        found, "test", rows, Intended(mean, None, None), from_rows(rows, policy), Terms("test")
    )  # fmt: skip
    return found, rows, told


def test_the_flow_adds_up() -> None:
    found, _, told = made()
    flow = told.flow
    assert (flow.patients_read, flow.rows_read) == (400, len(found.records))
    assert [part.patients for part in flow.parts] == [80, 40, 280]
    assert sum(part.stays for part in flow.parts) == flow.stays == len(found.records.patient)
    assert sum(part.decisions for part in flow.parts) == flow.rows - flow.stays
    assert [part.judged for part in flow.parts] == [False, False, True]
    deaths = [part.deaths for part in flow.parts]
    died = [int(np.unique(found.part(s).patient[found.part(s).died]).size) for s in ("train", "validation", "test")]
    assert deaths[2] == died[2]  # of the part that is judged, if it can be
    assert not any(small(count) for count in deaths if count is not None)
    assert deaths.count(None) != 1


def test_what_was_left_out_is_in_the_flow() -> None:
    frame = table(60)
    broken = frame.with_columns(death=pl.when(pl.col("subject_id") == "MRN7003").then(pl.int_range(pl.len()) % 2)
                                .otherwise("death"))  # fmt: skip
    settings = ClinicalConfig.model_validate({"path": "unused", "roles": ROLES, "policy": "quarantine"})
    made = ClinicalFeed(settings, frame=broken)
    rows = made.episodes("test")
    policy = np.full((len(rows), 12), 1 / 12)
    flow = study_of(made, "test", rows, Intended(rows.action, policy, None), None, Terms("test")).flow
    assert (flow.patients_read, flow.patients, flow.patients_lost) == (60, 59, 1)
    assert flow.left_out == {"stays that broke a rule": 1}
    assert flow.findings["contradictory_outcome"] == 1
    assert flow.policy == "quarantine"


def test_each_drug_is_told_in_its_unit() -> None:
    _, rows, told = made()
    vaso, nor = told.practices
    assert (vaso.name, vaso.kind, nor.name, nor.unit, nor.kind) == (
        "action_vaso", "binary", "norepinephrine", "µg/kg/min", "dose",
    )  # fmt: skip
    taken = rows.action[~rows.last]
    assert vaso.alike == pytest.approx(1.0 - 0.5 * (taken >= 6).mean(), abs=0.03)
    assert told.labels[7] == "action_vaso 1, norepinephrine 0 to 0.1 µg/kg/min (0.05)"
    assert [each.name for each in told.associations] == ["action_vaso", "norepinephrine", "all"]


def test_groups_share_out_the_patients_and_give_nobody_away() -> None:
    found, _, told = made()
    records = found.part("test")
    assert {each.column for each in told.groups} == {"age", "gender", "site"}
    for column in ("age", "gender", "site"):
        groups = [each for each in told.groups if each.column == column]
        known = sum(each.patients or 0 for each in groups)
        assert known == len(records.identities) or [each.patients for each in groups].count(None) > 1
        assert [each.deaths for each in groups].count(None) != 1
        for each in groups:
            assert each.deaths is None or not small(each.deaths) | small((each.patients or 0) - each.deaths)
            assert (each.observed is None) == (each.deaths is None)
    bands = [each.label for each in told.groups if each.column == "age"]
    assert bands == ["under 45 years", "45 to under 65 years", "65 to under 75 years", "75 years and over"]


def test_a_groups_value_is_that_of_its_own_patients() -> None:
    """Where propensities and policy are equal WIS is the mean return."""
    found, rows, told = made()
    records = found.part("test")
    female = np.array(records.coded["gender"].names)[records.coded["gender"].codes[records.starts]] == "female"
    returns = np.array([rows.reward[a:b].sum() for a, b in zip(rows.starts, rows.stops, strict=True)])
    [group] = [each for each in told.groups if each.label == "female"]
    if group.deaths is not None:
        assert group.value == pytest.approx(returns[female].mean())
        assert group.verdict == "estimable"
    else:
        assert group.value is None


def test_groups_have_their_weights_cut_where_the_whole_has() -> None:
    found, rows, _ = made()
    policy = np.random.default_rng(1).dirichlet(np.full(12, 30.0), len(rows))
    episodes = from_rows(rows, policy)
    plain, cut = (subgroups(found, "test", episodes, JudgingConfig(cut=level)) for level in (None, 1.0))
    both = [(a.value, b.value) for a, b in zip(plain, cut, strict=True) if a.value is not None]
    assert both
    assert all(one != other for one, other in both)


def test_a_coded_action_is_told_by_what_it_stands_for() -> None:
    made = ClinicalFeed(ClinicalConfig(patients=300, states={"masks": False}))  # type: ignore[arg-type]
    rows = made.episodes("test")
    meant = np.where(rows.action % 5 == 0, rows.action, rows.action - rows.action % 5)  # no vasopressors
    told = study_of(made, "test", rows, Intended(meant, None, None), None, Terms("test"))
    fluid, vaso = told.practices
    assert (fluid.name, fluid.kind, vaso.name) == ("fluid level", "level", "vasopressor level")
    assert fluid.alike == 1.0
    taken = rows.action[~rows.last]
    assert vaso.alike == pytest.approx((taken % 5 == 0).mean())
    assert told.labels[7] == "fluid level 1, vasopressor level 2"
    assert told.groups == ()


@pytest.mark.parametrize(
    "settings",
    [
        {"actions": {"codec": "binary", "columns": ["action_vaso"], "persist": ["action_vaso"]}},
        {"actions": {"codec": "stepwise"}},
        {"actions": {"codec": "box"}},
        {"actions": {"timing": "next_row"}, "ends": {"last_action": "taken"}},
        {"ends": {"max_hours": 6.0, "late_death": "terminal"}},
        {"splits": {"by": "site", "train_site": "A", "test_site": "B"}},
    ],
    ids=["binary", "stepwise", "box", "timing", "cap", "site"],
)
def test_every_way_to_read_records_is_told(settings: dict[str, object]) -> None:
    """A policy that does what was done agrees everywhere, whatever codec, timing, end and split."""
    frame = table(120).with_columns(
        gender=pl.when(pl.col("subject_id") == "MRN7003").then(None).otherwise("gender"),
        age=pl.when(pl.col("subject_id") == "MRN7005").then(None).otherwise("age"),
    )
    made = feed(frame, roles=ROLES | {"site": "site"}, **settings)
    rows = made.episodes("test")
    told = study_of(made, "test", rows, Intended(rows.action, None, None), None, Terms("test"))
    assert all(each.alike == 1.0 for each in told.practices)
    assert all(
        each.starts_given == each.starts_meant or made.config.actions.codec == "stepwise" for each in told.practices
    )
    assert all(each.odds_ratio is None for each in told.associations)
    assert all(len([b for b in each.bins if b.patients]) <= 1 for each in told.curves)
    assert told.belief is None


def test_pages_of_two_parts_do_not_tell_together_what_neither_tells() -> None:
    """Few die in the validation part: the training part is silent with it, on every page, its own too."""
    frame = table(160)
    settings = {"splits": {"train_fraction": 0.5, "validation_fraction": 0.1}}
    made = feed(frame, **settings)
    studies = {}
    for split in ("train", "validation", "test"):
        rows = made.episodes(split)
        studies[split] = study_of(made, split, rows, Intended(rows.action, None, None), None, Terms("test"))
    seen = {split: [part.deaths for part in each.flow.parts] for split, each in studies.items()}
    assert seen["train"] == seen["validation"] == seen["test"]
    assert seen["test"][:2] == [None, None]
    assert seen["test"][2] is not None
    for split in ("train", "validation"):
        assert all(group.deaths is None for group in studies[split].groups)
        assert all(each.dead.given.patients is None for each in studies[split].practices)
        assert all(each.dead is None for each in studies[split].curves)
