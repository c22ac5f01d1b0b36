"""What an agent lived through, or what was recorded, as the models beside it read it."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_SHARE = 10  # entities of which one calibrates and one judges
_FOLDS = 5


class States(NamedTuple):
    """N rows, episode after episode: what the action of the row before led to, and the action taken in it."""

    observation: Float[Tensor, "n d"]  # what was not measured as the agent saw it, carried forward perhaps
    seen: Float[Tensor, "n d"]  # 1 where an entry was measured
    elapsed: Float[Tensor, " n"]  # since the row before; 0 in first rows
    first: Bool[Tensor, " n"]
    terminated: Bool[Tensor, " n"]  # the task ended in this row
    reward: Float[Tensor, " n"]  # 0 in first rows
    action: Int[Tensor, " n"] | None  # the place of a discrete action; None where actions are others
    entity: Int[Tensor, " n"]  # asset, patient or stream
    event: Bool[Tensor, " n"] | None = None  # what the feed tells of and nobody wants, as a death; None: of nothing
    moment: Int[Tensor, " n"] | None = None  # the bar of a calendar that all entities share; None: they share none
    unit: Int[Tensor, " n"] | None = None  # a lasting number of rows that are held out together; None: entities are

    @classmethod
    def whole(
        cls,
        observation: Float[Tensor, "n d"],
        first: Bool[Tensor, " n"],
        *,
        terminated: Bool[Tensor, " n"] | None = None,
        reward: Float[Tensor, " n"] | None = None,
        action: Int[Tensor, " n"] | None = None,
        entity: Int[Tensor, " n"] | None = None,
    ) -> "States":
        """Rows of which all was measured, a unit of time apart; without entities each episode is one."""
        rows = len(observation)
        return cls(
            observation=observation,
            seen=torch.ones_like(observation),
            elapsed=(~first).to(observation.dtype),
            first=first,
            terminated=torch.zeros(rows, dtype=torch.bool) if terminated is None else terminated,
            reward=torch.zeros(rows) if reward is None else reward,
            action=action,
            entity=first.long().cumsum(0) - 1 if entity is None else entity,
        )

    @property
    def rows(self) -> int:
        return len(self.reward)

    def of(self, rows: Bool[Tensor, " n"]) -> "States":
        """Some rows alone, whole episodes of them."""
        return States._make(None if column is None else column[rows] for column in self)

    @property
    def last(self) -> Bool[Tensor, " n"]:
        """The last row of each episode."""
        return torch.cat([self.first[1:], torch.ones(1, dtype=torch.bool)])

    def returns(self, gamma: float, steps: int) -> tuple[Float[Tensor, " n"], Bool[Tensor, " n"]]:
        """The discounted rewards of the next `steps` rows, and whether they are whole: not cut by the record's end.

        A reward counts in full one unit of time on, as for agents.
        """
        rows = len(self.reward)
        total, weight = torch.zeros(rows), torch.ones(rows)
        alive, whole = torch.ones(rows, dtype=torch.bool), torch.ones(rows, dtype=torch.bool)
        last, at = self.last, torch.arange(rows)
        for _ in range(steps):
            stops = last[at]
            whole &= ~(alive & stops & ~self.terminated[at])
            alive &= ~stops
            at = torch.where(alive, at + 1, at)
            paid = gamma ** torch.where(self.elapsed[at] > 0, self.elapsed[at] - 1.0, 0.0)
            total += torch.where(alive, weight * paid * self.reward[at], 0.0)
            weight = weight * gamma ** self.elapsed[at]
        return total, whole & ~last


class Parts(NamedTuple):
    """Rows to fit on, rows to calibrate on and rows to be judged by: no row of one tells of the others."""

    fit: Bool[Tensor, " n"]
    calibrate: Bool[Tensor, " n"]
    judge: Bool[Tensor, " n"]


def parts_of(states: States, reach: int) -> Parts:
    """By entity where there are `_SHARE` of them, of every ten one and one; else by time within each.

    `reach` is how many rows ahead targets lie: rows whose targets lie in another part are left out. Entities that share
    a calendar, as streams of one market do, live through the same days: there its days are parted, for all alike. Units
    stand for entities where what is told of them grows from update to update: what was fitted to once is never judged
    by later, for their numbers last.
    """
    if states.moment is not None:
        days, ahead = states.moment, _ahead(states, reach)
        calibrated, judged = days.sort().values[
            [_share_of(states.rows, _SHARE - 2), _share_of(states.rows, _SHARE - 1)]
        ]
        return Parts(ahead < calibrated, (days >= calibrated) & (ahead < judged), days >= judged)
    if (turn := _turn(states)) is not None:
        fit, calibrate, judge = turn < _SHARE - 2, turn == _SHARE - 2, turn == _SHARE - 1
        if states.unit is None:
            return Parts(fit, calibrate, judge)
        then = turn[_later(states, reach)]  # a unit may end within an episode
        return Parts(fit & (then < _SHARE - 2), calibrate & (then == _SHARE - 2), judge & (then == _SHARE - 1))
    _, place, size = _within(states.entity)
    fitted, judged = (size * (_SHARE - 2)) // _SHARE, (size * (_SHARE - 1)) // _SHARE
    ahead = place + reach
    return Parts(ahead < fitted, (place >= fitted) & (ahead < judged), place >= judged)


def folds_of(states: States, parts: Parts, reach: int) -> list[tuple[Bool[Tensor, " n"], Bool[Tensor, " n"]]]:
    """Rows to fit on and rows to hold out, several times; no row to judge by is among them.

    By entity where `parts` are: each row is held out once. So it is where entities share a calendar: stretches of days
    are held out, and no row is fitted to whose days until its target, `reach` rows ahead, are those of a row held out.
    By time within entities it is what calibrates that is held out.
    """
    if states.moment is not None:
        kept, days, ahead = parts.fit | parts.calibrate, states.moment, _ahead(states, reach)
        bounds = days[kept].sort().values
        begins = [bounds[_share_of(len(bounds), fold, _FOLDS)] for fold in range(_FOLDS)] if len(bounds) else []
        folds = []
        for fold, begin in enumerate(begins):
            held = kept & (days >= begin)
            if fold + 1 < _FOLDS:
                held &= days < begins[fold + 1]
            until = ahead[held].max() if held.any() else begin
            folds.append((kept & ((ahead < begin) | (days > until)), held))
        return folds
    if (turn := _turn(states)) is None:
        return [(parts.fit, parts.calibrate)]
    now, then, kept = turn % _FOLDS, turn[_later(states, reach)] % _FOLDS, parts.fit | parts.calibrate
    return [(kept & (now != fold) & (then != fold), kept & (now == fold)) for fold in range(_FOLDS)]


def _share_of(count: int, parts: int, of: int = _SHARE) -> int:
    """The place that so many of so many equal parts lie before, one that there is."""
    return min(count * parts // of, count - 1)


def _turn(states: States) -> Int[Tensor, " n"] | None:
    """Which of ten a row's entity or unit is; None where there are too few to hold some out."""
    if states.unit is None:
        number, _, _ = _within(states.entity)
        return number % _SHARE if int(number.max()) + 1 >= _SHARE else None
    turn = states.unit % _SHARE
    return turn if len(turn.unique()) == _SHARE else None


