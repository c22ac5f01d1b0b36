"""Which column of a patient table plays which part."""

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from feeds.clinical.vocabulary import PERSONAL, ROLES, STATIC, VOCABULARY, canonical, described, tells_outcome
from feeds.errors import FeedError, nearest
from feeds.settings import Settings

_KINDS = {"continuous": "numeric", "discrete": "categorical", "boolean": "binary"}
_UNITS = {"h": "hours", "hour": "hours", "min": "minutes", "minute": "minutes", "s": "seconds", "day": "days"}
HOURS = {"hours": 1.0, "minutes": 1 / 60, "seconds": 1 / 3600, "days": 24.0}


class Column(Settings):
    """A state or action column; what is not given is taken from the vocabulary, by the column's name."""

    kind: Literal["numeric", "categorical", "binary"] = "numeric"
    unit: str = ""
    low: float | None = None  # plausible range, in that unit
    high: float | None = None
    categories: tuple[str, ...] = ()  # empty: those of the training patients
    max_age: PositiveFloat | None = None  # hours a value is carried forward; None: as feed.states.max_age
    delay: NonNegativeFloat = 0.0  # hours from the time in the table (of the draw) until the result is known
    lag: bool = False  # the state shows the value of the row before: for what is itself a decision
    grid: dict[str, PositiveInt] = Field(default_factory=dict)  # of a coded action: how many levels of what each code
    # stands for, the last changes fastest

    @model_validator(mode="after")
    def _whole_grid(self) -> "Column":
        codes = prod(self.grid.values())
        if self.grid and (self.kind != "categorical" or self.high is None or codes != int(self.high) + 1):
            raise ValueError(
                f"grid: {codes} combinations need a categorical column whose codes go from 0 to {codes - 1}"
            )
        return self

    @field_validator("kind", mode="before")
    @classmethod
    def _other_names(cls, kind: Any) -> Any:
        return _KINDS.get(kind, kind) if isinstance(kind, str) else kind


class Schema(Settings):
    """Roles of the columns of a table with one row per stay and time."""

    subject: str  # the patient: parts are split by it
    time: str  # a number, or a datetime
    stay: str | None = None  # one episode; None: a patient is one stay
    state: dict[str, Column] = Field(min_length=1)
    action: dict[str, Column] = Field(min_length=1)
    outcome: str | None = None  # 1 where the patient died
    end_reason: str | None = None  # death, discharge, transfer or hour_cap
    static: tuple[str, ...] = ()  # columns that must not change within a stay; those in `state` are carried without end
    propensity: str | None = None  # probability with which the recorded action was taken
    site: str | None = None
    rewards: tuple[str, ...] = ()  # columns that only a reward reads
    time_unit: Literal["hours", "minutes", "seconds", "days"] = "hours"
    allow: tuple[str, ...] = ()  # state columns that are known in time although their name says otherwise

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        given = dict(given)
        if isinstance(given.get("static"), Mapping):
            given["state"] = {**_mapping(given.get("state", {})), **given["static"]}
            given["static"] = tuple(given["static"])
        unit = str(given.get("time_unit", "hours"))
        given["time_unit"] = _UNITS.get(unit, unit)
        for role in ("state", "action"):
            columns = _mapping(given.get(role, {}))
            given[role] = {name: _described(name, column) for name, column in columns.items()}
        return {key: value for key, value in given.items() if value is not None}

    @model_validator(mode="after")
    def _nothing_that_tells(self) -> "Schema":
        """A state holds nothing that is known only afterwards."""
        later = {self.outcome: "the outcome", self.end_reason: "the end reason", self.propensity: "the propensity"}
        later |= dict.fromkeys(self.rewards, "read by rewards")
        later |= {self.subject: "the patient", self.stay: "the stay"}
        for name in self.state:
            if name in later:
                raise ValueError(f"column '{name}' is {later[name]} and cannot be in the state")
            if tells_outcome(name) and name not in self.allow:
                raise ValueError(
                    f"state column '{name}' looks like something that is known only when the stay is over; "
                    "take it out, or name it in roles.allow"
                )
        return self

    @property
    def lagged(self) -> frozenset[str]:
        """State columns of which the row before is shown: a decision must not see itself."""
        return frozenset(name for name, column in self.state.items() if column.lag or name in self.action)

    @property
    def words(self) -> frozenset[str]:
        """State columns of categories."""
        return frozenset(name for name, column in self.state.items() if column.kind == "categorical")

    @property
    def labels(self) -> frozenset[str]:
        """Columns that are only told apart, by words or numbers: the site, and static ones that no state shows."""
        single = {self.site, *self.static} - {None, self.outcome, self.propensity}
        return frozenset(name for name in single if name and name not in {*self.state, *self.action, *self.rewards})

    def columns(self) -> list[str]:
        """Every column that is read, each once."""
        single = (self.subject, self.stay, self.time, self.outcome, self.end_reason, self.propensity, self.site)
        named = [name for name in single if name]
        return list(dict.fromkeys([*named, *self.state, *self.action, *self.static, *self.rewards]))

    def kind(self, name: str) -> str:
        """Of a state or action column; any other is numeric."""
        column = self.state.get(name) or self.action.get(name)
        return column.kind if column else "numeric"


