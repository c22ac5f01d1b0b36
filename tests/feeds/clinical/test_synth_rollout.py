"""New patients of the ward that is made up, treated by a policy that sees what the feed would show."""

from typing import Any

import numpy as np
import pytest

from feeds.clinical.border import read_records
from feeds.clinical.config import ClinicalConfig
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.synth_rollout import Ward, knowable, survival
from feeds.clinical.synth_vaso import always, rollout, true_value

PLAIN = {"masks": False, "since": False, "elapsed": False}
VASO = {"codec": "binary", "columns": ["action_vaso"]}
# With norepinephrine among the states: of the hour before, for it is a decision.
BOTH = {
    "STATE_COLUMNS": ["mbp", "lactate", "gender", "norepinephrine", "action_vaso"],
    "ACTION_COLUMNS": ["action_vaso", "norepinephrine"],
    "ACTION_TYPES": ["binary", "continuous"],
    "CATEGORICAL_FEATURES": ["gender"],
    "roles": {"action": {"norepinephrine": {"high": 0.5}}, "state": {"lactate": {"delay": 3.0}}},
}
FEEDS: dict[str, dict[str, Any]] = {
    "stepwise": {"actions": {"codec": "stepwise", "max_step": 0.2}, "states": PLAIN | {"encode": "label"}},
    "block, everything shown": {
        "actions": {"codec": "block", "persist": ["action_vaso"]},
        "states": {"last_action": True, "lag": ["mbp"]},
    },
    "doses in the state, and a delay": {**BOTH, "actions": {"codec": "block"}},
    "vasopressin alone": {"actions": VASO},
}


def made(**settings: Any) -> ClinicalFeed:
    where = "DATA_PATH" if "STATE_COLUMNS" in settings else "path"
    return ClinicalFeed(ClinicalConfig.model_validate({where: "synth-vaso", "patients": 60, **settings}))


class Chance:
    """An allowed action, each as likely as another; remembers what it did."""

    def __init__(self, actions: int) -> None:
        self.actions, self.chance = actions, np.random.default_rng(0)
        self.taken: list[np.ndarray] = []

    def __call__(self, obs: np.ndarray, mask: np.ndarray | None, patient: np.ndarray) -> np.ndarray:
        drawn = self.chance.random((len(obs), self.actions))
        self.taken.append((drawn if mask is None else drawn * mask).argmax(1))
        return self.taken[-1]


@pytest.mark.parametrize("name", FEEDS)
def test_a_policy_sees_every_hour_as_the_feed_shows_it(name: str) -> None:
    """The table of the patients whom it treated, read by the feed, shows to the bit what it saw, and what it did."""
    feed = made(**FEEDS[name])
    assert knowable(feed)
    decide = Chance(int(feed.spec.action_space.n))  # type: ignore[attr-defined]
    ward = Ward(feed, decide)
    table = rollout(ward, 40, seed=5)
    config = feed.config.model_copy(update={"roles": feed.records.schema})
    records, _ = read_records(config, table)
    rows = feed.rows_of(records)
    order = np.lexsort((records.patient[records.stay], records.hours))  # by hour, as they were seen
    np.testing.assert_array_equal(np.concatenate(ward.shown), rows.observation[order])
    decided = ~rows.last[order]
    np.testing.assert_array_equal(np.concatenate(decide.taken)[decided], rows.action[order][decided])


@pytest.mark.parametrize("on", [True, False])
def test_the_value_is_that_of_the_model_itself(on: bool) -> None:
    feed = made(actions=VASO)
    found = survival(feed, lambda obs, mask, patient: np.full(len(obs), int(on)), 80, seed=3)
    assert found == pytest.approx(true_value(always(on), 80, seed=3))


def test_who_is_cut_alive_survives_and_earns_nothing_unless_the_cut_is_an_end() -> None:
    """The value that the log's rewards estimate is that of the same settings."""
    shares = []
    for ends in ({}, {"transfer": "terminated", "hour_cap": "terminated"}):
        feed = made(actions=VASO, ends=ends)
        found = survival(feed, lambda obs, mask, patient: np.zeros(len(obs), int), 300, seed=3)
        assert found is not None
        shares.append(found)
    assert shares[0].paid < shares[0].survival == shares[1].survival == shares[1].paid
    table = rollout(always(False), 300, seed=3)
    records = ClinicalFeed(ClinicalConfig.model_validate({"path": "unused", "roles": feed.records.schema}), frame=table)
    earned = sum(records.episodes(split).reward.sum() for split in ("train", "validation", "test"))
    assert earned / 300 == pytest.approx(shares[0].paid)


def test_it_is_known_only_where_the_ward_can_show_what_the_feed_shows() -> None:
    same_hour = {**BOTH, "ACTION_COLUMNS": ["action_vaso"], "ACTION_TYPES": ["binary"]}
    del same_hour["roles"]
    assert not knowable(made(**same_hour | {"STATE_COLUMNS": ["mbp", "gender", "norepinephrine"]}))
    assert not knowable(made(actions={**VASO, "timing": "next_row"}))
    assert not knowable(ClinicalFeed(ClinicalConfig(path="mimic4demo-vaso")))
