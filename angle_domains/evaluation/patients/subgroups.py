"""The policy among patients of one kind: whoever it would harm must not vanish in the mean.

Columns that do not change within a stay make groups: categories, ages in bands, other numbers in thirds. Categories
are named where the roles name them or enough patients share them; the others are one group.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from angle_domains.ope.episodes import Episodes, returns
from angle_domains.ope.settings import JudgingConfig
from angle_domains.ope.value import Estimate, OpeConfig, evaluate
from feeds.clinical.disclosure import LEAST, hidden, small, told
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.records import Coded, Records

_AGES = (45.0, 65.0, 75.0)
_YEARS = ("a", "y", "yr", "year", "years")
_REST, _UNKNOWN = "other", "unknown"


@dataclass(frozen=True)
class Group:
    """Patients of one kind. None is what is not told, of few patients or of few who died or lived."""

    column: str
    label: str
    patients: int | None
    deaths: int | None
    observed: float | None  # mean return of the records
    value: float | None  # of the policy, by WIS
    interval: tuple[float, float] | None
    effective: float | None
    verdict: str  # "estimable", or why there is no value


def subgroups(
    feed: ClinicalFeed, split: str, episodes: Episodes | None, settings: JudgingConfig, *, secret: bool = False
) -> tuple[Group, ...]:  # fmt: skip
    """Of every static column and of the site; without episodes there are no values, where `secret` no outcomes."""
    records = feed.part(split)
    found: list[Group] = []
    for name in dict.fromkeys([*records.schema.static, *([records.schema.site] if records.schema.site else [])]):
        labels, group = _groups(feed, records, name)
        if len(labels) > 1:
            found += _judged(name, (labels, group), records, episodes, settings, secret=secret)
    return tuple(found)


def _groups(feed: ClinicalFeed, records: Records, name: str) -> tuple[list[str], Int[np.ndarray, " p"]]:
    """Names of the groups and the group of each patient, by his first stay."""
    first = records.starts[np.unique(records.patient, return_index=True)[1]]
    if name in records.coded:
        column = records.schema.state.get(name)
        return _categories(records.coded[name], first, column.categories if column else ())
    values = _ever(records.values[name], records)[first]
    column = records.schema.state.get(name)
    if column is not None and column.kind == "binary":
        return _packed(["no", "yes", _UNKNOWN], np.where(np.isnan(values), 2, values > 0).astype(np.int64))
    if name == "age" and column is not None and column.unit in _YEARS:
        edges, unit = np.array(_AGES), "years"
    else:
        train = feed.part("train")
        seen = _ever(train.values[name], train)[train.starts]
        edges = np.quantile(seen[~np.isnan(seen)], [1 / 3, 2 / 3]) if not np.isnan(seen).all() else np.zeros(1)
        unit = "" if column is None or column.unit == "1" else column.unit
    place = np.where(np.isnan(values), len(edges) + 1, np.digitize(values, edges)).astype(np.int64)
    return _packed([*_bands(edges, unit), _UNKNOWN], place)


def _ever(values: Float[np.ndarray, " n"], records: Records) -> Float[np.ndarray, " n"]:
    """The value that a stay ever shows, in each of its rows."""
    known = np.where(np.isnan(values), -np.inf, values)
    most = np.maximum.reduceat(known, records.starts)
    return np.where(np.isfinite(most), most, np.nan)[records.stay]


def _bands(edges: Float[np.ndarray, " e"], unit: str) -> list[str]:
    shown = [f"{edge:.3g} {unit}".strip() for edge in edges]
    between = [f"{low:.3g} to under {high}" for low, high in zip(edges[:-1], shown[1:], strict=True)]
    return [f"under {shown[0]}", *between, f"{shown[-1]} and over"]


def _categories(
    coded: Coded, first: Int[np.ndarray, " p"], named: tuple[str, ...]
) -> tuple[list[str], Int[np.ndarray, " p"]]:
    """A name that few share may be one of theirs: what the roles do not list is told of many alone."""
    codes = coded.codes[first].astype(np.int64)
    many = np.bincount(codes[codes >= 0], minlength=len(coded.names)) >= LEAST
    known = [code for code, name in enumerate(coded.names) if name in named or many[code]]
    place = {code: at for at, code in enumerate(known)}
    rest, unknown = len(known), len(known) + 1
    group = np.array([unknown if code < 0 else place.get(int(code), rest) for code in codes])
    return _packed([*(coded.names[code] for code in known), _REST, _UNKNOWN], group)


def _packed(labels: list[str], group: Int[np.ndarray, " p"]) -> tuple[list[str], Int[np.ndarray, " p"]]:
    """Groups that hold somebody, numbered anew."""
    there, packed = np.unique(group, return_inverse=True)
    return [labels[at] for at in there], packed


def _judged(
    name: str,
    groups: tuple[list[str], Int[np.ndarray, " p"]],
    records: Records,
    episodes: Episodes | None,
    settings: JudgingConfig,
    *,
    secret: bool,
) -> list[Group]:
    labels, group = groups
    died = records.died_patients
    size = np.bincount(group, minlength=len(labels))
    dead = np.bincount(group[died], minlength=len(labels))
    few = secret or bool(small(died.sum()) | small((~died).sum()))
    away = hidden(np.stack([dead, size - dead], 1)) | few
    patients, deaths = told(size, hidden(size)), told(dead, away)
    return [
        _group(name, label, patients[k], deaths[k], _part(episodes, group == k), settings)
        for k, label in enumerate(labels)
    ]


def _part(episodes: Episodes | None, chosen: Bool[np.ndarray, " p"]) -> Episodes | None:
    if episodes is None:
        return None
    kept = chosen[episodes.patient]
    return Episodes(*(None if column is None else column[kept] for column in episodes))  # type: ignore[arg-type]


def _group(
    column: str, label: str, patients: int | None, deaths: int | None, episodes: Episodes | None,
    settings: JudgingConfig,
) -> Group:  # fmt: skip
    """A value tells of outcomes as deaths do: where those are hidden there is none."""
    if deaths is None:
        few = "few patients" if patients is None else "few died or lived, here or in another group"
        return Group(column, label, patients, None, None, None, None, None, f"not told: {few}")
    if episodes is None:
        return Group(column, label, patients, deaths, None, None, None, None, "no value: doses are continuous")
    config = OpeConfig.of(settings).model_copy(update={"estimators": ("WIS",), "override": False})
    found: Estimate = evaluate(episodes, settings.gamma, config)["WIS"]
    between = None if found.interval is None else (found.interval.low, found.interval.high)
    seen = float(returns(episodes, settings.gamma).mean())
    effective = found.diagnostics.effective
    return Group(column, label, patients, deaths, seen, found.value, between, effective, found.judgement.words())