def _mapping(columns: Any) -> Any:
    """Columns with what is said of each: a name, a list of names, or names with kinds or more."""
    if isinstance(columns, Mapping):
        return {name: {"kind": said} if isinstance(said, str) else said for name, said in columns.items()}
    if isinstance(columns, str):
        return {columns: {}}
    if isinstance(columns, Sequence) and all(isinstance(name, str) for name in columns):
        return {name: {} for name in columns}
    raise ValueError(f"columns are a list of names, or names with what is said of each, not {type(columns).__name__}")


def _described(name: str, column: Any) -> Any:
    if isinstance(column, Column) or not isinstance(column or {}, Mapping):
        return column
    given = dict(column or {})
    known = described(name)
    kind, unit = given.get("kind", known.get("kind")), str(given.get("unit", known.get("unit")))
    if _KINDS.get(str(kind), kind) != known.get("kind") or unit.replace("µ", "u") != str(known.get("unit")):
        known = {}  # a range belongs to its unit
    return {**known, **given}


def load_schema(path: str | Path) -> Schema:
    """Reads a YAML file; FeedError in one sentence where it is none or names what is unknown."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise FeedError(f"{file}: no such file; the roles of the columns are read from it")
    try:
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FeedError(f"{file}: is no YAML: {str(error).splitlines()[0]}") from error
    return make_schema(given, str(file))


def make_schema(given: Any, place: str) -> Schema:
    """The schema of plain data; `place` is named where it is wrong."""
    try:
        return Schema.model_validate(given)
    except ValidationError as error:
        found = error.errors()
        first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
        missing = [str(each["loc"][0]) for each in found if each["type"] in ("missing", "too_short")]
        where = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            known = Column.model_fields if len(first["loc"]) > 1 else Schema.model_fields
            said = f"is unknown; {nearest(str(first['loc'][-1]), known)}"
        elif missing:
            raise FeedError(
                f"{place}: the roles {', '.join(missing)} are missing: name the columns of the patient (subject), of "
                "the time, of what is known (state) and of what was decided (action)"
            ) from error
        raise FeedError(f"{place}: {f'{where}: ' if where else ''}{said}") from error


def public_roles(given: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of the public vasopressor pipeline as roles, and `more` roles, which say what those leave open.

    No key says what stays the same within a stay. Age, gender and ethnicity do, and reports judge a policy by them.
    """
    actions = list(given.get("ACTION_COLUMNS", ()))
    kinds = list(given.get("ACTION_TYPES", ["binary"] * len(actions)))
    if len(kinds) == 1:
        kinds *= len(actions)
    if len(kinds) != len(actions):
        raise FeedError(f"ACTION_TYPES names {len(kinds)} kinds for {len(actions)} ACTION_COLUMNS")
    states, categorical = list(given.get("STATE_COLUMNS", ())), set(given.get("CATEGORICAL_FEATURES", ()))
    for name in sorted(categorical - set(states)):
        raise FeedError(f"CATEGORICAL_FEATURES: '{name}' is no state column; {nearest(name, states)}")
    roles: dict[str, Any] = {
        "subject": given.get("TRAJ_ID_COL", "subject_id"),
        "time": given.get("TIME_COL", "time_hour"),
        "state": {name: {"kind": "categorical"} if name in categorical else {} for name in states},
        "action": {name: {"kind": kind} for name, kind in zip(actions, kinds, strict=True)},
        "outcome": given.get("DEATH_COL", "death"),
        "static": more.get("static", tuple(name for name in states if canonical(name) in PERSONAL)),
    }
    for role in ("state", "action"):
        for name, said in _mapping(more.get(role, {})).items():
            roles[role][name] = roles[role].get(name, {}) | dict(said or {})
    return {**more, **roles}


def shared_names(columns: Sequence[str]) -> dict[str, Any]:
    """Roles of a table whose columns carry the names that CLIF sites share, as far as it has them."""
    roles: dict[str, Any] = {
        role: next((name for name in names if name in columns), None) for role, names in ROLES.items()
    }
    actions = [name for name in columns if canonical(name) in ("action_vaso", "norepinephrine")]
    if "action_vaso" not in columns:
        actions += [name for name in columns if canonical(name) == "vaso_dose"]
    taken = {value for value in roles.values() if value} | set(actions) | {"vaso_dose"}
    roles["state"] = [name for name in columns if canonical(name) in VOCABULARY and name not in taken]
    roles["action"] = actions
    roles["static"] = tuple(name for name in columns if canonical(name) in STATIC)
    return {role: value for role, value in roles.items() if value}
