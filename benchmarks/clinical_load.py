"""Seconds and peak memory from clinical events to episodes: a JSON line for each form.

Writes 10 million rows (unless `--rows` says otherwise) of generated stays of 72 hours with twelve columns to a
temporary folder, as a MEDS data set of one event a row and as a table of one hour a row, and reads, checks and turns
each into the rows of all parts in a process of its own on two threads.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

HOURS = 72
STATE = ("mbp", "heart_rate", "resp_rate", "spo2", "lactate", "creatinine", "bun", "uo_h", "fluid", "sofa", "weight")
ROLES = {
    "subject": "subject_id",
    "stay": "stay_id",
    "time": "time_hour",
    "outcome": "death",
    "end_reason": "traj_end_reason",
    "state": {name: {} for name in STATE},
    "action": {"norepinephrine": {"unit": "ug/kg/min", "low": 0.0, "high": 0.5}},
}
CENTRE = {"mbp": 70, "heart_rate": 90, "resp_rate": 20, "spo2": 96, "lactate": 3, "creatinine": 1.5, "bun": 30}

_CHILD = """
import json, sys, time
from pathlib import Path
from feeds.clinical.config import ClinicalConfig
from feeds.clinical.feed import ClinicalFeed
def peak():  # of this process alone: getrusage's counter is inherited from the parent
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
config = ClinicalConfig.model_validate(json.loads(sys.argv[1]))
idle, begin, begin_cpu = peak(), time.perf_counter(), time.process_time()
feed = ClinicalFeed(config)
read, read_cpu = time.perf_counter(), time.process_time()
rows = {split: len(feed.episodes(split)) for split in feed.spec.splits}
print(json.dumps({
    "stays": len(feed.records.patient),
    "episode_rows": sum(rows.values()),
    "read_and_check_seconds": round(read - begin, 2),
    "seconds": round(time.perf_counter() - begin, 2),
    "cpu_seconds": round(time.process_time() - begin_cpu, 2),
    "peak_mib": round(peak()),
    "idle_mib": round(idle),
}))
"""


def write_events(folder: Path, rows: int) -> int:
    """Every column of every hour once, subject after subject in order of time; the number of events."""
    chance = np.random.default_rng(0)
    names = (*STATE, "norepinephrine")
    patients = max(20, rows // (HOURS * len(names)))
    minute = np.sort(chance.integers(0, HOURS * 60, (patients, HOURS * len(names))), axis=1)
    code = chance.integers(0, len(names), minute.shape)
    centre = np.array([CENTRE.get(name, 10) for name in STATE] + [0.2])
    value = np.clip(centre[code] * chance.normal(1.0, 0.1, code.shape), 0.0, np.where(code == len(STATE), 0.5, 100.0))
    subject = np.repeat(np.arange(patients), HOURS * len(names))
    frame = pl.DataFrame(
        {
            "subject_id": subject,
            "time": (minute.ravel() * 60_000_000 + subject * 86_400_000_000).astype("datetime64[us]"),
            "code": pl.Series(names).gather(code.ravel()),
            "numeric_value": value.ravel().astype(np.float32),
            "text_value": pl.Series([None], dtype=pl.String).new_from_index(0, len(subject)),
        }
    )
    ends = frame.group_by("subject_id").agg(pl.col("time").max())
    ends = ends.with_columns(
        code=pl.when(pl.col("subject_id") % 5 == 0).then(pl.lit("MEDS_DEATH")).otherwise(pl.lit("ICU_DISCHARGE")),
        numeric_value=pl.lit(None, pl.Float32),
        text_value=pl.lit(None, pl.String),
    )
    (folder / "data").mkdir()
    (folder / "metadata").mkdir()
    whole = pl.concat([frame, ends.select(frame.columns)]).sort("subject_id", "time", maintain_order=True)
    whole.write_parquet(folder / "data" / "0.parquet")
    return len(whole)


def write_table(folder: Path, rows: int) -> int:
    """Every hour of every stay, all columns measured in four of five; the number of rows."""
    chance = np.random.default_rng(0)
    patients = max(20, rows // HOURS)
    subject, hour = np.repeat(np.arange(patients), HOURS), np.tile(np.arange(HOURS, dtype=float), patients)
    columns = {"subject_id": subject, "stay_id": subject, "time_hour": hour}
    for name in STATE:
        value = (CENTRE.get(name, 10) * chance.normal(1.0, 0.1, len(subject))).clip(0.1, 100.0)
        columns[name] = np.where(chance.random(len(subject)) < 0.8, value, np.nan)
    columns["norepinephrine"] = chance.uniform(0, 0.5, len(subject))
    columns["death"] = (subject % 5 == 0).astype(np.int64)
    reason = pl.when(pl.col("death") == 1).then(pl.lit("death")).otherwise(pl.lit("discharge"))
    frame = pl.DataFrame(columns).fill_nan(None).with_columns(traj_end_reason=reason)
    frame.write_parquet(folder / "table.parquet")
    return len(frame)


FORMS = {"meds": write_events, "table": write_table}


def measure(form: str, rows: int) -> dict[str, Any]:
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as folder:
        written = FORMS[form](Path(folder), rows)
        config = json.dumps({"path": folder, "roles": ROLES, "actions": {"codec": "block"}})
        environment = {**os.environ, "POLARS_MAX_THREADS": "2", "PYTHONPATH": str(root)}
        command = [sys.executable, "-c", _CHILD, config]
        child = subprocess.run(command, env=environment, capture_output=True, text=True)
        if child.returncode:
            raise SystemExit(child.stderr)
        return {"rows": written, **json.loads(child.stdout)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--form", choices=tuple(FORMS), help="one of the forms alone")
    chosen = parser.parse_args()
    for form in [chosen.form] if chosen.form else FORMS:
        result = measure(form, chosen.rows)
        print(json.dumps({"benchmark": "clinical_load", "form": form, **result, "cpus": os.cpu_count()}), flush=True)


if __name__ == "__main__":
    main()
