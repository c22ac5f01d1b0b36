"""Small patient tables with the columns of the vasopressor schema, and what they are called."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from feeds.clinical.config import ClinicalConfig
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.schema import Schema

ROLES: dict[str, Any] = {
    "subject": "subject_id",
    "stay": "stay_id",
    "time": "time_hour",
    "time_unit": "hours",
    "outcome": "death",
    "end_reason": "traj_end_reason",
    "state": {
        "mbp": {},
        "lactate": {},
        "sofa": {},
        "ventil": {},
        "age": {},
        "gender": {"kind": "categorical"},
    },
    "static": ["age", "gender"],
    "action": {
        "action_vaso": {"kind": "binary"},
        "norepinephrine": {"kind": "numeric", "unit": "ug/kg/min", "low": 0.0, "high": 0.5},
    },
}
SCHEMA = Schema.model_validate(ROLES)
CONFIG = ClinicalConfig(path="unused", roles=SCHEMA)


def table(patients: int = 40, seed: int = 0, *, holes: float = 0.3) -> pl.DataFrame:
    """Two stays for every fourth patient; hourly rows, `holes` of the measurements missing."""
    chance = np.random.default_rng(seed)
    frames, stay = [], 0
    for patient in range(patients):
        died = patient % 4 == 1
        for visit in range(2 if patient % 4 == 0 else 1):
            stay += 1
            length = int(chance.integers(3, 16))
            on = np.cumsum(chance.random(length) < 0.15) > 0
            frame = pl.DataFrame(
                {
                    "subject_id": [f"MRN{7000 + patient}"] * length,
                    "stay_id": [50_000 + stay] * length,
                    "time_hour": np.arange(length, dtype=np.float64),
                    "mbp": chance.normal(65, 8, length).clip(30, 120),
                    "lactate": chance.normal(3, 1, length).clip(0.5, 12),
                    "sofa": chance.integers(2, 15, length).astype(np.float64),
                    "ventil": (chance.random(length) < 0.5).astype(np.float64),
                    "age": np.full(length, 40.0 + patient % 50),
                    "gender": ["female" if patient % 2 else "male"] * length,
                    "action_vaso": on.astype(np.int64),
                    "norepinephrine": np.round(chance.uniform(0, 0.5, length), 2) * (chance.random(length) < 0.8),
                    "death": np.full(length, int(died)),
                    "traj_end_reason": ["death" if died else "hour_cap" if visit else "discharge"] * length,
                    "site": ["A" if patient < patients // 2 else "B"] * length,
                }
            )
            frames.append(frame)
    whole = pl.concat(frames)
    missing = pl.Series(chance.random(len(whole)) < holes)
    return whole.with_columns(pl.when(missing).then(None).otherwise("lactate").alias("lactate"))


def feed(frame: pl.DataFrame | None = None, **settings: Any) -> ClinicalFeed:
    """A feed over the frame, with settings in the form of the YAML file."""
    given = {"path": "unused", "roles": SCHEMA, **settings}
    return ClinicalFeed(ClinicalConfig.model_validate(given), frame=table() if frame is None else frame)


def write_set(folder: Path, frame: pl.DataFrame, kind: str = "parquet") -> Path:
    """The frame as a file, and schema.yaml beside it."""
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "schema.yaml").write_text(yaml.safe_dump(ROLES, sort_keys=False))
    path = folder / f"table.{kind}"
    frame.write_parquet(path) if kind == "parquet" else frame.write_csv(path)
    return path
