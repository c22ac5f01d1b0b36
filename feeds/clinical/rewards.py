"""What the action of a row led to, as numbers.

kind                 of the action in row t, hours apart                                              horizon
survival             +1 if the stay terminated with the patient alive                                 0
mortality            −1 if it ended by death                                                          0
mortality_only       +1 if it ended by death: the opposite sign of a penalty, as published; flagged   0
oviss_base           +1 an hour                                                                       0
oviss_lactate        +1 if lactate(t+6) < lactate(t)                                                  6
oviss_mbp            +1 if mbp(t) < 65 and mbp(t+4) ≥ 65                                              4
oviss_sofa           +3 if sofa(t+6) < sofa(t)                                                        6
oviss_norepinephrine +1 if norepinephrine(t+4) < norepinephrine(t)                                    4
oviss_mortality      −20 if it ended by death                                                         0
oviss                the sum of these six (OVISS, JAMA 2025;333:1688)                                 6
simple               −0.1 max(0, vp1 + 2 vp2 − 1); +10 if terminated alive, −10 if by death           0
column, function     the user's own                                                                   as declared

The horizon is the hours beyond the decision that a reward reads; 0 where it reads nothing later than the row that the
action led to. With a horizon a reward is no function of state, action and next state, and may not enter a state. Under
`causal` the components look back instead: 4 and 6 hours from the row the action led to, doses 4 hours from the action.
Rewards are paid when the row comes that the action led to, and discounted from there. What is paid at the end of a stay
counts the same whatever its rows are; what is summed over a row (oviss_base) is paid at its end, and under a gamma
below 1 counts a little less in longer rows.
Where the stay has no row at the other time (see `feeds.clinical.fill.at_offset`) a component is 0.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module

import numpy as np

from feeds.clinical.config import Reward
from feeds.clinical.fill import at_offset, newest
from feeds.clinical.privacy import pseudonym
from feeds.clinical.records import DEATH, Records
from feeds.errors import FeedError, nearest
from feeds.findings import count, row_in

PUBLIC_NAMES = {"vp1": "action_vaso", "vp2": "norepinephrine"}
_READS = {
    "oviss": ("lactate", "mbp", "sofa", "norepinephrine"),
    "oviss_lactate": ("lactate",),
    "oviss_mbp": ("mbp",),
    "oviss_sofa": ("sofa",),
    "oviss_norepinephrine": ("norepinephrine",),
    "simple": ("vp1", "vp2"),
}


@dataclass(frozen=True, repr=False)
class Story:
    """Records as a reward reads them. Rows `[N]`; the last row of a stay holds no decision."""

    records: Records
    settings: Reward
    terminated: np.ndarray  # [S] bool
    decided: Mapping[str, np.ndarray] = field(default_factory=dict)  # doses by column, [N] as decided in each row

    @property
    def stay(self) -> np.ndarray:
        return self.records.stay

    @property
    def hours(self) -> np.ndarray:
        return self.records.hours

    @property
    def last(self) -> np.ndarray:
        return np.diff(self.stay, append=-1) != 0

    def column(self, role: str) -> np.ndarray:
        """A numeric column as it stood, carried forward; NaN before its first value."""
        name = column_name(role, self.settings)
        values = self.records.values.get(name)
        if values is None:
            raise FeedError(
                f"{self.records.source}: the reward reads '{name}', which the table lacks; "
                f"{nearest(name, self.records.values)}; see feed.reward.columns"
            )
        if name in self.records.schema.action:
            return self.decided.get(name, values)
        source = newest(~np.isnan(values), self.stay, self.hours).source
        return np.where(source >= 0, values[np.maximum(source, 0)], np.nan)

    def ends(self, chosen: np.ndarray) -> np.ndarray:
        """1.0 at the last decision of the chosen stays [S], 0 elsewhere."""
        paid = np.zeros(len(self.records))
        stops = self.records.stops
        paid[stops[chosen] - 2] = 1.0
        return paid

    def arrived(self, values: np.ndarray) -> np.ndarray:
        """Values of the row that the action of each row led to; 0 in last rows."""
        return np.where(self.last, 0.0, np.roll(values, -1))

    def paired(self, values: np.ndarray, offset: float) -> tuple[np.ndarray, np.ndarray]:
        """Values at each row and `offset` hours from it, both NaN where there is no such row."""
        other = at_offset(self.stay, self.hours, offset)
        found = np.where(other >= 0, values[np.maximum(other, 0)], np.nan)
        return np.where(other >= 0, values, np.nan), found


@dataclass(frozen=True)
class Term:
    """One reward, and how far it looks ahead of the decision."""

    pays: Callable[[Story], np.ndarray]
    horizon: float = 0.0  # hours
    flag: str = ""


def _died(story: Story) -> np.ndarray:
    return story.ends(story.records.reason == DEATH)


def _survived(story: Story) -> np.ndarray:
    return story.ends((story.records.reason != DEATH) & story.terminated)


def _falls(role: str, hours: float, weight: float = 1.0) -> Callable[[Story], np.ndarray]:
    def pays(story: Story) -> np.ndarray:
        now, then = story.paired(story.column(role), hours)
        return weight * (then < now)

    return pays


def _fell(role: str, hours: float, weight: float = 1.0) -> Callable[[Story], np.ndarray]:
    def pays(story: Story) -> np.ndarray:
        now, before = story.paired(story.column(role), -hours)
        fell = weight * (now < before)
        return fell if column_name(role, story.settings) in story.records.schema.action else story.arrived(fell)

    return pays


def _mbp_ahead(story: Story) -> np.ndarray:
    now, then = story.paired(story.column("mbp"), 4.0)
    return 1.0 * ((now < 65) & (then >= 65))


def _mbp_back(story: Story) -> np.ndarray:
    now, before = story.paired(story.column("mbp"), -4.0)
    return story.arrived(1.0 * ((before < 65) & (now >= 65)))


def _base(story: Story) -> np.ndarray:
    return story.arrived(np.diff(story.hours, prepend=story.hours[0]))


def _simple(story: Story) -> np.ndarray:
    dose = np.nan_to_num(story.column("vp1")) + 2.0 * np.nan_to_num(story.column("vp2"))
    return -0.1 * np.maximum(0.0, dose - 1.0) + 10.0 * _survived(story) - 10.0 * _died(story)


_AHEAD = {
    "oviss_base": Term(_base),
    "oviss_lactate": Term(_falls("lactate", 6.0), 6.0),
    "oviss_mbp": Term(_mbp_ahead, 4.0),
    "oviss_sofa": Term(_falls("sofa", 6.0, 3.0), 6.0),
    "oviss_norepinephrine": Term(_falls("norepinephrine", 4.0), 4.0),
    "oviss_mortality": Term(lambda story: -20.0 * _died(story)),
}
_BACK = _AHEAD | {
    "oviss_lactate": Term(_fell("lactate", 6.0)),
    "oviss_mbp": Term(_mbp_back),
    "oviss_sofa": Term(_fell("sofa", 6.0, 3.0)),
    "oviss_norepinephrine": Term(_fell("norepinephrine", 4.0)),
}
_PLAIN = {
    "survival": Term(_survived),
    "mortality": Term(lambda story: -_died(story)),
    "mortality_only": Term(_died, flag="pays for deaths: the opposite sign of a penalty, as published"),
    "simple": Term(_simple),
}
COMPONENTS = tuple(_AHEAD)


def make_term(settings: Reward, custom: Callable[[Story], np.ndarray] | None = None) -> Term:
    """The reward that the settings name; `custom` stands for what `function` would import."""
    parts = _BACK if settings.causal else _AHEAD
    table = _PLAIN | parts
    if custom is not None or settings.kind == "function":
        term = Term(custom or _imported(settings.function), settings.horizon)
    elif settings.kind == "column":
        if not settings.column:
            raise FeedError("feed.reward.kind=column needs feed.reward.column")
        term = Term(_from_column, settings.horizon)
    elif settings.kind == "oviss":
        term = Term(lambda story: sum((part.pays(story) for part in parts.values()), np.zeros(len(story.stay))))
        term = Term(term.pays, max(part.horizon for part in parts.values()))
    else:
        term = table[settings.kind]
    if term.horizon:
        flag = f"reads up to {term.horizon:g} h beyond the decision: no function of state, action and next state"
        term = Term(term.pays, term.horizon, flag)
    return term


def components(settings: Reward) -> dict[str, Term]:
    """The parts that the reward is the sum of, by name; itself alone where it has none."""
    return dict(_BACK if settings.causal else _AHEAD) if settings.kind == "oviss" else {}


def pay(term: Term, story: Story) -> np.ndarray:
    """The reward of the action of each row [N] float64, 0 in last rows; FeedError where it is not finite."""
    paid = np.asarray(term.pays(story), np.float64)
    if paid.shape != (len(story.records),):
        raise FeedError(f"the reward must be one number a row, and is of shape {paid.shape}")
    paid = np.where(story.last, 0.0, paid)
    wrong = np.flatnonzero(~np.isfinite(paid))
    if len(wrong):
        records, at = story.records, int(wrong[0])
        name = pseudonym(str(records.identities[records.patient[records.stay[at]]]))
        row = row_in(records.source, int(records.row[at]))
        raise FeedError(
            f"{records.source}, {row}, patient {name}: the reward is missing or infinite "
            f"({count(len(wrong), 'row')}) [reward]"
        )
    return paid


def column_name(role: str, settings: Reward) -> str:
    """What the table calls a column that a reward reads."""
    return settings.columns.get(role, PUBLIC_NAMES.get(role, role))


def reads(settings: Reward) -> tuple[str, ...]:
    """Columns of the table that the reward needs, as far as the settings tell."""
    if settings.kind == "column":
        return (settings.column,) if settings.column else ()
    return tuple(column_name(role, settings) for role in _READS.get(settings.kind, ()))


def _from_column(story: Story) -> np.ndarray:
    values = story.records.values[str(story.settings.column)]
    return values if story.settings.column_at == "decision" else story.arrived(values)


def _imported(path: str | None) -> Callable[[Story], np.ndarray]:
    module, _, name = (path or "").partition(":")
    try:
        function: Callable[[Story], np.ndarray] = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise FeedError(f"feed.reward.function={path}: wanted package.module:name of a function") from error
    return function
