"""What is embedded of ICU-Sepsis, and the script that makes it, on a wheel of three states."""

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from feeds.clinical.process import TELLTALES, clinician, sample_log
from feeds.data.icu_sepsis import DEATH, FOLDER, LOG, PROCESS, SURVIVAL, load, read_counts
from feeds.data.icu_sepsis.build import NAMES, PATIENTS, SEED, WHEEL, as_counts, compact, read_admissible
from feeds.data.wheels import Wheel
from feeds.errors import FeedError


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return load()


def test_the_log_is_one_row_per_patient_and_four_hours_up_to_an_end(log: pl.DataFrame) -> None:
    assert log["subject"].n_unique() == log["stay"].n_unique() == PATIENTS == 5_000
    stays = log.group_by("stay", maintain_order=True)
    assert stays.agg((pl.col("time").diff().drop_nulls() == 4).all())["time"].all()
    assert (stays.first()["time"] == 0).all()
    last = stays.last()
    assert set(last["state"]) == {DEATH, SURVIVAL}
    assert ((last["state"] == DEATH) == last["death"]).all()
    assert ((last["end_reason"] == "death") == last["death"]).all()
    assert (last["propensity"] == 1.0).all()
    assert log.filter(pl.col("state") < DEATH).height == log.height - PATIENTS
    assert stays.agg(pl.col("death").n_unique())["death"].max() == 1


def test_the_log_comes_from_the_process_beside_it(log: pl.DataFrame) -> None:
    again = sample_log(PATIENTS, clinician(), seed=SEED)
    assert again.equals(log.select(again.columns).cast(dict(again.schema)))


def test_features_are_those_of_the_state_and_of_the_schema(log: pl.DataFrame) -> None:
    schema = yaml.safe_load((FOLDER / "schema.yaml").read_text())
    counts = read_counts()
    assert list(schema["state"]) == NAMES == list(counts.names)
    assert len(NAMES) == len(set(NAMES)) == 47
    assert {schema[role] for role in ("subject", "stay", "time", "outcome", "end_reason", "propensity")} < set(
        log.columns
    )
    for name, said in schema["state"].items():
        assert log[name].min() >= said["low"], name
        assert log[name].max() <= said["high"], name
    row = log.row(100, named=True)
    np.testing.assert_array_equal([row[name] for name in NAMES], counts.features[row["state"]])


def test_two_features_tell_the_action(log: pl.DataFrame) -> None:
    """The datasheet says so, and a leak audit has to find it."""
    features, level = read_counts().features[:DEATH], np.arange(25)
    fluids, pressors = clinician()[:DEATH] @ (level // 5), clinician()[:DEATH] @ (level % 5)
    found = {
        "input_4hourly": np.corrcoef(features[:, NAMES.index("input_4hourly")], fluids)[0, 1],
        "max_dose_vaso": np.corrcoef(features[:, NAMES.index("max_dose_vaso")], pressors)[0, 1],
    }
    assert set(found) == set(TELLTALES)
    assert found["input_4hourly"] == pytest.approx(0.987, abs=5e-4)
    assert found["max_dose_vaso"] == pytest.approx(0.754, abs=5e-4)
    assert ".987" in (FOLDER / "DATASHEET.md").read_text()


def test_the_folder_is_small_and_whole() -> None:
    assert PROCESS.stat().st_size + LOG.stat().st_size < 600_000
    sheet = (FOLDER / "DATASHEET.md").read_text()
    assert WHEEL.sha256 in sheet
    assert WHEEL.file in sheet
    assert "MIT License" in (FOLDER / "LICENSE").read_text()
    assert "arXiv:2406.05646" in (FOLDER / "CITATION").read_text()


def test_shares_become_the_smallest_counts() -> None:
    assert as_counts(np.array([0.0, 2 / 7, 0.0, 5 / 7])).tolist() == [0, 2, 0, 5]
    assert as_counts(np.array([0.25, 0.5, 0.25])).tolist() == [1, 2, 1]
    assert as_counts(np.array([1.0])).tolist() == [1]
    with pytest.raises(FeedError, match="no denominator"):
        as_counts(np.array([1 / np.pi, 1 - 1 / np.pi]))


def test_admissible_actions_are_read_line_by_line() -> None:
    allowed = read_admissible("2 1\n3 24\n0\n")
    assert [np.flatnonzero(row).tolist() for row in allowed] == [[3, 24], [0]]


def three_states() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """One patient's state that returns half of the time, and the three that are no patient's, at their places."""
    chances = np.zeros((716, 25, 716))
    chances[:DEATH, :, SURVIVAL] = 1.0
    chances[0, :, :] = 0.0
    chances[0, 0, [0, DEATH]] = 0.5
    chances[0, 1, SURVIVAL] = 1.0
    chances[0, 2:, [0, DEATH]] = 0.25
    chances[0, 2:, SURVIVAL] = 0.5
    chances[DEATH:, :, 715] = 1.0
    admissible = np.zeros((716, 25), bool)
    admissible[:, 0] = admissible[0, 1] = True
    admissible[DEATH:] = True
    dynamics = {
        "tx_mat": chances,
        "d_0": np.eye(716)[0],
        "expert_policy": np.tile(np.eye(25)[0], (716, 1)),
        "state_cluster_centers": np.ones((716, 47)),
        "sofa_scores": np.ones(716),
    }
    return dynamics, admissible


def test_the_script_keeps_admissible_rows_as_counts() -> None:
    dynamics, admissible = three_states()
    made = compact(dynamics, admissible)
    assert made["length"].tolist() == [2, 1] + [1] * (DEATH - 1)
    assert made["successor"][:3].tolist() == [0, DEATH, SURVIVAL]
    assert made["count"][:3].tolist() == [1, 1, 1]
    assert made["initial"].sum() == 1
    assert made["features"][DEATH:].any() == made["sofa"][DEATH:].any() == np.False_


def test_an_inadmissible_action_that_is_no_mean_is_refused() -> None:
    dynamics, admissible = three_states()
    dynamics["tx_mat"][0, 7] = np.eye(716)[SURVIVAL]
    with pytest.raises(FeedError, match="state 0: an inadmissible action"):
        compact(dynamics, admissible)


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.whl"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("member", "text")
    path.write_bytes(content.getvalue())
    with pytest.raises(FeedError, match=r"some.whl is not icu_sepsis-2.0.1"):
        WHEEL.open(path)
    known = Wheel("some.whl", hashlib.sha256(content.getvalue()).hexdigest())
    assert known.open(path).read("member") == b"text"
