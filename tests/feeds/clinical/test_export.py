"""Records out as MEDS from the command line and in again: the same stays, parts and ends, and for whom it is."""

import stat
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from angle_domains.cli import main
from feeds.clinical.config import ClinicalConfig
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.read import read_table
from feeds.clinical.split import SPLITS
from tests.feeds.clinical.tables import ROLES, table

SITED = ROLES | {"site": "site", "static": ["age", "gender", "batch"]}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> int:
    return main(["feeds", "export", *words])


def made(path: str, **settings: Any) -> ClinicalFeed:
    return ClinicalFeed(ClinicalConfig.model_validate({"path": path, **settings}))


def single(path: str, **settings: Any) -> ClinicalFeed:
    """The feed over the same table in single precision, as MEDS keeps it."""
    config = ClinicalConfig.model_validate({"path": path, **settings})
    read = read_table(config)
    short = [
        pl.col(name).cast(pl.Float32).cast(pl.Float64) for name, kind in read.frame.schema.items() if kind.is_float()
    ]
    return ClinicalFeed(config.model_copy(update={"roles": read.schema}), frame=read.frame.with_columns(short))


def written(frame: pl.DataFrame, roles: dict[str, Any] = ROLES, name: str = "table.csv") -> str:
    """The small table as a file, patients by numbers, in single precision as MEDS keeps it; beside it schema.yaml."""
    single = [pl.col(column).cast(pl.Float32).cast(pl.Float64) for column in ("mbp", "lactate", "norepinephrine")]
    frame = frame.with_columns(
        *single,
        subject_id=pl.col("subject_id").str.slice(3).cast(pl.Int64),
        batch=pl.format("batch {}", pl.col("subject_id").str.slice(3).cast(pl.Int64) % 3),
    )
    frame.write_csv(name)
    Path("schema.yaml").write_text(yaml.safe_dump(roles, sort_keys=False))
    return name


