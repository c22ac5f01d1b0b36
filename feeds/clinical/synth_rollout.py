"""What a learned policy is worth on the ward that is made up: new patients are treated by it, hour by hour.

Every hour the policy is shown what the feed would show of that hour, coded and scaled as in training, and its action is
decoded into doses, each to the nearest step that the model knows. A drug that it does not decide on is given as the
clinicians give it.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float, Int

from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.records import HOUR_CAP, Coded, Records
from feeds.clinical.synth_vaso import DOSES, ETHNICITIES, GENDERS, Chances, Seen, Value, clinicians, true_value

WARD = "synth-vaso"
_CATEGORIES = {"ethnicity": ETHNICITIES, "gender": GENDERS}  # sorted
_GIVEN = {"action_vaso": "last_vaso", "norepinephrine": "last_norepinephrine"}  # drugs, as the next hour calls them
_COLUMNS = {
    *("time_hour", "mbp", "lactate", "bun", "creatinine", "fluid", "total_fluid", "uo_h", "ventil", "rrt", "sofa"),
    *("cortico", "height", "weight", "age", *_CATEGORIES, *_GIVEN),
}


class Decide(Protocol):
    """A policy: an action for each patient that is still there."""

    def __call__(
        self, obs: Float[np.ndarray, "n d"], mask: Bool[np.ndarray, "n a"] | None, patient: Int[np.ndarray, " n"]
    ) -> np.ndarray: ...


def survival(feed: ClinicalFeed, decide: Decide, patients: int, seed: int) -> Value | None:
    """The share of patients who do not die within the hours of the record, and of those whose stay terminates alive as
    the feed's settings say; None where the ward is another's, or the feed shows what the ward cannot tell before the
    decision."""
    if not knowable(feed):
        return None
    ends = feed.config.ends
    settings = {"discharge": ends.discharge, "transfer": ends.transfer, "hour_cap": ends.hour_cap}
    alive = [reason for reason, setting in settings.items() if setting == "terminated"]
    return true_value(Ward(feed, decide), patients, seed, alive)


def knowable(feed: ClinicalFeed) -> bool:
    """Whether the ward can show every hour as the feed does."""
    own = {name for name in _GIVEN if name in feed.coder.columns and name not in feed.coder.lagged}
    unlike = (
        feed.config.confounded and "action_vaso" not in feed.codec.columns
    )  # who gives it would not see the frailty
    known = feed.config.path == WARD and not unlike and feed.config.actions.timing == "same_row" and not own
    return known and set(feed.coder.columns) <= _COLUMNS and set(_GIVEN) >= set(feed.codec.columns)


class Ward:
    """A policy of the model's own kind: columns of an hour to probabilities of its actions."""

    def __init__(self, feed: ClinicalFeed, decide: Decide) -> None:
        self.feed, self.decide = feed, decide
        slowest = max((column.delay for column in feed.coder.columns.values()), default=0.0)
        self.window = 2 + int(np.ceil(slowest))  # rows that a state may hang on, beside the first
        self.hours: dict[int, dict[str, np.ndarray]] = {}  # what was seen, of who was there then
        self.shown: list[np.ndarray] = []  # observations, hour by hour

    def __call__(self, seen: Seen) -> Chances:
        hour, patient = int(seen["time_hour"][0]), seen["patient"]
        if hour == 0:
            self.hours, self.shown = {}, []
        else:  # only now is it known what the hour before was given
            self._complete(hour - 1, patient, {name: seen[last] for name, last in _GIVEN.items()})
        self.hours[hour] = {**seen, **{name: np.full(len(patient), np.nan) for name in _GIVEN}}
        self.hours = {at: rows for at, rows in self.hours.items() if at == 0 or at > hour - self.window}
        begun = 0.0 if hour == 0 else 1.0  # a stay begins with nothing in force
        before = np.stack([begun * seen[_GIVEN[name]] for name in self.feed.codec.columns], axis=1)
        obs = self._look(patient)
        if self.feed.codec.context:
            obs = np.concatenate([obs, self.feed.codec.show(before)], axis=1)
        self.shown.append(obs)
        action = self.decide(obs, self.feed.codec.mask(before), patient)
        doses = self.feed.codec.decode(action, before)
        return _chances(dict(zip(self.feed.codec.columns, doses.T, strict=True)), seen)

    def _complete(self, hour: int, patient: np.ndarray, given: Mapping[str, np.ndarray]) -> None:
        """Doses of an hour, of those who lived to see the next."""
        place = np.searchsorted(self.hours[hour]["patient"], patient)
        for name, doses in given.items():
            self.hours[hour][name][place] = doses

    def _look(self, patient: np.ndarray) -> np.ndarray:
        """The newest hour as the feed codes it [n, D], from the first row and the last few of every stay."""
        rows = sorted(self.hours)
        place = [np.searchsorted(self.hours[at]["patient"], patient) for at in rows]
        names = {*self.feed.coder.columns, *_GIVEN}
        columns = {
            name: np.stack([self.hours[at][name][where] for at, where in zip(rows, place, strict=True)], 1).reshape(-1)
            for name in names
        }
        records = _records(self.feed, columns, np.array(rows, np.float64), len(patient))
        return self.feed.coder.encode(records)[len(rows) - 1 :: len(rows)]


def _records(feed: ClinicalFeed, columns: dict[str, np.ndarray], hours: np.ndarray, patients: int) -> Records:
    """Rows of the same hours for every patient."""
    stay = np.repeat(np.arange(patients), len(hours))
    known = set(_CATEGORIES)
    return Records(
        schema=feed.records.schema,
        row=np.arange(1, len(stay) + 1),
        stay=stay,
        hours=np.tile(hours, patients),
        patient=np.arange(patients),
        reason=np.full(patients, HOUR_CAP),
        died=np.zeros(patients, bool),
        values={name: np.asarray(column, np.float64) for name, column in columns.items() if name not in known},
        coded={
            name: Coded(np.searchsorted(_CATEGORIES[name], columns[name]), tuple(_CATEGORIES[name].tolist()))
            for name in known & set(columns)
        },
        site=np.zeros(patients, np.int64),
        sites=("",),
        identities=np.arange(patients).astype(str),
        source=WARD,
    )


def _chances(doses: dict[str, np.ndarray], seen: Seen) -> Chances:
    """Probabilities [n, 22] of the model's actions; of a drug that is not decided on the clinicians' own."""
    theirs = clinicians(seen).reshape(-1, 2, len(DOSES))
    on, steps = theirs.sum(2), theirs.sum(1)
    if "action_vaso" in doses:
        on = np.eye(2)[(doses["action_vaso"] >= 0.5).astype(np.int64)]
    if "norepinephrine" in doses:
        nearest = np.abs(doses["norepinephrine"][:, None] - DOSES).argmin(1)
        steps = np.eye(len(DOSES))[nearest]
    return (on[:, :, None] * steps[:, None, :]).reshape(len(on), -1)