def _later(states: States, reach: int) -> Int[Tensor, " n"]:
    """The places of rows so many further on, or of the last of the episode."""
    places = torch.arange(states.rows)
    ends = torch.where(states.last, places, states.rows).flip(0).cummin(0).values.flip(0)
    return torch.minimum(places + reach, ends)


def _ahead(states: States, reach: int) -> Int[Tensor, " n"]:
    """The days of those rows."""
    assert states.moment is not None
    return states.moment[_later(states, reach)]


def _within(entity: Int[Tensor, " n"]) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Of each row: its entity counted from 0, its place among that entity's rows, and how many these are."""
    _, number, count = entity.unique(return_inverse=True, return_counts=True)
    order = number.argsort(stable=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order)) - (count.cumsum(0) - count)[number[order]]
    return number, place, count[number]


class Scaler(NamedTuple):
    """Brings entries to a mean of 0 and a standard deviation of 1; fitted once, on rows that may be learned from.

    What lies beyond ten deviations then is held there.
    """

    mean: Float[Tensor, " d"]
    std: Float[Tensor, " d"]

    @classmethod
    def fitted(cls, states: States, rows: Bool[Tensor, " n"]) -> "Scaler":
        """Over what was measured; entries that hardly vary are left at their own size."""
        seen = states.seen[rows]
        count = seen.sum(0).clamp(min=1.0)
        mean = (states.observation[rows] * seen).sum(0) / count
        variance = ((states.observation[rows] - mean).square() * seen).sum(0) / count
        return cls(mean, torch.where(variance > 1e-12, variance.sqrt(), 1.0))

    def apply(self, observation: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        return ((observation - self.mean) / self.std).clamp(-10.0, 10.0)

    def undo(self, standard: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        return standard * self.std + self.mean
