"""Codecs: what an action means, what can be expressed, and that going there and back changes nothing."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds.clinical.codecs import Codec, make_codec
from feeds.clinical.config import Actions
from feeds.clinical.schema import Schema
from feeds.errors import FeedError
from tests.feeds.clinical.tables import SCHEMA, feed, table

CODED = Schema.model_validate(
    {"subject": "s", "time": "t", "state": ["x"], "action": {"level": {"kind": "discrete", "low": 0, "high": 24}}}
)
ALL: dict[str, tuple[Schema, dict[str, Any]]] = {
    "binary": (SCHEMA, {"codec": "binary", "columns": ["action_vaso"]}),
    "binary, persistent": (SCHEMA, {"codec": "binary", "columns": ["action_vaso"], "persist": ["action_vaso"]}),
    "block": (SCHEMA, {"codec": "block"}),
    "block, public": (SCHEMA, {"codec": "block", "zero": False, "bins": 3}),
    "block, upper": (SCHEMA, {"codec": "block", "representative": "upper", "persist": ["action_vaso"]}),
    "block, edges": (SCHEMA, {"codec": "block", "edges": {"norepinephrine": [0, 0.05, 0.1, 0.2, 0.5]}}),
    "stepwise": (SCHEMA, {"codec": "stepwise"}),
    "stepwise, persistent": (SCHEMA, {"codec": "stepwise", "persist": ["action_vaso"], "max_step": 0.2}),
    "box": (SCHEMA, {"codec": "box"}),
    "box, persistent": (SCHEMA, {"codec": "box", "persist": ["action_vaso"]}),
    "discrete": (CODED, {"codec": "discrete"}),
}
SIZES = {
    "binary": 2,
    "block": 12,
    "block, public": 6,
    "block, edges": 10,
    "stepwise": 10,
    "stepwise, persistent": 18,
    "discrete": 25,
}


def make(name: str) -> Codec:
    schema, actions = ALL[name]
    return make_codec(schema, Actions.model_validate(actions))


def doses(codec: Codec, chance: np.random.Generator, count: int) -> np.ndarray:
    columns = []
    for name in codec.columns:
        if name == "norepinephrine":
            columns.append(np.where(chance.random(count) < 0.3, 0.0, chance.uniform(0, 0.5, count)))
        else:
            columns.append(chance.integers(0, 2 if name == "action_vaso" else 25, count).astype(np.float64))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("name", SIZES)
def test_how_many_actions_there_are(name: str) -> None:
    codec = make(name)
    assert codec.space.n == len(codec.labels) == SIZES[name]  # type: ignore[attr-defined]
    assert len(set(codec.labels)) == SIZES[name]


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_there_and_back(name: str, seed: int) -> None:
    codec, chance = make(name), np.random.default_rng(seed)
    given, before = doses(codec, chance, 50), doses(codec, chance, 50)
    action = codec.encode(given, before)
    assert all(codec.space.contains(one) for one in action)
    meant = codec.decode(action, before)
    np.testing.assert_array_equal(codec.encode(meant, before), action)
    np.testing.assert_allclose(codec.decode(codec.encode(meant, before), before), meant, atol=1e-7)
    mask = codec.mask(before)
    if mask is not None:
        assert mask[np.arange(50), action].all()
        rows, actions = np.nonzero(mask)
        np.testing.assert_array_equal(codec.encode(codec.decode(actions, before[rows]), before[rows]), actions)
    elif codec.labels:
        actions = np.arange(len(codec.labels))
        start = np.zeros((len(actions), len(codec.columns)))
        np.testing.assert_array_equal(codec.encode(codec.decode(actions, start), start), actions)
    assert codec.show(before).shape == (50, len(codec.context))
    assert set(codec.units) == set(codec.columns)


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("box", "box, persistent")])
def test_a_mask_always_leaves_something(name: str) -> None:
    codec = make(name)
    mask = codec.mask(doses(codec, np.random.default_rng(0), 500))
    assert mask is None or mask.any(axis=1).all()


def test_no_dose_can_be_said_but_not_in_the_public_bins() -> None:
    ours, public = make("block"), make("block, public")
    off, before = np.zeros((1, 2)), np.zeros((1, 2))
    assert ours.decode(ours.encode(off, before), before).tolist() == [[0.0, 0.0]]
    assert public.decode(public.encode(off, before), before)[0, 1] == pytest.approx(0.5 / 6)  # the centre of [0, 1/6)
    every = public.decode(np.arange(6), np.zeros((6, 2)))
    assert (every[:, 1] > 0).all()  # so this drug is "used" in all of the time
    np.testing.assert_allclose(every[:, 1], [1 / 12, 3 / 12, 5 / 12] * 2)
    assert every[:, 0].tolist() == [0, 0, 0, 1, 1, 1]  # index = vp1 · bins + bin


def test_bins_by_hand() -> None:
    codec = make("block, edges")
    given = np.array([[0, 0.0], [0, 0.049], [0, 0.05], [1, 0.1], [1, 0.5]])
    action = codec.encode(given, np.zeros((5, 2)))
    assert action.tolist() == [0, 1, 2, 5 + 3, 5 + 4]
    np.testing.assert_allclose(codec.decode(action, np.zeros((5, 2)))[:, 1], [0, 0.025, 0.075, 0.15, 0.35])
    assert codec.labels[2] == "action_vaso 0, norepinephrine 0.05 to 0.1 ug/kg/min (0.075)"
    assert codec.clipped(np.array([[0, 0.6], [0, 0.5], [0.5, 0.1]]), np.zeros((3, 2))).tolist() == [True, False, True]


def test_steps_by_hand() -> None:
    codec = make("stepwise")  # −0.10 −0.05 0 +0.05 +0.10, floor 0.05, cap 0.5
    before = np.array([[0, 0.05], [0, 0.1], [0, 0.5], [0, 0.25], [0, 0.0]])
    mask = codec.mask(before)
    assert mask is not None
    assert mask[:, :5].tolist() == [
        [False, False, True, True, True],
        [False, True, True, True, True],
        [True, True, True, False, False],
        [True, True, True, True, True],
        [False, False, True, True, True],  # below the floor counts as the floor
    ]
    np.testing.assert_array_equal(mask[:, :5], mask[:, 5:])
    wanted = np.array([[0, 0.5], [1, 0.06], [0, 0.44], [1, 0.25], [1, 0.0]])
    action = codec.encode(wanted, before)
    assert action.tolist() == [4, 5 + 1, 1, 5 + 2, 5 + 2]
    np.testing.assert_allclose(codec.decode(action, before)[:, 1], [0.15, 0.05, 0.45, 0.25, 0.05])
    assert codec.clipped(wanted, before).tolist() == [True, False, False, False, True]


def test_the_state_holds_the_current_dose() -> None:
    made = feed(actions={"codec": "stepwise"}, states={"last_action": True})
    block = made.spec.block("dose")
    assert block is not None
    assert block.shape == (11,)  # ten bins, and the other drug
    alone = feed(actions={"codec": "stepwise"}).spec.block("dose")
    assert alone is not None
    assert alone.features == block.features[:10]
    rows, records = made.episodes("train"), made.part("train")
    seen = rows.observation[:, block.start : block.stop]
    before = np.where(rows.first, 0.0, np.roll(records.values["norepinephrine"], 1))
    np.testing.assert_array_equal(seen[:, :10].argmax(1), np.minimum((before / 0.05 + 1e-9).astype(int), 9))
    assert (seen[:, :10].sum(1) == 1).all()


def test_decided_in_the_row_or_recorded_in_the_next() -> None:
    frame = table()
    same, following = (
        feed(frame, actions={"codec": "box", "timing": timing}).episodes("train") for timing in ("same_row", "next_row")
    )
    inside = np.flatnonzero(~same.last & ~np.roll(same.last, -1))
    np.testing.assert_array_equal(following.action[inside], same.action[inside + 1])


def test_once_on_stays_on() -> None:
    frame = table().with_columns(action_vaso=(pl.col("time_hour") == 1).cast(pl.Int64))
    made = feed(frame, actions={"codec": "binary", "columns": ["action_vaso"], "persist": ["action_vaso"]})
    rows, hours = made.episodes("train"), made.part("train").hours
    assert rows.mask is not None
    np.testing.assert_array_equal(rows.action[~rows.last], hours[~rows.last] >= 1)
    np.testing.assert_array_equal(rows.mask[:, 0], hours < 2)
    assert rows.mask[np.arange(len(rows)), rows.action].all()
    assert rows.mask[:, 1].all()
    held = made.describe()["profile"]["actions"]["held_on"]
    assert held == int((frame["time_hour"] > 1).sum())
    codec = made.codec
    assert codec.decode(np.array([0, 0]), np.array([[1.0], [0.0]])).tolist() == [[1.0], [0.0]]


@pytest.mark.parametrize("timing", ["same_row", "next_row"])
@pytest.mark.parametrize("codec", [{"codec": "stepwise"}, {"codec": "binary", "columns": ["action_vaso"]}])
def test_where_a_record_is_cut_the_codec_says_what_could_follow(codec: dict[str, Any], timing: str) -> None:
    """A value that is carried on from there is one of these alone."""
    made = feed(actions={**codec, "persist": ["action_vaso"], "timing": timing}, ends={"max_hours": 4.0})
    rows, doses = made.episodes("train"), made.doses(made.part("train"))
    assert rows.mask is not None
    assert (rows.last & ~rows.terminated).any()
    np.testing.assert_array_equal(rows.mask, made.codec.mask(doses.before))
    assert not rows.mask[rows.last & ~rows.terminated].all()
    assert rows.mask[np.arange(len(rows)), rows.action].all()


def test_doses_that_no_action_means_are_counted() -> None:
    made = feed(actions={"codec": "block", "edges": {"norepinephrine": [0, 0.1, 0.2]}, "columns": ["norepinephrine"]})
    doses, last = made.records.values["norepinephrine"], np.diff(made.records.stay, append=-1) != 0
    assert made.describe()["profile"]["actions"]["clipped"] == int(((doses > 0.2) & ~last).sum()) > 0


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no column": ({"columns": ["action_vas"]}, "did you mean 'action_vaso'"),
    "binary": ({"codec": "binary"}, "needs binary columns"),
    "stepwise": ({"codec": "stepwise", "columns": ["action_vaso"]}, "needs one numeric column"),
    "persist": ({"persist": ["norepinephrine"]}, "is no binary action column"),
    "edges": ({"edges": {"norepinephrine": [0.2, 0.1]}}, "edges must rise"),
    "lower": ({"representative": "lower"}, "would mean no dose"),
    "step": ({"codec": "stepwise", "max_step": 0.12}, "multiple of step"),
    "floor": ({"codec": "stepwise", "floor": 0.6}, "floor must lie between"),
    "discrete": ({"codec": "discrete"}, "needs one column"),
}


@pytest.mark.parametrize("case", WRONG)
def test_settings_that_make_no_codec(case: str) -> None:
    actions, said = WRONG[case]
    with pytest.raises(FeedError, match=said):
        make_codec(SCHEMA, Actions.model_validate(actions))
