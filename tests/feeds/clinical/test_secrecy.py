"""Whatever a table holds and breaks, nobody is named: no patient, no date, no value."""

import logging
import traceback
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.privacy import SALT, pseudonym
from feeds.errors import FeedError
from tests.feeds.clinical.test_rules import SOUND, STAY, config

CANARY = "CANARY-77311"
DATE = "2199-12-24"


def leaky() -> dict[str, pl.DataFrame]:
    """Tables that name a canary, break a rule each, and hold values and dates that are easy to find."""
    named = SOUND.with_columns(
        subject_id=pl.when(pl.col("stay_id") == STAY).then(pl.lit(CANARY)).otherwise("subject_id"),
        stay_id=pl.when(pl.col("stay_id") == STAY).then(pl.lit(CANARY)).otherwise(pl.col("stay_id").cast(pl.String)),
        time_hour=pl.lit(f"{DATE} 00:00:00").str.to_datetime() + pl.duration(minutes=pl.col("time_hour") * 60),
        mbp=pl.when(pl.col("stay_id") == STAY).then(66.123456).otherwise("mbp"),
    )
    mine = pl.col("stay_id") == CANARY

    def put(name: str, value: Any) -> pl.DataFrame:
        return named.with_columns(pl.when(mine).then(value).otherwise(name).alias(name))

    return {
        "sound": named,
        "range": put("mbp", pl.lit(7766.123456)),
        "text": named.with_columns(mbp=pl.when(mine).then(pl.lit(CANARY)).otherwise(pl.col("mbp").cast(pl.String))),
        "action": put("norepinephrine", pl.lit(7766.123456)),
        "outcome": put("death", (pl.col("mbp") > 0).cast(pl.Int64) * (named["sofa"] > 7).cast(pl.Int64)),
        "end": put("traj_end_reason", pl.lit(CANARY)),
        "two": pl.concat([named, named.filter(mine).with_columns(subject_id=pl.lit(f"{CANARY}b"))]),
        "time": named.with_columns(
            time_hour=pl.when(mine).then(pl.lit(CANARY)).otherwise(pl.col("time_hour").cast(pl.String))
        ),
        "reward": named.with_columns(gain=pl.when(mine).then(None).otherwise(1.0)),
    }


@pytest.mark.parametrize("kind", ["frame", "csv", "parquet"])
@pytest.mark.parametrize("case", list(leaky()))
def test_no_patient_no_date_and_no_value_is_ever_shown(
    case: str, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    frame, settings = leaky()[case], {"reward": {"kind": "column", "column": "gain"}} if case == "reward" else {}
    path = tmp_path / f"table.{kind}"
    if kind != "frame":
        frame.write_csv(path) if kind == "csv" else frame.write_parquet(path)
    shown = []
    with caplog.at_level(logging.DEBUG):
        for policy in ("error", "quarantine"):
            try:
                given = config(policy, **settings, path="unused" if kind == "frame" else str(path))
                made = ClinicalFeed(given, frame=frame if kind == "frame" else None)
                shown += [repr(made), str(made.describe()), repr(made.records), repr(made.config), repr(made.coder)]
                shown += [repr(made.check_report), made.check_report.text(), repr(made.spec), str(made.state_dict())]
                shown += [repr(made.part("train").coded), repr(made.codec), repr(made.term)]
                made.episodes("train")
                made.episodes("test")
                made.episodes("validation")
            except FeedError as error:
                shown += [str(error), repr(error), "".join(traceback.format_exception(error))]
                shown.append(repr(error.__context__))
    shown += [caplog.text, *capsys.readouterr()]
    for secret in (CANARY, "77311", DATE, "7766", "66.123", "MRN70"):
        assert not [text for text in shown if secret in text], secret


def test_a_pseudonym_hangs_on_its_salt(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = pseudonym("A")
    assert plain == pseudonym("A") != pseudonym("B")
    monkeypatch.setenv(SALT, "one")
    one = pseudonym("A")
    monkeypatch.setenv(SALT, "two")
    assert len({plain, one, pseudonym("A")}) == 3
