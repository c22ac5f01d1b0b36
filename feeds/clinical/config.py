"""Every setting of the clinical feed."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from feeds.clinical.schema import Schema, load_schema, make_schema, public_roles
from feeds.errors import FeedError
from feeds.settings import Settings

PUBLIC = (
    "STATE_COLUMNS",
    "ACTION_COLUMNS",
    "ACTION_TYPES",
    "TRAJ_ID_COL",
    "TIME_COL",
    "DEATH_COL",
    "CATEGORICAL_FEATURES",
    "DATA_PATH",
)


class Splits(Settings):
    """Parts by patient, never by row or stay."""

    by: Literal["auto", "patient", "site", "given"] = "auto"  # given: as MEDS data name them; auto: so, or by patient
    train_fraction: float = Field(default=0.7, gt=0, lt=1)
    validation_fraction: float = Field(default=0.15, gt=0, lt=1)
    seed: int = 42
    exact: bool = True  # shares are kept exactly; False: a patient's part hangs on its own hash, whoever joins
    train_site: str | None = None  # by site: all of it is training
    test_site: str | None = None  # by site: one half is validation, the other test


class States(Settings):
    """What an observation shows beside the values."""

    masks: bool = True  # which values are new in this row
    since: bool = True  # days since each was last measured
    elapsed: bool = True  # days since the stay began
    last_action: bool = False  # doses of the row before
    max_age: PositiveFloat | None = 24.0  # hours a value is carried forward; None: without end
    encode: Literal["one_hot", "label"] = "one_hot"  # categories; labels are numbered in sorted order, then scaled
    scale: Literal["standard", "none"] = "standard"
    clip: PositiveFloat | None = 10.0  # scaled values lie within plus and minus this
    rare: NonNegativeInt = 11  # a category that fewer training patients have is unknown, unless the roles name it
    missing: Literal["fill", "error"] = "fill"  # error: a value missing anywhere breaks a rule
    lag: tuple[str, ...] = ()  # columns of which the state shows the row before
    drop: tuple[str, ...] = ()  # columns that the state leaves out


class Actions(Settings):
    """How doses become actions; see feeds.clinical.codecs."""

    codec: Literal["auto", "binary", "block", "stepwise", "box", "discrete"] = "auto"
    columns: tuple[str, ...] = ()  # empty: all of the schema, in its order
    timing: Literal["same_row", "next_row"] = "same_row"  # the row in which the decided dose is recorded
    persist: tuple[str, ...] = ()  # binary columns that stay on once they are on
    bins: PositiveInt = 5  # of equal width between low and high, for columns without edges
    edges: dict[str, tuple[float, ...]] = Field(default_factory=dict)  # by column, rising
    zero: bool = True  # no dose is a level of its own; False: it falls into the lowest bin, as in the public pipeline
    representative: Literal["centre", "lower", "upper"] = "centre"  # the dose of a bin that a decision means
    step: PositiveFloat = 0.05  # of a stepwise dose, in its unit
    max_step: PositiveFloat = 0.1  # rate limit of one decision
    floor: float = 0.05
    cap: PositiveFloat = 0.5
    dose_bins: PositiveInt = 10  # one-hot bins of the current dose in the state of the stepwise codec
    num: PositiveInt | None = None  # actions of a column that is already coded; None: up to its `high`


class Reward(Settings):
    """What the action of a row led to; see feeds.clinical.rewards."""

    kind: Literal[
        "survival",
        "mortality",
        "mortality_only",
        "oviss",
        "oviss_base",
        "oviss_lactate",
        "oviss_mbp",
        "oviss_sofa",
        "oviss_norepinephrine",
        "oviss_mortality",
        "simple",
        "column",
        "function",
    ] = "survival"
    causal: bool = False  # OVISS components look back by 4 and 6 hours instead of ahead
    columns: dict[str, str] = Field(
        default_factory=dict
    )  # what the table calls lactate, mbp, sofa, norepinephrine, vp1, vp2
    column: str | None = None  # for "column"
    column_at: Literal["decision", "arrival"] = "decision"  # its reward stands in the row of the action, or in the next
    function: str | None = None  # for "function": "package.module:name"
    horizon: float = Field(default=0.0, ge=0)  # hours that "column" or "function" looks ahead of the row it leads to


class Ends(Settings):
    """How stays end. A death terminates; what is only the end of the record truncates."""

    discharge: Literal["terminated", "truncated"] = "terminated"
    transfer: Literal["terminated", "truncated"] = "truncated"
    hour_cap: Literal["terminated", "truncated"] = "truncated"
    outcome: Literal["stay", "last_row"] = "stay"  # the outcome column: alike in all rows, or the last row counts
    late_death: Literal["censored", "terminal"] = "censored"  # a death after a transfer or the hour cap
    last_action: Literal["ignored", "taken"] = "ignored"  # taken: a row is added that it leads to
    single_hours: PositiveFloat = 1.0  # until that row where a stay has one alone; else its own median step
    max_hours: PositiveFloat | None = None  # later rows are cut off, and the stay ends by the hour cap


class Meds(Settings):
    """How events become rows, where the path is a MEDS data set."""

    codes: dict[str, tuple[str, ...]] = Field(
        default_factory=dict
    )  # column -> codes; empty: a column is named as its code
    bin_hours: PositiveFloat = 1.0
    start: tuple[str, ...] = ()  # prefixes of codes that begin a stay; empty: a subject's record is one stay
    end: tuple[str, ...] = ()  # prefixes of codes that end one alive
    death: tuple[str, ...] = ("MEDS_DEATH",)


class ClinicalConfig(Settings):
    path: str = "icu-sepsis-log"  # a file, a folder, a MEDS data set or the name of an embedded set
    patients: PositiveInt | None = None  # to be drawn anew, where an embedded set is drawn; None: as many as it holds
    draw: NonNegativeInt = 0  # seed of that, whether or not their number is given
    confounded: bool = False  # clinicians of synth-vaso see a frailty that no column shows; propensities are hidden
    roles: Schema | Literal["clif"] | None = None  # or the path of a YAML file; None: schema.yaml beside the data
    policy: Literal["error", "quarantine"] = "error"  # what becomes of rows and stays that break a rule
    unit_factor: PositiveFloat | None = 200.0  # a stay so many times off others has another unit; None: no check
    splits: Splits = Splits()
    states: States = States()
    actions: Actions = Actions()
    reward: Reward = Reward()
    ends: Ends = Ends()
    meds: Meds = Meds()
    least_patients: NonNegativeInt = 1  # in each part

    @model_validator(mode="before")
    @classmethod
    def _public_keys(cls, given: Any) -> Any:
        """Takes the keys of the public vasopressor pipeline, `dataset` for `path`, and roles from a file.

        Beside the public keys `roles` may say what they leave open: a column's range, the site, why a stay ended.
        """
        if not isinstance(given, Mapping):
            return given
        public = {key: given[key] for key in PUBLIC if key in given}
        given = {key: value for key, value in given.items() if key not in PUBLIC}
        for name, named in (("DATA_PATH", public), ("dataset", given)):
            if name in named:
                if "path" in given:
                    raise FeedError(f"feed.{name} and feed.path say the same: give one of them")
                given["path"] = named.pop(name)
        if public:
            roles = given.get("roles") or {}
            if not isinstance(roles, Mapping):
                raise FeedError(f"feed.roles and feed.{next(iter(public))} say the same: give one of them")
            given["roles"] = public_roles(public, roles)
            if isinstance(ends := given.get("ends", {}), Mapping):
                given["ends"] = {"outcome": "last_row", **ends}
        if isinstance(given.get("roles"), str) and given["roles"] != "clif":
            given["roles"] = load_schema(given["roles"])
        if isinstance(given.get("roles"), Mapping):  # in one sentence, where a union would give several
            given["roles"] = make_schema(given["roles"], "feed.roles")
        return given


class ProcessConfig(Settings):
    """Of ICU-Sepsis itself, in which agents act; see feeds.clinical.process."""

    observation: Literal["features", "state"] = "features"  # 47 numbers, or which of the 716 states, one-hot
    leave_out: tuple[str, ...] = ()  # features that are not shown
    mask: bool = True  # info says which actions are admissible; False: all may be taken, to where the others lead
