"""Columns that clinical tables share: kind, unit, plausible range, and the other names they go by (CLIF, MIMIC)."""

import re
from typing import Any, NamedTuple


class Known(NamedTuple):
    """What is known of a column by its name. The range is what a living patient can have, in that unit."""

    kind: str
    unit: str
    low: float | None = None
    high: float | None = None
    aliases: tuple[str, ...] = ()
    median: tuple[float, float] | None = None  # where that of a whole table's values above 0 lies, in that unit


VOCABULARY: dict[str, Known] = {
    "time_hour": Known("numeric", "h", 0, None, ("hour", "time_h")),
    "mbp": Known("numeric", "mmHg", 10, 250, ("map", "mean_bp", "mean_arterial_pressure"), median=(40, 130)),
    "heart_rate": Known("numeric", "1/min", 0, 350, ("hr",)),
    "sbp": Known("numeric", "mmHg", 0, 350, ("systolic_bp",)),
    "dbp": Known("numeric", "mmHg", 0, 250, ("diastolic_bp",)),
    "resp_rate": Known("numeric", "1/min", 0, 120, ("respiratory_rate",)),
    "spo2": Known("numeric", "%", 0, 100),
    "temp_c": Known("numeric", "°C", 20, 46, ("temperature",)),
    "lactate": Known("numeric", "mmol/L", 0, 40, median=(0.4, 10)),
    "bun": Known("numeric", "mg/dL", 0, 350, median=(7, 120)),
    "creatinine": Known("numeric", "mg/dL", 0, 30, median=(0.25, 8)),
    "glucose": Known("numeric", "mg/dL", 10, 2500, ("glucose_serum",)),
    "fluid": Known("numeric", "mL", 0, 20_000, median=(5, 2_000)),
    "total_fluid": Known("numeric", "mL", 0, 200_000, median=(50, 50_000)),
    "uo_h": Known("numeric", "mL/h", 0, 5_000, ("urine_output",), median=(5, 500)),
    "ventil": Known("binary", "", aliases=("ventilation", "imv")),
    "rrt": Known("binary", "", aliases=("crrt",)),
    "cortico": Known("binary", "", aliases=("corticosteroids", "hydrocortisone")),
    "sofa": Known("numeric", "points", 0, 24, ("sofa_total",)),
    "height": Known("numeric", "cm", 30, 250, ("height_cm",), median=(45, 200)),
    "weight": Known("numeric", "kg", 0.3, 500, ("weight_kg",), median=(2, 150)),
    "age": Known("numeric", "years", 0, 125, ("age_at_admission",)),
    "gender": Known("categorical", "", aliases=("sex", "sex_category")),
    "ethnicity": Known("categorical", "", aliases=("race", "race_category", "ethnicity_category")),
    "norepinephrine": Known("numeric", "ug/kg/min", 0, 5, median=(0.005, 2)),
    "action_vaso": Known("binary", ""),
    "vaso_dose": Known("numeric", "U/min", 0, 0.2, ("vasopressin",), median=(0.002, 0.15)),
}
PERSONAL = ("age", "gender", "ethnicity")  # by which a policy may do differently well
STATIC = ("height", *PERSONAL)

ROLES: dict[str, tuple[str, ...]] = {
    "subject": ("subject_id", "patient_id"),
    "stay": ("stay_id", "hospitalization_id", "hadm_id"),
    "time": ("time_hour", "recorded_dttm", "event_time", "time"),
    "outcome": ("death", "hospital_mortality"),
    "end_reason": ("traj_end_reason", "end_reason"),
    "site": ("site", "hospital_id"),
}

_TELLING = re.compile(
    r"(^|_)(los|length_of_stay|surviv\w*|discharge\w*|death\w*|died|dead|dod|mortality\w*|expire\w*|outcome|end_reason)(_|$)"
)


def tells_outcome(name: str) -> bool:
    """Whether a column of that name is known only when the stay is over."""
    return _TELLING.search(name.strip().lower()) is not None


def canonical(name: str) -> str:
    """The name that the vocabulary gives a column, the column's own where it gives none."""
    lower = name.strip().lower()
    return next((known for known, entry in VOCABULARY.items() if lower == known or lower in entry.aliases), name)


def described(name: str) -> dict[str, Any]:
    """Kind, unit and range of a column by its name, empty where it is unknown."""
    known = VOCABULARY.get(canonical(name))
    if known is None:
        return {}
    given = {"kind": known.kind, "unit": known.unit, "low": known.low, "high": known.high}
    return {key: value for key, value in given.items() if value not in (None, "")}


def usual_median(name: str, unit: str) -> tuple[float, float] | None:
    """Where the median of a column lies in whatever ward, None where nothing is known of that name in that unit."""
    known = VOCABULARY.get(canonical(name))
    return known.median if known is not None and known.unit == unit.replace("µ", "u") else None


def alias_of(wanted: str, present: list[str]) -> str | None:
    """The column of a table that is the wanted one by another of its names, None where there is none or several."""
    found = [name for name in present if canonical(name) == canonical(wanted)]
    for names in ROLES.values():
        if wanted in names:
            found += [name for name in present if name in names and name not in found]
    return found[0] if len(found) == 1 else None
