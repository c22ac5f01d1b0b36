"""From a table to rows: what is read, how parts are made, what an episode holds."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from feeds.base import LoggedFeed, Rows
from feeds.clinical.config import ClinicalConfig
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.schema import Schema
from feeds.errors import FeedError
from tests.feeds.clinical.tables import CONFIG, ROLES, feed, table, write_set

SPLITS = ("train", "validation", "test")
VALUES = ["mbp", "lactate", "sofa", "ventil", "age", "gender=female", "gender=male", "gender=unknown"]
NAMES = ["mbp", "lactate", "sofa", "ventil", "age", "gender"]


def check_valid(rows: Rows) -> None:
    """What every set of rows keeps."""
    assert rows.first[0]
    assert rows.last[-1]
    np.testing.assert_array_equal(np.roll(rows.last, 1), rows.first)
    assert (rows.stops - rows.starts >= 2).all()
    assert not (rows.terminated & ~rows.last).any()
    assert (rows.reward[rows.first] == 0).all()
    assert (rows.elapsed[rows.first] == 0).all()
    assert (rows.elapsed[~rows.first] > 0).all()
    assert rows.mask is not None or (rows.action[rows.last] == 0).all()
    assert np.isfinite(rows.observation).all()
    assert rows.observation.dtype == np.float32
    assert rows.reward.dtype == rows.elapsed.dtype == np.float64
    if rows.mask is not None:
        assert rows.mask[np.arange(len(rows)), rows.action].all()
    assert set(rows.entity.tolist()) == set(range(rows.entity.max() + 1))


def test_rows_of_every_part_are_whole() -> None:
    made = feed()
    assert isinstance(made, LoggedFeed)
    for split in SPLITS:
        rows = made.episodes(split)
        check_valid(rows)
        assert made.spec.observation_space.contains(rows.observation[3])
        assert made.spec.action_space.contains(rows.action[0])
    said = made.describe()
    assert set(said) == {"name", "digest", "source", "schema", "profile"}
    assert json.loads(json.dumps(said)) == said
    assert said["profile"]["splits"] == {"train": 28, "validation": 6, "test": 6}
    assert said["schema"]["lactate"] == "numeric mmol/L"


def test_one_stay_by_hand() -> None:
    frame = table(10).with_columns(
        pl.when(pl.col("subject_id") == "MRN7001")
        .then(pl.col("time_hour") * 4)
        .otherwise("time_hour")
        .alias("time_hour")
    )
    made = feed(frame, actions={"codec": "binary", "columns": ["action_vaso"]}, reward={"kind": "mortality"})
    records = made.records
    stay = frame.filter(pl.col("subject_id") == "MRN7001")
    at = list(records.identities).index("MRN7001")
    split = SPLITS[made.parts[at]]
    rows, part = made.episodes(split), made.part(split)
    mine = part.identities[part.patient[part.stay]] == "MRN7001"
    length = len(stay)
    assert mine.sum() == length
    assert rows.action[mine].tolist() == [*stay["action_vaso"].to_list()[:-1], 0]
    assert rows.elapsed[mine].tolist() == [0.0] + [4.0] * (length - 1)
    assert rows.reward[mine].tolist() == [0.0] * (length - 1) + [-1.0]
    assert rows.terminated[mine].tolist() == [False] * (length - 1) + [True]


def test_the_layout_is_told() -> None:
    spec = feed().spec
    assert [(block.name, block.features) for block in spec.blocks[:4]] == [
        ("values", tuple(VALUES)),
        ("new", tuple(NAMES)),
        ("since", tuple(NAMES)),
        ("elapsed", ("elapsed",)),
    ]
    assert spec.observation_space.shape == (spec.blocks[-1].stop,)
    assert spec.units["lactate"] == "mmol/L"
    assert spec.units["norepinephrine"] == "ug/kg/min"


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_files_and_frames_give_the_same_rows(kind: str, tmp_path: Path) -> None:
    frame = table()
    path = write_set(tmp_path, frame, kind)
    read = ClinicalFeed(ClinicalConfig(path=str(path)))
    made = feed(frame)
    for split in SPLITS:
        one, other = read.episodes(split), made.episodes(split)
        for name in ("observation", "action", "reward", "terminated", "elapsed", "entity"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert read.describe()["digest"] == made.describe()["digest"]
    by_hand = ClinicalFeed(ClinicalConfig.model_validate({"path": str(path), "roles": str(tmp_path / "schema.yaml")}))
    assert by_hand.describe()["digest"] == made.describe()["digest"]


def test_pandas_frames_are_taken() -> None:
    made = ClinicalFeed(CONFIG, frame=table().to_pandas())
    np.testing.assert_array_equal(made.episodes("test").observation, feed().episodes("test").observation)


def test_instants_are_hours_since_the_stay_began() -> None:
    instants = pl.lit("2150-03-01 06:30:00").str.to_datetime() + pl.duration(minutes=pl.col("time_hour") * 60)
    made = feed(table().with_columns(time_hour=instants))
    np.testing.assert_allclose(made.episodes("train").elapsed, feed().episodes("train").elapsed, atol=1e-9)
    text = table().with_columns(time_hour=instants).with_columns(pl.col("time_hour").dt.to_string("%Y-%m-%d %H:%M:%S"))
    written = feed(text)  # as CSV has them
    np.testing.assert_array_equal(written.records.hours, made.records.hours)
    assert written.records.hours.max() < 1_000, "no date stays in memory"


def test_the_public_keys_are_taken(tmp_path: Path) -> None:
    frame = table().filter(pl.col("stay_id").is_first_distinct().over("subject_id") | True)
    one = frame.filter(pl.col("stay_id") == pl.col("stay_id").first().over("subject_id"))
    one.write_csv(tmp_path / "site.csv")
    config = ClinicalConfig.model_validate(
        {
            "DATA_PATH": str(tmp_path / "site.csv"),
            "STATE_COLUMNS": ["time_hour", "mbp", "lactate", "sofa", "ventil", "age", "gender"],
            "ACTION_COLUMNS": ["action_vaso"],
            "ACTION_TYPES": ["binary"],
            "TRAJ_ID_COL": "subject_id",
            "TIME_COL": "time_hour",
            "DEATH_COL": "death",
            "CATEGORICAL_FEATURES": ["gender"],
            "states": {"encode": "label", "masks": False, "since": False, "elapsed": False},
        }
    )
    again = ClinicalConfig.model_validate(config.model_dump(mode="json"))
    assert again == config
    made = ClinicalFeed(config)
    rows = made.episodes("train")
    check_valid(rows)
    assert rows.observation.shape[1] == 7
    assert made.spec.action_space.n == 2  # type: ignore[attr-defined]
    scaled = [name in ("ventil",) for name in made.spec.blocks[0].features]
    np.testing.assert_allclose(rows.observation.mean(0)[~np.array(scaled)], 0, atol=1e-5)


def test_a_column_of_another_name_is_found_by_its_alias() -> None:
    frame = table().rename({"mbp": "map", "subject_id": "patient_id"})
    made = feed(frame)
    assert "column 'map' is read as 'mbp'" in made.records.notes
    np.testing.assert_array_equal(made.episodes("test").observation, feed().episodes("test").observation)
    with pytest.raises(FeedError, match=r"column 'lactate' is missing \(did you mean 'lactat'\?\)"):
        feed(table().rename({"lactate": "lactat"}))


def test_clif_names_need_no_roles() -> None:
    frame = table().rename({"subject_id": "patient_id", "stay_id": "hospitalization_id", "mbp": "map"})
    made = ClinicalFeed(ClinicalConfig(path="unused", roles="clif"), frame=frame)
    assert made.codec.columns == ("action_vaso", "norepinephrine")
    assert made.records.schema.end_reason == "traj_end_reason"
    assert set(made.records.schema.state) == {"map", "lactate", "sofa", "ventil", "age", "gender"}


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "no file": (lambda: ClinicalFeed(ClinicalConfig(path="icu-sepsis-lag")), "did you mean 'icu-sepsis-log'"),
    "no roles": (lambda: ClinicalFeed(ClinicalConfig(path="unused"), frame=table()), "give feed.roles"),
    "no rows": (lambda: feed(table().head(0)), "the table has no rows"),
    "no split": (lambda: feed().episodes("tests"), "did you mean 'test'"),
    "not a frame": (lambda: ClinicalFeed(CONFIG, frame=[1]), "wanted a pandas or polars frame, got list"),
    "few patients": (lambda: feed(table(3)), "part holds 0 of 3 patients"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_read_is_one_sentence(case: str) -> None:
    make, said = WRONG[case]
    with pytest.raises(FeedError) as caught:
        make()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_file_and_a_damaged_one(tmp_path: Path) -> None:
    path = write_set(tmp_path, table())
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(FeedError, match="truncated or damaged"):
        ClinicalFeed(ClinicalConfig(path=str(path)))
    path.write_bytes(b"")
    with pytest.raises(FeedError, match="0 bytes"):
        ClinicalFeed(ClinicalConfig(path=str(path)))


@pytest.mark.parametrize(
    "name", ["los", "length_of_stay", "survival_days", "discharge_time", "died", "hospital_mortality"]
)
def test_what_is_known_only_afterwards_is_no_state(name: str, tmp_path: Path) -> None:
    import yaml

    roles = ROLES | {"state": {**ROLES["state"], name: {}}}
    (tmp_path / "roles.yaml").write_text(yaml.safe_dump(roles, sort_keys=False))
    with pytest.raises(FeedError, match=f"state column '{name}' looks like something that is known only when"):
        ClinicalConfig.model_validate({"roles": str(tmp_path / "roles.yaml")})
    (tmp_path / "roles.yaml").write_text(yaml.safe_dump(roles | {"allow": [name]}, sort_keys=False))
    ClinicalConfig.model_validate({"roles": str(tmp_path / "roles.yaml")})


def test_a_misspelled_role_is_named(tmp_path: Path) -> None:
    (tmp_path / "roles.yaml").write_text("subject: a\ntime: b\nstate: {c: {units: mm}}\naction: {d: {}}\n")
    with pytest.raises(FeedError, match=r"roles.yaml: state.c.units: is unknown; did you mean 'unit'\?"):
        ClinicalConfig.model_validate({"roles": str(tmp_path / "roles.yaml")})


def test_roles_beside_the_public_keys_say_what_those_leave_open() -> None:
    given: dict[str, Any] = {
        "STATE_COLUMNS": ["mbp", "gender"],
        "ACTION_COLUMNS": ["norepinephrine"],
        "ACTION_TYPES": ["continuous"],
        "CATEGORICAL_FEATURES": ["gender"],
        "roles": {"site": "site", "action": {"norepinephrine": {"high": 0.5}}, "state": {"mbp": {"high": 200}}},
        "ends": {"hour_cap": "terminated"},
    }
    config = ClinicalConfig.model_validate(given)
    assert isinstance(config.roles, Schema)
    assert (config.roles.site, config.roles.subject, config.roles.outcome) == ("site", "subject_id", "death")
    assert (config.roles.action["norepinephrine"].high, config.roles.state["mbp"].high) == (0.5, 200.0)
    assert (config.ends.outcome, config.ends.hour_cap) == ("last_row", "terminated")
    for more, said in (
        ({"DATA_PATH": "a.csv", "path": "b.csv"}, "feed.DATA_PATH and feed.path say the same"),
        ({"roles": "clif"}, "feed.roles and feed.STATE_COLUMNS say the same"),
        ({"CATEGORICAL_FEATURES": ["gendr"]}, "'gendr' is no state column; did you mean 'gender'"),
    ):
        with pytest.raises(FeedError, match=said):
            ClinicalConfig.model_validate({**given, **more})


def test_another_draw_needs_no_number_of_patients() -> None:
    config = {"path": "synth-vaso", "states": {"last_action": True}}
    first, other = (ClinicalFeed(ClinicalConfig.model_validate({**config, "draw": draw})) for draw in (0, 3))
    assert len(first.records.identities) == len(other.records.identities) == 2_000
    assert first.describe()["digest"] != other.describe()["digest"]
    logs = [ClinicalFeed(ClinicalConfig.model_validate({"path": "icu-sepsis-log", "draw": draw})) for draw in (0, 3)]
    assert {len(made.records.identities) for made in logs} == {5_000}
    assert logs[0].describe()["digest"] != logs[1].describe()["digest"]
    with pytest.raises(FeedError, match="feed.patients and feed.draw: 'mimic4demo-vaso' holds real patients"):
        ClinicalFeed(ClinicalConfig(path="mimic4demo-vaso", draw=3))


def test_a_hidden_confounder_is_switched_on_and_its_propensities_are_hidden(tmp_path: Path) -> None:
    """What is estimated from the columns cannot know it: those with vasopressin die more often, which saves lives."""
    made = ClinicalFeed(ClinicalConfig(path="synth-vaso", patients=1_500, confounded=True))
    plain = ClinicalFeed(ClinicalConfig(path="synth-vaso", patients=1_500))
    assert plain.episodes("train").propensity is not None
    assert made.episodes("train").propensity is None
    assert "propensity" not in made.describe()["schema"]
    harm = []
    for each in (made, plain):
        records = each.records
        early = np.zeros(len(records.patient), bool)
        early[records.stay[(records.values["action_vaso"] > 0) & (records.hours < 6)]] = True
        harm.append(records.died[early].mean() - records.died[~early].mean())
    assert harm[0] > 0.1 > 0.0 > harm[1] - 0.03
    for path in ("icu-sepsis-log", "mimic4demo-vaso", str(write_set(tmp_path, table()))):
        with pytest.raises(FeedError, match="feed.confounded=true: .* has no confounder to switch on, synth-vaso has"):
            ClinicalFeed(ClinicalConfig(path=path, confounded=True))
