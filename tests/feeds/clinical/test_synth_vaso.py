import numpy as np
import polars as pl
import pytest
import yaml

from feeds.clinical import synth_vaso
from feeds.clinical.synth_vaso import (
    DOSES,
    HOUR_CAP,
    NUM_ACTIONS,
    Seen,
    always,
    clinicians,
    load,
    rollout,
    true_value,
)
from feeds.data.synth_vaso import FOLDER
from feeds.errors import FeedError

PATIENTS = 2_000


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return load(PATIENTS, seed=1, confounded=True)


def early(table: pl.DataFrame) -> float:
    """Deaths among those who had vasopressin in the first six hours, less those among the others."""
    stays = table.group_by("stay_id").agg(pl.col("action_vaso").head(6).max(), pl.col("death").first())
    by = dict(stays.group_by("action_vaso").agg(pl.col("death").mean()).iter_rows())
    return by[1] - by[0]


def test_the_same_arguments_give_the_same_table() -> None:
    one = load(50, seed=4, confounded=True)
    assert one.equals(load(50, seed=4, confounded=True))
    assert one.equals(load(80, seed=4, confounded=True).filter(pl.col("subject_id") < 50))
    assert not one.equals(load(50, seed=5, confounded=True))
    assert not one.equals(load(50, seed=4, confounded=False))


def test_rows_are_hours_up_to_one_end(table: pl.DataFrame) -> None:
    stays = table.group_by("stay_id", maintain_order=True)
    assert stays.agg((pl.col("time_hour").diff().drop_nulls() == 1).all())["time_hour"].all()
    assert (stays.first()["time_hour"] == 0).all()
    last = stays.last()
    assert set(last["traj_end_reason"]) == {"death", "discharge", "transfer", "hour_cap"}
    assert ((last["traj_end_reason"] == "hour_cap") == (last["time_hour"] == HOUR_CAP)).sum() >= PATIENTS - 3
    assert last.filter(pl.col("traj_end_reason") == "hour_cap")["time_hour"].unique().to_list() == [HOUR_CAP]
    assert ((last["traj_end_reason"] == "death") == (last["death"] == 1)).all()
    for column in ("death", "traj_end_reason", "age", "height", "weight", "gender", "ethnicity"):
        assert stays.agg(pl.col(column).n_unique())[column].max() == 1
    assert (last["propensity"] == 1.0).all()
    assert last["action_vaso"].sum() + last["norepinephrine"].sum() == 0


def test_values_are_physiological_and_none_is_missing(table: pl.DataFrame) -> None:
    schema = yaml.safe_load((FOLDER / "schema.yaml").read_text())
    named = {schema[role] for role in ("subject", "stay", "time", "outcome", "end_reason", "propensity")}
    assert named | set(schema["state"]) | set(schema["action"]) == set(table.columns)
    assert len(schema["state"]) == 17
    assert table.null_count().sum_horizontal().item() == 0
    for name, said in (schema["state"] | schema["action"]).items():
        if said["kind"] == "categorical":
            assert table[name].n_unique() > 1
            continue
        assert table[name].min() >= said["low"], name
        assert table[name].max() <= said["high"], name
        assert said["kind"] != "binary" or set(table[name]) == {0, 1}
    means = {name: table[name].mean() for name in ("mbp", "lactate", "creatinine", "uo_h", "sofa", "weight")}
    plausible = {"mbp": 70, "lactate": 2.7, "creatinine": 1.4, "uo_h": 45, "sofa": 7, "weight": 80}
    for name, value in plausible.items():
        assert means[name] == pytest.approx(value, rel=0.2), name


def test_sicker_patients_look_sicker_and_die(table: pl.DataFrame) -> None:
    first = table.filter(pl.col("time_hour") == 0)
    dead, alive = first.filter(pl.col("death") == 1), first.filter(pl.col("death") == 0)
    assert dead["lactate"].mean() > alive["lactate"].mean()
    assert dead["mbp"].mean() < alive["mbp"].mean()
    assert dead["sofa"].mean() > alive["sofa"].mean()


