"""Records as rows that agents learn from: states, actions, rewards and ends, one episode a stay."""

from dataclasses import dataclass, replace

import numpy as np

from feeds.base import Rows
from feeds.clinical.codecs import Codec
from feeds.clinical.config import ClinicalConfig, Ends
from feeds.clinical.records import DEATH, REASONS, Records
from feeds.clinical.rewards import Story, Term, pay
from feeds.clinical.states import StateCoder


@dataclass(frozen=True, repr=False)
class Doses:
    """What was decided in each row [N, K], and what was in force before."""

    decided: np.ndarray
    before: np.ndarray
    held_on: int = 0  # decisions that were recorded as off after on, and count as on


def terminated(records: Records, ends: Ends) -> np.ndarray:
    """Whether the task ended with the stay [S], or only the record."""
    settings = {"discharge": ends.discharge, "transfer": ends.transfer, "hour_cap": ends.hour_cap}
    table = [name == "death" or settings[name] == "terminated" for name in REASONS]
    return np.array(table)[records.reason]


def with_end_rows(records: Records, single: float) -> Records:
    """Every stay with one row more, in which nothing was measured: the last recorded action led to it.

    It stands the stay's own median step after its last row, `single` hours after the only one.
    """
    step = _median_steps(records, single)
    stops = records.stops
    codes = {name: replace(c, codes=np.insert(c.codes, stops, -1)) for name, c in records.coded.items()}
    return replace(
        records,
        row=np.insert(records.row, stops, records.row[stops - 1]),
        stay=np.insert(records.stay, stops, records.stay[stops - 1]),
        hours=np.insert(records.hours, stops, records.hours[stops - 1] + step),
        values={name: np.insert(values, stops, np.nan) for name, values in records.values.items()},
        coded=codes,
    )


def _median_steps(records: Records, single: float) -> np.ndarray:
    """Hours from row to row of each stay [S]: of its own, so that no other patient moves it."""
    later = ~records.first
    stay, steps = records.stay[later], np.diff(records.hours, prepend=0.0)[later]
    count = np.bincount(stay, minlength=len(records.patient))
    ordered = np.append(steps[np.lexsort((steps, stay))], single)
    begin = np.cumsum(count) - count
    low, high = (ordered[np.where(count > 0, begin + half // 2, -1)] for half in (count - 1, count))
    return (low + high) / 2


def doses_of(records: Records, codec: Codec, config: ClinicalConfig) -> Doses:
    """Doses by the setting `actions.timing`; a stay begins with nothing in force, or with its first dose."""
    held, count = _held(records, codec, config)
    first, last = records.first[:, None], (np.diff(records.stay, append=-1) != 0)[:, None]
    if config.actions.timing == "same_row":
        return Doses(np.where(last, 0.0, held), np.where(first, 0.0, np.roll(held, 1, axis=0)), count)
    return Doses(np.where(last, 0.0, np.roll(held, -1, axis=0)), held, count)


def story_of(records: Records, codec: Codec, config: ClinicalConfig) -> Story:
    """The records as rewards read them: the dose of a row is the one that was decided in it."""
    held, _ = _held(records, codec, config)
    if config.actions.timing == "next_row":
        last = (np.diff(records.stay, append=-1) != 0)[:, None]
        held = np.where(last, np.nan, np.roll(held, -1, axis=0))  # what was decided in the last row is not recorded
    return Story(
        records, config.reward, terminated(records, config.ends), dict(zip(codec.columns, held.T, strict=True))
    )


def _held(records: Records, codec: Codec, config: ClinicalConfig) -> tuple[np.ndarray, int]:
    """Doses [N, columns] as recorded, persistent ones on from the first time; and in how many rows that differs."""
    given = np.stack([np.nan_to_num(records.values[name]) for name in codec.columns], axis=1)
    persist = np.array([name in config.actions.persist for name in codec.columns])
    held = np.where(persist, _ever_on(given, records), given)
    return held, int((held != given).any(axis=1).sum())


def _ever_on(doses: np.ndarray, records: Records) -> np.ndarray:
    """1 from the first row of the stay in which the dose was on."""
    rows = np.arange(len(doses))[:, None]
    latest = np.maximum.accumulate(np.where(doses > 0, rows, -1), axis=0)
    return 1.0 * (latest >= records.starts[records.stay][:, None])


def make_rows(records: Records, coder: StateCoder, codec: Codec, term: Term, config: ClinicalConfig) -> Rows:
    """All stays of the records; entities are the patients as they are numbered there."""
    doses = doses_of(records, codec, config)
    first, last = records.first, np.diff(records.stay, append=-1) != 0
    observation = coder.encode(records)
    if codec.context:
        observation = np.concatenate([observation, codec.show(doses.before)], axis=1)
    action = codec.encode(doses.decided, doses.before)
    mask = codec.mask(doses.before)
    ended = terminated(records, config.ends)
    paid = pay(term, story_of(records, codec, config))
    propensity = records.values[records.schema.propensity] if records.schema.propensity else None
    return Rows(
        observation=observation,
        action=np.where(last.reshape(-1, *[1] * (action.ndim - 1)), _ignored(action, mask), action),
        reward=np.where(first, 0.0, np.roll(paid, 1)),
        terminated=last & ended[records.stay],
        first=first,
        last=last,
        elapsed=np.where(first, 0.0, np.diff(records.hours, prepend=0.0)),
        entity=records.patient[records.stay],
        mask=mask,  # of last rows too: where the record is cut, what would follow is one of these
        propensity=None if propensity is None else np.where(last, 1.0, propensity),
    )


def _ignored(action: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """What stands where nothing was decided: no dose, or the first action that is allowed."""
    return np.zeros((), action.dtype) if mask is None else mask.argmax(1).astype(action.dtype)


def deaths(rows: Rows, records: Records) -> tuple[int, int]:
    """Stays that ended by death, and terminal rows of them that an agent can be given: those a decision led to."""
    died = records.reason == DEATH
    return int(died.sum()), int((rows.terminated & ~rows.first & died[records.stay]).sum())
