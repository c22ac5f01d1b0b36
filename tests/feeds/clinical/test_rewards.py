"""Rewards: worked by hand, blind beyond their horizon, and never in a state."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.rewards import COMPONENTS, Story
from feeds.errors import FeedError
from tests.feeds.clinical.tables import ROLES, feed, table
from tests.feeds.clinical.test_states import spoiled

SPLITS = ("train", "validation", "test")
LACTATE = [4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 3.0, 5.0]  # t=0: 3 < 4; t=1: 5 > 4
MBP = [60.0, 64.0, 70.0, 60.0, 65.0, 60.0, 70.0, 64.9]  # t=0: 60 → 65; t=1: 64 → 60; t=3: 60 → 64.9
SOFA = [9.0, 5.0, 9.0, 9.0, 9.0, 9.0, 8.0, 5.0]  # t=0: 8 < 9; t=1: 5 = 5
DOSE = [0.2, 0.1, 0.3, 0.0, 0.1, 0.1, 0.1, 0.1]  # t=0: .1 < .2; t=1: =; t=2: .1 < .3; t=3: .1 > 0
VASO = [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]


def story(died: bool, reason: str = "") -> pl.DataFrame:
    """Ten patients, of whom all have the eight hours above."""
    rows = {"time_hour": np.arange(8.0), "mbp": MBP, "lactate": LACTATE, "sofa": SOFA, "norepinephrine": DOSE}
    one = pl.DataFrame(rows | {"action_vaso": VASO, "ventil": [0.0] * 8, "age": [50.0] * 8, "gender": ["male"] * 8})
    end = reason or ("death" if died else "discharge")
    ends = {"death": pl.lit(int(died)), "traj_end_reason": pl.lit(end)}
    ids = [{"subject_id": pl.lit(f"P{index}"), "stay_id": pl.lit(index)} for index in range(10)]
    return pl.concat([one.with_columns(**ends, **each) for each in ids])


def paid(died: bool, reason: str = "", *, ends: dict[str, Any] | None = None, **reward: Any) -> list[float]:
    """What the actions of the hours 0 … 6 earned."""
    made = feed(story(died, reason), reward=reward, ends=ends or {})
    rows = made.episodes("test")
    assert rows.reward[0] == 0
    return [round(value, 12) for value in rows.reward[1:8].tolist()]


BY_HAND: dict[str, list[float]] = {
    "oviss_base": [1, 1, 1, 1, 1, 1, 1],
    "oviss_lactate": [1, 0, 0, 0, 0, 0, 0],
    "oviss_mbp": [1, 0, 0, 0, 0, 0, 0],
    "oviss_sofa": [3, 0, 0, 0, 0, 0, 0],
    "oviss_norepinephrine": [1, 0, 1, 0, 0, 0, 0],
    "oviss_mortality": [0, 0, 0, 0, 0, 0, -20],
    "oviss": [7, 1, 2, 1, 1, 1, -19],
    "survival": [0, 0, 0, 0, 0, 0, 0],
    "mortality": [0, 0, 0, 0, 0, 0, -1],
    "mortality_only": [0, 0, 0, 0, 0, 0, 1],
    "simple": [0, 0, -0.06, 0, -0.02, -0.02, -10.02],
}


def test_a_dose_that_stands_in_the_next_row_is_paid_for_by_its_own_decision() -> None:
    made = feed(story(True), reward={"kind": "simple"}, actions={"timing": "next_row"})
    rewards = made.episodes("test").reward[1:8]
    np.testing.assert_allclose(rewards, [0, -0.06, 0, -0.02, -0.02, -0.02, -10.02], atol=1e-12)


def among_survivors(kind: str) -> list[list[float]]:
    """What the same actions earned each of ten who died, where ten others lived: survival is paid to somebody."""
    lived = story(False).with_columns(pl.format("L{}", "subject_id").alias("subject_id"), pl.col("stay_id") + 10)
    made = feed(pl.concat([story(True), lived]), reward={"kind": kind})
    rows = {split: (made.episodes(split), made.part(split)) for split in SPLITS}
    return [
        [round(value, 12) for value in part.reward[start + 1 : start + 8].tolist()]
        for part, records in rows.values()
        for start in part.starts[records.died]
    ]


@pytest.mark.parametrize("kind", BY_HAND)
def test_of_a_death_by_hand(kind: str) -> None:
    assert among_survivors(kind) == [BY_HAND[kind]] * 10
    if kind != "survival":  # which is refused where nobody lives
        assert paid(True, kind=kind) == BY_HAND[kind]


def test_of_a_survivor_by_hand() -> None:
    assert paid(False, kind="survival") == [0, 0, 0, 0, 0, 0, 1]
    assert paid(False, kind="oviss") == [7, 1, 2, 1, 1, 1, 1]
    assert paid(False, kind="simple")[-1] == 9.98
    assert paid(False, kind="mortality") == [0] * 7


def test_looking_back_by_hand() -> None:
    """The same pairs, paid when the later value is there; a dose when it is given."""
    causal = {kind: paid(True, kind=kind, causal=True) for kind in COMPONENTS}
    assert causal["oviss_lactate"] == [0, 0, 0, 0, 0, 1, 0]
    assert causal["oviss_mbp"] == [0, 0, 0, 1, 0, 0, 0]
    assert causal["oviss_sofa"] == [0, 0, 0, 0, 0, 3, 0]
    assert causal["oviss_norepinephrine"] == [0, 0, 0, 0, 1, 0, 1]
    total = np.sum(list(causal.values()), axis=0)
    assert paid(True, kind="oviss", causal=True) == total.tolist()


def test_the_record_ends_and_nobody_died() -> None:
    for kind in ("survival", "mortality", "simple", "oviss"):
        end = paid(False, "hour_cap", kind=kind, ends={"hour_cap": "truncated"})[-1] if kind != "survival" else 0
        assert end == {"survival": 0, "mortality": 0, "simple": -0.02, "oviss": 1}[kind]
    with pytest.raises(FeedError, match="survival is paid where a stay terminates alive, and none terminates"):
        paid(False, "hour_cap", kind="survival")
    assert paid(True, "hour_cap", kind="mortality")[-1] == 0  # died later: the record does not say when
    assert paid(True, "hour_cap", kind="mortality", ends={"late_death": "terminal"})[-1] == -1


def test_components_sum_to_the_whole() -> None:
    made = feed(reward={"kind": "oviss"})
    for split in SPLITS:
        parts = made.components(split)
        assert tuple(parts) == COMPONENTS
        np.testing.assert_allclose(sum(parts.values()), made.episodes(split).reward)
    assert feed().components("train") == {}


KINDS: dict[str, dict[str, Any]] = {
    "oviss": {"kind": "oviss"},
    **{name: {"kind": name} for name in COMPONENTS},
    "oviss, causal": {"kind": "oviss", "causal": True},
    "simple": {"kind": "simple"},
    "survival": {"kind": "survival"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("after", [3.0, 6.0])
def test_nothing_beyond_the_horizon_moves_a_reward(kind: str, after: float) -> None:
    frame = table()
    made = feed(frame, reward=KINDS[kind])
    other = ClinicalFeed(made.config, frame=spoiled(frame, after), fitted=made.state_dict())
    moved = False
    for split in SPLITS:
        one, two, hours = made.episodes(split), other.episodes(split), made.part(split).hours
        decided = np.where(one.first, hours, np.roll(hours, 1))
        reach = np.maximum(hours, decided + made.term.horizon)
        np.testing.assert_array_equal(one.reward[reach <= after], two.reward[reach <= after])
        moved |= bool((one.reward[hours <= after] != two.reward[hours <= after]).any())
    assert moved == bool(made.term.horizon)  # and within it something does


def test_what_is_odd_about_a_reward_is_said() -> None:
    said = {kind: feed(reward={"kind": kind}).describe()["profile"]["reward"] for kind in ("oviss", "mortality_only")}
    assert said["oviss"]["horizon_hours"] == 6.0
    assert "no function of state, action and next state" in said["oviss"]["flag"]
    assert "opposite sign" in said["mortality_only"]["flag"]
    assert feed().describe()["profile"]["reward"]["flag"] == ""


def test_a_column_as_reward() -> None:
    frame = table().with_columns(gain=pl.col("time_hour") + 10)
    decision = feed(frame, reward={"kind": "column", "column": "gain"}).episodes("train")
    arrival = feed(frame, reward={"kind": "column", "column": "gain", "column_at": "arrival"}).episodes("train")
    hours = feed(frame).part("train").hours
    np.testing.assert_array_equal(arrival.reward, np.where(decision.first, 0, hours + 10))
    np.testing.assert_array_equal(decision.reward, np.where(decision.first, 0, hours + 9))


def test_a_function_as_reward() -> None:
    def negative_lactate(told: Story) -> np.ndarray:
        return -np.nan_to_num(told.arrived(told.column("lactate")))

    made = ClinicalFeed(feed().config, frame=table(holes=0.0), reward=negative_lactate)
    rows, records = made.episodes("test"), made.part("test")
    np.testing.assert_array_equal(rows.reward[~rows.first], -records.values["lactate"][~rows.first])
    with pytest.raises(FeedError, match=r"package.module:name of a function"):
        feed(reward={"kind": "function", "function": "nowhere:at_all"})
    with pytest.raises(FeedError, match="the reward must be one number a row"):
        ClinicalFeed(feed().config, frame=table(), reward=lambda told: np.zeros(3)).episodes("test")


def test_a_reward_that_is_missing_is_told_by_row_and_patient() -> None:
    frame = table().with_columns(gain=pl.when(pl.col("time_hour") == 1).then(None).otherwise(1.0))
    with pytest.raises(FeedError, match=r"frame, row \d+, patient [0-9a-f]{8}: the reward is missing or infinite"):
        feed(frame, reward={"kind": "column", "column": "gain"}).episodes("train")


def test_a_reward_that_looks_ahead_is_in_no_state() -> None:
    roles = ROLES | {"state": {**ROLES["state"], "gain": {}}}
    frame = table().with_columns(gain=pl.col("mbp") - 60)
    for extra in ({"column_at": "decision"}, {"column_at": "arrival", "horizon": 6.0}):
        with pytest.raises(FeedError, match="gain is in the state and tells what comes after it"):
            feed(frame, roles=roles, reward={"kind": "column", "column": "gain", **extra})
    feed(frame, roles=roles, reward={"kind": "column", "column": "gain", "column_at": "arrival"})
    feed(frame, roles=roles, reward={"kind": "column", "column": "gain"}, states={"drop": ["gain"]})
    with pytest.raises(FeedError, match="column 'sofa' is read by rewards and cannot be in the state"):
        feed(frame, roles=ROLES | {"rewards": ["sofa"]})


def test_a_column_that_the_reward_lacks() -> None:
    without: dict[str, Any] = {name: {} for name in ("mbp", "lactate")}
    with pytest.raises(FeedError, match=r"column 'sofa' is missing \(did you mean 'soffa'"):
        feed(
            table().rename({"sofa": "soffa"}), roles=ROLES | {"state": without, "static": []}, reward={"kind": "oviss"}
        )
    renamed = table().rename({"sofa": "points"})
    made = feed(
        renamed,
        roles=ROLES | {"state": without, "static": []},
        reward={"kind": "oviss_sofa", "columns": {"sofa": "points"}},
    )
    np.testing.assert_array_equal(
        made.episodes("train").reward, feed(reward={"kind": "oviss_sofa"}).episodes("train").reward
    )
