"""Septic shock that is made up: a structural model in the full vasopressor schema, whose policies have a known value.

Every hour a policy chooses vasopressin (off, on) and norepinephrine (0 to 0.5 µg/kg/min in steps of 0.05). Severity
falls by itself, rises under low pressure and under high doses, and falls faster with vasopressin, which so saves lives.
With `confounded`, clinicians see a frailty that is in no column and give vasopressin to the frail: in their log those
who got it die more often. All chance of patient i is a function of (seed, i) whatever the policy, so two policies are
compared on the same patients.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float

from feeds import random
from feeds.errors import FeedError

HOUR_CAP = 120
DOSES = np.round(np.arange(11) * 0.05, 2)  # µg/kg/min of norepinephrine
NUM_ACTIONS = 2 * len(DOSES)  # action = 11 * vasopressin + step of norepinephrine
ETHNICITIES = np.array(["Asian", "Black", "Hispanic", "Other", "White"])
GENDERS = np.array(["Female", "Male"])

Vector = Float[np.ndarray, " n"]
Seen = Mapping[str, np.ndarray]  # columns of the table in this hour, `last_vaso`, `last_norepinephrine`, `patient`
Chances = Float[np.ndarray, "n a"]  # probabilities of the actions
Policy = Callable[[Seen], Chances]

_DRAWS = 32  # of each patient in an hour
_FRAIL = 0.4  # share of patients


class Value(NamedTuple):
    """Share of patients who do not die within the hours of the record, and of those whose record ends alive."""

    survival: float
    error: float  # standard error
    paid: float = 0.0  # what the reward `survival` pays: nothing where the record is cut, by transfer or cap
    paid_error: float = 0.0


class _Patient(NamedTuple):
    """What does not change, each `[n]`; `frail` is in no column."""

    key: np.ndarray
    frail: Vector
    fixed: dict[str, np.ndarray]


class _Course(NamedTuple):
    """What changes from hour to hour, each `[n]`."""

    severity: Vector  # 0: well, 6: moribund; in no column
    kidney: Vector  # injury of the kidney; in no column
    seen: dict[str, np.ndarray]


class Rollout(NamedTuple):
    table: pl.DataFrame
    chances: Chances  # of each row's actions, as the policy gave them


def load(patients: int = 2_000, seed: int = 0, confounded: bool = False) -> pl.DataFrame:
    """A log of patients treated by the clinicians: one row per patient and hour, with exact propensities.

    The propensity is the probability of the pair of actions that was taken, given all that the clinician saw: the row,
    the actions of the hour before and, where confounded, the frailty. Last rows show the end: action 0, propensity 1.
    """
    return _rollout(None, patients, seed, confounded).table


def rollout(policy: Policy, patients: int, seed: int = 0) -> pl.DataFrame:
    """The same table for patients who are treated by another policy."""
    return _rollout(policy, patients, seed, False).table


def true_value(policy: Policy, patients: int = 20_000, seed: int = 0, alive: Sequence[str] = ("discharge",)) -> Value:
    """What a policy is worth, by rolling out the model itself; a record ends alive by the end reasons `alive`."""
    ends = rollout(policy, patients, seed).group_by("stay_id").agg(pl.col("traj_end_reason").first())["traj_end_reason"]
    lived, paid = (ends != "death").to_numpy().astype(float), ends.is_in(list(alive)).to_numpy().astype(float)
    errors = (share.std() / np.sqrt(patients) for share in (lived, paid))
    return Value(float(lived.mean()), float(next(errors)), float(paid.mean()), float(next(errors)))


def clinicians(seen: Seen, frail: Vector | None = None) -> Chances:
    """What the clinicians do: norepinephrine towards 67 mmHg, vasopressin at high doses; `frail` if they see it."""
    dose, pressure = seen["last_norepinephrine"], seen["mbp"]
    wanted = np.clip(dose + 0.008 * (67.0 - pressure), 0.0, 0.5)
    steps = np.exp(-0.5 * ((DOSES - wanted[:, None]) / 0.04) ** 2)
    steps = 0.98 * steps / steps.sum(1, keepdims=True) + 0.02 / len(DOSES)
    leaning = 0.0 if frail is None else 4.0 * (frail - 0.6)
    begin = _sigmoid(-4.2 + 3.0 * (dose - 0.2) + 0.02 * (65.0 - pressure) + 2.4 * (seen["time_hour"] < 2) + leaning)
    on = np.where(seen["last_vaso"] == 1, 0.97, begin)[:, None]
    return np.concatenate([(1.0 - on) * steps, on * steps], axis=1)


def always(vasopressin: bool) -> Policy:
    """Norepinephrine as the clinicians give it; vasopressin all the time, or never."""

    def policy(seen: Seen) -> Chances:
        both = clinicians(seen).reshape(-1, 2, len(DOSES)).sum(1)
        none = np.zeros_like(both)
        return np.concatenate([none, both] if vasopressin else [both, none], axis=1)

    return policy


def _rollout(policy: Policy | None, patients: int, seed: int, confounded: bool) -> Rollout:
    if patients < 1:
        raise FeedError(f"feed.patients={patients}: at least one patient is needed")
    patient = _admit(patients, seed)
    course = _begin(patient)
    subject, rows, chances = np.arange(patients), [], []
    ended = np.full(patients, "", "<U9")
    for hour in range(HOUR_CAP + 1):
        seen = course.seen
        if policy is None:
            chance = clinicians(seen, patient.frail if confounded else None)
        else:
            chance = _checked(policy({**seen, "patient": subject}), len(subject))
        action = (np.cumsum(chance, 1) <= _uniform(patient, hour, 0)[:, None] * chance.sum(1, keepdims=True)).sum(1)
        over = ended != ""
        rows.append(_row(subject, seen, np.where(over, 0, action), np.where(over, 1.0, _taken(chance, action)), ended))
        chances.append(chance)
        patient, course, (subject, action) = _kept(~over, patient, course, subject, action)
        if not len(subject):
            break
        course, ended = _live(patient, course, action, hour)
    return _as_rollout(rows, chances)


def _admit(patients: int, seed: int) -> _Patient:
    key = random.fold(np.full(patients, seed, np.int64), np.arange(patients))
    male = random.uniform(key, 1) < 0.56
    height = np.where(male, 175.0, 162.0) + 7.0 * random.normal(random.fold(key, 2))
    mass = 27.5 + 5.0 * random.normal(random.fold(key, 3))
    fixed = {
        "height": np.round(np.clip(height, 140.0, 210.0)),
        "weight": np.round(np.clip(mass, 16.0, 55.0) * (height / 100.0) ** 2, 1),
        "ethnicity": ETHNICITIES[np.searchsorted([0.05, 0.17, 0.24, 0.34], random.uniform(key, 4))],
        "age": np.round(np.clip(64.0 + 14.0 * random.normal(random.fold(key, 5)), 18.0, 95.0)),
        "gender": GENDERS[male.astype(int)],
    }
    return _Patient(key, (random.uniform(key, 6) < _FRAIL).astype(float), fixed)


def _begin(patient: _Patient) -> _Course:
    """The hour in which shock is seen, norepinephrine just begun."""
    severity = np.clip(2.7 + 0.7 * random.normal(random.fold(patient.key, 7)), 0.8, 5.0)
    kidney = np.exp(-0.6 + 0.7 * random.normal(random.fold(patient.key, 8)))
    none = np.zeros_like(severity)
    before = {"ventil": none, "rrt": none, "cortico": none, "total_fluid": none, "last_vaso": none}
    course = _Course(severity, kidney, before | {"last_norepinephrine": none + 0.1})
    return course._replace(seen=_look(patient, course, 0))


def _live(patient: _Patient, course: _Course, action: np.ndarray, hour: int) -> tuple[_Course, np.ndarray]:
    """The next hour, and why it is the last: "" where it is not."""
    vaso, dose = (action // len(DOSES)).astype(float), DOSES[action % len(DOSES)]
    low = np.maximum(0.0, 65.0 - _pressure(course.severity, dose, vaso))
    change = -0.036 + 0.004 * low + 0.12 * np.maximum(0.0, dose - 0.25) - 0.025 * vaso + 0.015 * patient.frail
    change = change - 0.005 * course.seen["cortico"] + 0.09 * _normal(patient, hour, 1)
    severity = np.clip(course.severity + change, 0.0, 6.0)
    kidney = np.maximum(0.0, course.kidney * 0.995 + 0.006 * (severity - 1.5) + 0.02 * _normal(patient, hour, 3))
    given = course.seen | {"last_vaso": vaso, "last_norepinephrine": dose}
    after = _Course(severity, kidney, given)
    after = after._replace(seen=_look(patient, after, hour + 1))
    return after, _ends(patient, after, hour)


def _ends(patient: _Patient, course: _Course, hour: int) -> np.ndarray:
    risk = -9.0 + 1.3 * course.severity + 1.6 * patient.frail + 0.02 * (patient.fixed["age"] - 65.0)
    died = _uniform(patient, hour, 5) < _sigmoid(risk)
    well = (course.severity < 1.0) & (course.seen["last_norepinephrine"] < 0.1)
    home = well & (_uniform(patient, hour, 6) < 0.08)
    moved = _uniform(patient, hour, 7) < 0.0008
    capped = np.full_like(died, hour + 1 >= HOUR_CAP)
    return np.select([died, home, moved, capped], ["death", "discharge", "transfer", "hour_cap"], "")


def _pressure(severity: Vector, dose: Vector, vaso: Vector) -> Vector:
    return 82.0 - 9.0 * severity + 26.0 * dose / (dose + 0.25) + 6.0 * vaso


def _look(patient: _Patient, course: _Course, hour: int) -> dict[str, np.ndarray]:
    """What is charted in an hour; laboratory values are new every four hours, in between they stand."""
    severity, kidney, before = course.severity, course.kidney, course.seen
    pressure = _pressure(severity, before["last_norepinephrine"], before["last_vaso"]) + 4.0 * _normal(patient, hour, 9)
    labs = {
        "lactate": np.clip((0.8 + 0.95 * severity) * np.exp(0.15 * _normal(patient, hour, 11)), 0.4, 25.0).round(1),
        "bun": np.clip((12.0 + 22.0 * kidney) * np.exp(0.1 * _normal(patient, hour, 13)), 3.0, 200.0).round(),
        "creatinine": np.clip((0.6 + 1.1 * kidney) * np.exp(0.08 * _normal(patient, hour, 15)), 0.3, 15.0).round(2),
    }
    if hour % 4:
        labs = {name: before[name] for name in labs}
    ventil = _switch(before["ventil"], -5.2 + 1.2 * severity, 0.0 - 1.5 * severity, _uniform(patient, hour, 17))
    rrt = _switch(before["rrt"], -9.0 + 1.6 * kidney, -2.0 - 1.6 * kidney, _uniform(patient, hour, 18))
    steroid = _switch(
        before["cortico"], -4.5 + 6.0 * (before["last_norepinephrine"] - 0.2), -5.0, _uniform(patient, hour, 19)
    )
    bolus = np.where(pressure < 62.0, 250.0, 0.0) + np.where(hour == 0, 1000.0, 60.0)
    fluid = np.round(bolus * np.exp(0.4 * _normal(patient, hour, 21)))
    urine = np.clip(75.0 - 11.0 * severity - 14.0 * kidney + 15.0 * _normal(patient, hour, 23), 0.0, 400.0) * (
        1.0 - rrt
    )
    sofa = 2.0 * severity + 1.5 * kidney + 3.0 * ventil + 3.0 * (before["last_norepinephrine"] > 0.1) + 1.0
    changing = {
        "mbp": np.clip(pressure, 25.0, 160.0).round(1),
        **labs,
        "fluid": fluid,
        "total_fluid": before["total_fluid"] + fluid,
        "uo_h": urine.round(),
        "ventil": ventil,
        "rrt": rrt,
        "sofa": np.clip(sofa, 0.0, 24.0).round(),
        "cortico": steroid,
    }
    given = {name: before[name] for name in ("last_vaso", "last_norepinephrine")}
    return {"time_hour": np.full(len(severity), float(hour))} | changing | patient.fixed | given


def _switch(on: Vector, begins: Vector, ends: Vector | float, drawn: Vector) -> Vector:
    """1 where a treatment runs; logits of its beginning and its end in this hour."""
    return np.where(on == 1, drawn >= _sigmoid(ends), drawn < _sigmoid(begins)).astype(float)


def _row(
    subject: np.ndarray, seen: Seen, action: np.ndarray, propensity: Vector, ended: np.ndarray
) -> dict[str, np.ndarray]:
    state = {name: values for name, values in seen.items() if not name.startswith("last_")}
    given = {"action_vaso": action // len(DOSES), "norepinephrine": DOSES[action % len(DOSES)]}
    return {"subject_id": subject, "stay_id": subject, **state, **given, "propensity": propensity, "end": ended}


def _as_rollout(rows: list[dict[str, np.ndarray]], chances: list[Chances]) -> Rollout:
    columns = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    order = np.lexsort((columns["time_hour"], columns["subject_id"]))
    table = pl.DataFrame({name: values[order] for name, values in columns.items()})
    end = pl.col("end").last().over("subject_id")
    whole = ["time_hour", "ventil", "rrt", "sofa", "cortico", "age", "action_vaso"]
    table = table.with_columns(
        pl.col(*whole).cast(pl.Int64), death=(end == "death").cast(pl.Int64), traj_end_reason=end
    )
    return Rollout(table.drop("end"), np.concatenate(chances)[order])


def _kept(
    mask: np.ndarray, patient: _Patient, course: _Course, *others: np.ndarray
) -> tuple[_Patient, _Course, list[np.ndarray]]:
    """Everything of the patients who go on."""
    fixed, seen = ({name: values[mask] for name, values in table.items()} for table in (patient.fixed, course.seen))
    patient = _Patient(patient.key[mask], patient.frail[mask], fixed)
    return patient, _Course(course.severity[mask], course.kidney[mask], seen), [array[mask] for array in others]


def _checked(chance: Chances, streams: int) -> Chances:
    if chance.shape != (streams, NUM_ACTIONS) or (chance < 0).any() or np.abs(chance.sum(1) - 1.0).max() > 1e-6:
        raise FeedError(
            f"a policy here gives probabilities [{streams}, {NUM_ACTIONS}] whose rows sum to 1, "
            f"got an array of shape {list(chance.shape)}"
        )
    return chance


def _taken(chance: Chances, action: np.ndarray) -> Vector:
    return np.take_along_axis(chance, action[:, None], 1)[:, 0]


def _uniform(patient: _Patient, hour: int, draw: int) -> Vector:
    return random.uniform(patient.key, 1_000 + _DRAWS * hour + draw)


def _normal(patient: _Patient, hour: int, draw: int) -> Vector:
    """Two draws."""
    return random.normal(random.fold(patient.key, 1_000 + _DRAWS * hour + draw))


def _sigmoid(x: Vector | float) -> Vector:
    return 1.0 / (1.0 + np.exp(-x))