def assert_same(one: ClinicalFeed, other: ClinicalFeed) -> None:
    for split in SPLITS:
        assert one.part(split).identities.tolist() == other.part(split).identities.tolist()
        mine, theirs = one.episodes(split), other.episodes(split)
        for name in ("action", "terminated", "first", "last", "elapsed", "entity"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name), err_msg=name)
        np.testing.assert_allclose(mine.observation, theirs.observation, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(mine.reward, theirs.reward, rtol=1e-5, atol=1e-6)
        if mine.propensity is not None:
            assert theirs.propensity is not None
            np.testing.assert_allclose(mine.propensity, theirs.propensity, rtol=1e-6)


@pytest.mark.parametrize(
    ("path", "settings", "reading"),
    [
        ("synth-vaso", {"patients": 60}, {}),
        ("icu-sepsis-log", {"patients": 60}, {"meds": {"bin_hours": 4.0}}),
        ("mimic4demo-vaso", {}, {}),
    ],
)
def test_what_is_embedded_goes_out_and_comes_in(
    path: str, settings: dict[str, Any], reading: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for name, value in settings.items() for word in ("--set", f"feed.{name}={value}")]
    assert run(path, "--meds", "out", *words) == 0
    said = capsys.readouterr().out
    plain = single(path, **settings)
    assert f"{len(plain.records):,} rows of {len(plain.records.identities):,} patients" in said
    assert_same(plain, made("out", **reading))
    told = said.splitlines()[-1].split("feeds check ")[1].split()
    assert main(["feeds", "check", *told]) in (0, 1)
    assert "verdict   accepted" in capsys.readouterr().out
    assert run("out", "--meds", "again", *(told[3:])) == 0
    for file in (each for each in Path("out").rglob("*") if each.is_file()):
        assert file.read_bytes() == (Path("again") / file.relative_to("out")).read_bytes()


@pytest.mark.parametrize("dated", [False, True])
def test_a_table_of_ones_own_keeps_stays_sites_and_parts(dated: bool) -> None:
    """As text with instants, and as numbers; several stays of a patient, values that are missing, late deaths."""
    frame = table(60)
    if dated:
        frame = frame.with_columns(
            time_hour=pl.datetime(2031, 5, 17) + pl.duration(hours=pl.col("time_hour").cast(pl.Int64))
        )
    path = written(frame, SITED)
    settings = {"splits": {"seed": 3}, "ends": {"max_hours": 8.0}}
    plain = made(path, **settings)
    assert run(path, "--meds", "a/new folder", "--set", "feed.splits.seed=3", "--set", "feed.ends.max_hours=8") == 0
    read = made("a/new folder")
    assert_same(plain, read)
    assert [plain.records.sites[at] for at in plain.records.site] == [
        read.records.sites[at] for at in read.records.site
    ]
    assert read.records.coded["batch"].names == ("batch 0", "batch 1", "batch 2")
    assert not any(b"2031" in file.read_bytes() for file in Path("a").rglob("*") if file.is_file())
    times = pl.read_parquet("a/new folder/data/0.parquet")["time"]
    assert times.dt.year().unique().to_list() == [1970]


@pytest.mark.parametrize("silent", ["end_reason", "both"])
def test_ends_that_no_column_tells_are_those_that_were_understood(silent: str) -> None:
    roles = {key: value for key, value in ROLES.items() if key not in ("end_reason", *["outcome"] * (silent == "both"))}
    settings = {"reward": {"kind": "oviss_mbp"}}
    path = written(table(40), roles)
    assert run(path, "--meds", "out") == 0
    assert_same(made(path, **settings), made("out", **settings))
    codes = set(pl.read_parquet("out/data/0.parquet")["code"])
    assert ("ICU_DISCHARGE" in codes, "MEDS_DEATH" in codes) == ((False, False) if silent == "both" else (True, True))


def test_rows_that_reading_adds_are_not_written() -> None:
    path = written(table(40))
    assert run(path, "--meds", "out", "--set", "feed.ends.last_action=taken") == 0
    assert run(path, "--meds", "plain") == 0
    for name in ("data/0.parquet", "schema.yaml", "metadata/subject_splits.parquet"):
        assert (Path("out") / name).read_bytes() == (Path("plain") / name).read_bytes()


def test_patients_of_no_part_leave_parts_unnamed(capsys: pytest.CaptureFixture[str]) -> None:
    frame = table(60).with_columns(site=pl.when(pl.col("age") < 50).then(pl.lit("C")).otherwise("site"))
    path, by = written(frame, SITED), {"by": "site", "train_site": "A", "test_site": "B"}
    assert run(path, "--meds", "out", *(f"--set=feed.splits.{name}={value}" for name, value in by.items())) == 0
    assert "no parts are named" in capsys.readouterr().out
    assert not Path("out/metadata/subject_splits.parquet").exists()
    assert_same(made(path, splits=by), made("out", splits=by))


def test_the_folder_is_its_owners_alone() -> None:
    Path("mine").mkdir(mode=0o755)
    for folder in ("mine", "new/deep"):
        assert run("synth-vaso", "--meds", folder, "--set", "feed.patients=20") == 0
        assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gone.csv", "--meds", "out"], "gone.csv: no such file"),
        (["synth-vaso"], "--meds"),
        (["synth-vaso", "--meds", "full"], "full: the folder is not empty"),
        (["synth-vaso", "--meds", "full/file"], "full/file: is no folder"),
        (["synth-vaso", "--meds", "out", "--set", "feed.patiens=5"], "did you mean 'feed.patients'"),
        (["sp500", "--meds", "out", "--feed", "market"], "holds no records of patients"),
        (["synth-vaso", "--meds", "out", "--feed", "clinicl"], "did you mean 'clinical'"),
        (["named.csv", "--meds", "out"], "MEDS wants patients as whole numbers"),
        (["broken.csv", "--meds", "out"], "out_of_range"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("full").mkdir()
    Path("full/file").write_text("kept")
    broken = pl.when(pl.int_range(pl.len()) == 5).then(9999.0).otherwise(pl.col("mbp"))
    written(table(20).with_columns(mbp=broken), name="broken.csv")
    table(20).write_csv("named.csv")
    assert run(*words) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
    assert not any(secret in told for secret in ("MRN70", "9999"))
    assert not Path("out").exists()
    assert Path("full/file").read_text() == "kept"


def test_quarantine_writes_what_is_left_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    frame = table(40)
    stay = frame["stay_id"][0]
    frame = frame.with_columns(norepinephrine=pl.when(pl.col("stay_id") == stay).then(7.5).otherwise("norepinephrine"))
    path = written(frame)
    assert run(path, "--meds", "out") == 2
    assert run(path, "--meds", "out", "--set", "feed.policy=quarantine") == 0
    assert "note      left out: 1 stay that broke a rule" in capsys.readouterr().out
    assert_same(made(path, policy="quarantine"), made("out"))
