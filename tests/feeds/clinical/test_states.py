"""States: what was known at each row, fitted on training patients alone, and blind to whatever comes later."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.fill import at_offset, newest
from feeds.errors import FeedError
from tests.feeds.clinical.tables import CONFIG, ROLES, feed, table

SPLITS = ("train", "validation", "test")


def test_the_newest_value_by_hand() -> None:
    stay = np.array([0, 0, 0, 0, 1, 1])
    hours = np.array([0.0, 1.0, 3.0, 4.0, 0.0, 2.0])
    known = np.array([False, True, False, True, False, True])
    filled = newest(known, stay, hours)
    assert filled.source.tolist() == [-1, 1, 1, 3, -1, 5]
    assert filled.new.tolist() == [False, True, False, True, False, True]
    assert filled.age.tolist() == [np.inf, 0.0, 2.0, 0.0, np.inf, 0.0]
    assert newest(known, stay, hours, lag=True).source.tolist() == [-1, -1, 1, 1, -1, -1]


def test_a_result_is_known_when_it_is_out_not_when_it_was_drawn() -> None:
    stay = np.array([0, 0, 0, 0, 1, 1])
    hours = np.array([0.0, 1.0, 2.0, 3.0, 0.0, 1.0])
    known = np.array([True, True, False, False, True, False])
    late = newest(known, stay, hours, delay=1.5)
    assert late.source.tolist() == [-1, -1, 0, 1, -1, -1]
    assert late.age.tolist() == [np.inf, np.inf, 2.0, 2.0, np.inf, np.inf]
    assert newest(known, stay, hours, delay=1.0).source.tolist() == [-1, 0, 1, 1, -1, 4]
    roles = ROLES | {"state": {**ROLES["state"], "lactate": {"delay": 2.0}}}
    frame = table(holes=0.0)
    plain, shifted = (feed(frame, roles=given).episodes("train").observation for given in (ROLES, roles))
    first = feed(frame).episodes("train").first
    starts = np.flatnonzero(first)
    np.testing.assert_allclose(shifted[starts, 1], 0.0)  # nothing is known yet
    np.testing.assert_allclose(shifted[starts + 1, 1], 0.0)
    inside = starts + 2
    again = (plain[starts, 1] - plain[starts, 1].mean()) / plain[starts, 1].std()
    moved = (shifted[inside, 1] - shifted[inside, 1].mean()) / shifted[inside, 1].std()
    np.testing.assert_allclose(moved, again, atol=1e-4)


def test_rows_at_a_distance() -> None:
    stay = np.array([0, 0, 0, 1, 1])
    hours = np.array([0.0, 4.0, 8.0, 0.0, 3.5])
    assert at_offset(stay, hours, 4.0).tolist() == [1, 2, -1, 4, -1]
    assert at_offset(stay, hours, 6.0).tolist() == [-1, -1, -1, -1, -1]
    assert at_offset(stay, hours, -4.0).tolist() == [-1, 0, 1, -1, -1]


def test_a_value_grows_too_old() -> None:
    frame = table().with_columns(lactate=pl.when(pl.col("time_hour") == 0).then(4.0 + pl.col("sofa") / 10))
    made = feed(frame, states={"max_age": 3.0})
    rows, records = made.episodes("train"), made.part("train")
    hours, index = records.hours, made.spec.blocks[0].features.index("lactate")
    assert (rows.observation[hours > 3, index] == 0).all()
    assert (rows.observation[hours <= 3, index] != 0).any()
    since = made.spec.block("since")
    assert since is not None
    age = rows.observation[:, since.start + 1] * 24
    np.testing.assert_allclose(age, np.minimum(hours, 3.0), atol=1e-5)
    new = made.spec.block("new")
    assert new is not None
    np.testing.assert_array_equal(rows.observation[:, new.start + 1], hours == 0)
    old = made.spec.blocks[0].features.index("age")
    assert (rows.observation[:, old] != 0).all()  # what is static does not age


def spoiled(frame: pl.DataFrame, after: float) -> pl.DataFrame:
    """The table with every value and dose in rows after an hour changed."""
    later = pl.col("time_hour") > after
    changes = {
        "mbp": 150.0 - pl.col("mbp"),
        "lactate": pl.lit(9.0),
        "sofa": 20.0 - pl.col("sofa"),
        "ventil": 1.0 - pl.col("ventil"),
        "action_vaso": 1 - pl.col("action_vaso"),
        "norepinephrine": 0.5 - pl.col("norepinephrine"),
    }
    return frame.with_columns(pl.when(later).then(new).otherwise(name).alias(name) for name, new in changes.items())


CODECS: dict[str, dict[str, Any]] = {
    "binary, persistent": {"codec": "binary", "columns": ["action_vaso"], "persist": ["action_vaso"]},
    "block": {"codec": "block"},
    "stepwise": {"codec": "stepwise", "persist": ["action_vaso"]},
    "stepwise, next row": {"codec": "stepwise", "timing": "next_row"},
    "box": {"codec": "box"},
}


@pytest.mark.parametrize("after", [0.0, 2.0, 7.0])
@pytest.mark.parametrize("codec", CODECS)
def test_nothing_up_to_an_hour_hangs_on_what_comes_after_it(codec: str, after: float) -> None:
    frame = table()
    given: dict[str, Any] = {
        "actions": CODECS[codec],
        "states": {"last_action": True},
        "reward": {"kind": "oviss", "causal": True},
        "roles": ROLES | {"state": {**ROLES["state"], "norepinephrine": {}, "sofa": {"delay": 1.0}}},
    }
    made = feed(frame, **given)
    other = ClinicalFeed(made.config, frame=spoiled(frame, after), fitted=made.state_dict())
    for split in SPLITS:
        one, two, hours = made.episodes(split), other.episodes(split), made.part(split).hours
        known = hours <= after
        np.testing.assert_array_equal(one.observation[known], two.observation[known])
        assert not np.array_equal(one.observation[~known], two.observation[~known])
        np.testing.assert_array_equal(one.reward[known], two.reward[known])
        if one.mask is not None and two.mask is not None:
            np.testing.assert_array_equal(one.mask[known], two.mask[known])
        if "next row" not in codec:
            np.testing.assert_array_equal(one.action[known], two.action[known])


def test_rows_that_are_missing_later_change_nothing_either() -> None:
    frame = table()
    made = feed(frame)
    cut = ClinicalFeed(made.config, frame=frame.filter(pl.col("time_hour") <= 2), fitted=made.state_dict())
    for split in SPLITS:
        known = made.part(split).hours <= 2
        np.testing.assert_array_equal(made.episodes(split).observation[known], cut.episodes(split).observation)


def test_a_decision_does_not_see_itself() -> None:
    frame = table(holes=0.0)
    roles = ROLES | {"state": {**ROLES["state"], "norepinephrine": {}}}
    made = feed(frame, roles=roles, states={"scale": "none", "clip": None}, actions={"codec": "box"})
    assert "norepinephrine_before" in made.spec.blocks[0].features
    assert "norepinephrine" not in made.spec.blocks[0].features
    rows = made.episodes("train")
    seen = rows.observation[:, made.spec.blocks[0].features.index("norepinephrine_before")]
    inside = ~rows.first
    np.testing.assert_allclose(seen[inside], rows.action[np.flatnonzero(inside) - 1, 1], atol=1e-7)
    assert (seen[rows.first] == 0).all()
    sofa = feed(frame, states={"lag": ["sofa"], "scale": "none"}).episodes("train").observation[:, 2]
    plain = feed(frame, states={"scale": "none"}).episodes("train").observation[:, 2]
    np.testing.assert_array_equal(sofa[inside], plain[np.flatnonzero(inside) - 1])


def test_scalers_and_categories_are_those_of_the_training_patients() -> None:
    frame = table()
    made = feed(frame)
    train = set(made.part("train").identities)
    others = ~pl.col("subject_id").is_in(list(train))
    moved = frame.with_columns(
        mbp=pl.when(others).then(pl.col("mbp") + 60).otherwise("mbp"),
        gender=pl.when(others).then(pl.lit("other")).otherwise("gender"),
    )
    again = feed(moved)
    assert again.state_dict() == made.state_dict()
    np.testing.assert_array_equal(again.episodes("train").observation, made.episodes("train").observation)
    test = again.episodes("test").observation
    unknown = again.spec.blocks[0].features.index("gender=unknown")
    assert (test[:, unknown] == 1).all()
    assert (test[:, [unknown - 1, unknown - 2]] == 0).all()
    assert again.describe()["profile"]["unknown_categories"] == {"gender": int((frame.filter(others)).height)}
    values = made.part("train").values["mbp"]
    mean, scale = (made.state_dict()["states"][key][0] for key in ("mean", "scale"))
    assert (mean, scale) == (pytest.approx(values.mean()), pytest.approx(values.std()))


def test_what_was_fitted_is_stored_and_used_as_it_is() -> None:
    made = feed()
    stored = json.loads(json.dumps(made.state_dict()))
    other = ClinicalFeed(CONFIG, frame=table(40, seed=9), fitted=stored)
    assert "MRN" not in json.dumps(stored)
    assert other.state_dict() == made.state_dict()
    assert feed(table(40, seed=9)).state_dict()["states"] != stored["states"]
    again = ClinicalFeed(CONFIG, frame=table(), fitted=stored)
    np.testing.assert_array_equal(again.episodes("test").observation, made.episodes("test").observation)
    with pytest.raises(FeedError, match="of other columns: sofa"):
        feed(states={"drop": ["sofa"]}).__class__(
            CONFIG.model_copy(update={"states": CONFIG.states.model_copy(update={"drop": ("sofa",)})}),
            frame=table(),
            fitted=stored,
        )


def test_one_category_has_one_code_at_every_site() -> None:
    frame = table().with_columns(gender=pl.when(pl.col("site") == "B").then(pl.lit("female")).otherwise("gender"))
    by_site = {"by": "site", "train_site": "A", "test_site": "B"}
    roles = ROLES | {"site": "site"}
    for encode in ("one_hot", "label"):
        made = feed(frame, roles=roles, splits=by_site, states={"encode": encode, "scale": "none", "rare": 0})
        names = made.spec.blocks[0].features
        test = made.episodes("test").observation
        column = names.index("gender=female" if encode == "one_hot" else "gender")
        assert set(test[:, column].tolist()) == {1.0 if encode == "one_hot" else 0.0}


def test_settings_that_name_no_column() -> None:
    with pytest.raises(FeedError, match=r"feed.states.drop: no state column 'soffa'; did you mean 'sofa'\?"):
        feed(states={"drop": ["soffa"]})