@pytest.mark.parametrize("confounded", [False, True])
def test_propensities_are_what_happens(confounded: bool) -> None:
    """In each tenth of the rows by the chance of vasopressin, and for each dose, as often as was said."""
    made = synth_vaso._rollout(None, PATIENTS, 2, confounded)
    decided = (made.table["time_hour"].shift(-1) == made.table["time_hour"] + 1).fill_null(False).to_numpy()
    log, chances = made.table.filter(decided), made.chances[decided]
    np.testing.assert_allclose(chances.sum(1), 1.0, atol=1e-12)
    vaso = chances[:, len(DOSES) :].sum(1)
    given = log["action_vaso"].to_numpy()
    for part in np.array_split(np.argsort(vaso), 10):
        spread = np.sqrt((vaso[part] * (1 - vaso[part])).sum())
        assert abs(given[part].sum() - vaso[part].sum()) < 4 * spread
    step = np.rint(log["norepinephrine"].to_numpy() / 0.05).astype(int)
    for dose in range(len(DOSES)):
        chance = chances[:, dose] + chances[:, len(DOSES) + dose]
        assert abs((step == dose).sum() - chance.sum()) < 4 * np.sqrt((chance * (1 - chance)).sum())
    taken = chances[np.arange(len(step)), given * len(DOSES) + step]
    np.testing.assert_array_equal(log["propensity"], taken)


def test_a_hidden_cause_turns_the_sign_of_what_is_seen(table: pl.DataFrame) -> None:
    """Vasopressin saves lives, and in the confounded log those who had it die more often."""
    saves = true_value(always(True), PATIENTS, seed=1), true_value(always(False), PATIENTS, seed=1)
    assert saves[0].survival - saves[1].survival > 4 * (saves[0].error + saves[1].error)
    assert early(table) > 0.1
    assert early(load(2 * PATIENTS, seed=0, confounded=False)) < 0.0


def test_frailty_is_in_no_column() -> None:
    """The table of a policy that does not see it cannot tell the frail by their first hour."""
    frail = synth_vaso._admit(PATIENTS, 1).frail
    assert frail.mean() == pytest.approx(0.4, abs=0.04)
    first = load(PATIENTS, seed=1).filter(pl.col("time_hour") == 0)
    for name in ("mbp", "lactate", "creatinine", "age", "sofa", "uo_h", "action_vaso"):
        assert abs(np.corrcoef(first[name], frail)[0, 1]) < 4 / np.sqrt(PATIENTS), name
    seen = load(PATIENTS, seed=1, confounded=True).filter(pl.col("time_hour") == 0)
    assert np.corrcoef(seen["action_vaso"], frail)[0, 1] > 0.3


def test_the_value_of_the_clinicians_is_that_of_their_log() -> None:
    value, log = true_value(clinicians, PATIENTS, seed=3), load(PATIENTS, seed=3)
    assert value.survival == pytest.approx(1.0 - log.group_by("stay_id").first()["death"].mean())
    assert rollout(clinicians, 30, seed=3).equals(log.filter(pl.col("subject_id") < 30))
    assert value.error == pytest.approx(np.sqrt(value.survival * (1 - value.survival) / PATIENTS), rel=1e-3)


def test_importance_weights_of_the_first_hours_average_to_one() -> None:
    made = synth_vaso._rollout(None, PATIENTS, 6, False)
    first = made.table["time_hour"].to_numpy() < 3
    log, chance = made.table.filter(first), made.chances[first]
    even = 0.5 * chance + 0.5 * np.roll(chance, 1, axis=1)
    action = log["action_vaso"].to_numpy() * len(DOSES) + np.rint(log["norepinephrine"].to_numpy() / 0.05).astype(int)
    last = log["propensity"].to_numpy() == 1.0
    ratio = np.where(last, 1.0, even[np.arange(log.height), action] / log["propensity"].to_numpy())
    weight = np.exp(np.bincount(log["stay_id"], np.log(np.maximum(ratio, 1e-300))))
    assert abs(weight.mean() - 1.0) < 3 * weight.std() / np.sqrt(PATIENTS)


def test_a_policy_sees_the_columns_and_the_actions_before() -> None:
    seen_columns: set[str] = set()

    def none(seen: Seen) -> np.ndarray:
        seen_columns.update(seen)
        chance = np.zeros((len(seen["mbp"]), NUM_ACTIONS))
        chance[:, 0] = 1.0
        return chance

    table = rollout(none, 40)
    schema = yaml.safe_load((FOLDER / "schema.yaml").read_text())
    assert seen_columns == set(schema["state"]) | {"last_vaso", "last_norepinephrine", "patient"}
    assert table["action_vaso"].sum() + table["norepinephrine"].sum() == 0
    assert true_value(none, 500).survival < true_value(clinicians, 500).survival


def test_mistakes_are_named() -> None:
    with pytest.raises(FeedError, match=r"probabilities \[3, 22\]"):
        rollout(lambda seen: np.ones((len(seen["mbp"]), 2)) / 2, 3)
    with pytest.raises(FeedError, match="at least one patient"):
        load(0)
