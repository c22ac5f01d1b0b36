"""What the models beside an agent were worth on a part of the data: forecasts against naive ones, risks against events.

Nothing is fitted here but ridge regression, on the train part, as a rival of forecasters that are networks.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from angle_domains.config import AgentConfig
from angle_domains.outlook.foreseen import Forecasts, forecasts
from angle_domains.outlook.volatility import Asset, volatility
from angle_domains.outlook.walk import Walk, walk
from angle_domains.policy import Policy
from feeds.base import FeedSpec, LoggedFeed
from metalearn.forecasting.histories import cut
from metalearn.forecasting.quantiles import LEVELS, MEDIAN, pinball
from metalearn.forecasting.ridge_anchor import RidgeAnchor
from metalearn.forecasting.skill import Skill, skill
from metalearn.risk.judgement import Foretold, RiskJudgement, judge_risk, telltales
from metalearn.risk.labels import event_within
from metalearn.risk.resamples import auroc_interval
from metalearn.serving.layout import LEFT_OUT
from metalearn.serving.memory import pasts
from metalearn.trainer import MetaLearnerTrainer

_LOW, _HIGH = LEVELS.index(0.1), LEVELS.index(0.9)
_MOST_ROWS = 20_000  # of a part that are studied, whole episodes
_EPISODES = 30  # where they are drawn
FEWEST_EVENTS = 5  # below which no detector is judged
_FEW_EPISODES = 20  # below which none are resampled
_MOVES = 1e-6  # on average, in standard deviations: less is nothing to foresee
_SHOWN = 250  # ticks of the example


class Group(NamedTuple):
    """Entries that say the same of different assets, or one entry, at one horizon."""

    name: str
    ahead: int
    naive: Skill  # against the better of the last value and the mean of training
    ridge: Skill | None  # against ridge regression anchored on the last value; None where that is the forecaster
    pinball: float  # as a share of the naive forecast's, whose quantiles all are its one value
    coverage: float  # of the interval of 80 %
    width: float  # in how far the entry moves in a tick


class Example(NamedTuple):
    """One entry, one tick ahead, along the longest episode."""

    name: str
    when: np.ndarray
    came: Float[np.ndarray, " t"]
    median: Float[np.ndarray, " t"]
    low: Float[np.ndarray, " t"]
    high: Float[np.ndarray, " t"]


@dataclass(frozen=True)
class Study:
    """What a page tells of the models."""

    rows: int
    episodes: int
    kind: str  # of the forecaster
    groups: tuple[Group, ...]
    example: Example | None
    risk: RiskJudgement | None
    auroc: tuple[float, float] | None  # interval of 95 %, episodes resampled; None where they are few
    telltales: dict[str, float]  # entries that tell events all by themselves: AUROC by name
    risk_horizon: int
    unit: str  # of the time between rows, in words
    serving: dict[str, str]  # what the models gave the agent, in words
    shield: dict[str, float]  # what a shield would have done
    volatility: tuple[Asset, ...] = ()  # of markets whose bars know ranges

    @property
    def metrics(self) -> dict[str, float]:
        """Numbers for a store."""
        found = {}
        if self.groups:
            found["forecast_skill"] = float(np.mean([group.naive.better for group in self.groups]))
            found["forecast_coverage_80"] = float(np.mean([group.coverage for group in self.groups]))
        if self.risk is not None and self.risk.events >= FEWEST_EVENTS and len(self.risk.roc):
            found["risk_auroc"], found["risk_ece"] = self.risk.measures.auroc, self.risk.measures.ece
            found["risk_telltales"] = float(len(self.telltales))
        return found


def study(config: AgentConfig, feed: Any, policy: Policy, split: str) -> Study | None:
    """None for a run without models, or whose best checkpoint was saved before they were first trained."""
    trainer = policy.beside
    if trainer is None or not trainer.forecast.ready:
        return None

    def go(part: str) -> Walk:
        limit = config.training.episode_limit
        return _shortened(
            walk(config, feed, policy.agent, split=part, episodes=_EPISODES, seed=config.seed, limit=limit)
        )

    seen = go(split)
    rival = None if trainer.forecast.network is None else _ridge(trainer, go("train"))
    made = forecasts(trainer, seen)
    (risk, auroc, tell), serve = _risk(trainer, seen), trainer.config.serve
    serving = {
        "forecast features": "served" if serve.forecast else "not served",
        "risk features": "served" if serve.risk else "not served",
        "shaping": f"{serve.shaping:g} times how the chance of the event falls" if serve.shaping else "none",
        "shield": "on" if serve.shield else "off",
    }
    shield = {} if trainer.shield is None else trainer.shield.judge_record(seen.states)
    return Study(
        rows=seen.states.rows,
        episodes=int(seen.states.first.sum()),
        kind=trainer.config.forecast.kind,
        groups=tuple(_groups(trainer, seen, made, feed.spec, rival)),
        example=_example(trainer, seen, made, feed.spec),
        risk=risk,
        auroc=auroc,
        telltales=tell,
        risk_horizon=trainer.config.risk.horizon,
        unit="hours" if isinstance(feed, LoggedFeed) else "ticks",
        serving=serving,
        shield=shield,
        volatility=volatility(feed, split),
    )


def _shortened(seen: Walk) -> Walk:
    """The first episodes, as many as there is room for, and one at least."""
    first = seen.states.first
    if seen.states.rows <= _MOST_ROWS:
        return seen
    starts = first.nonzero().squeeze(-1)
    fits = starts[starts <= _MOST_ROWS]
    stop = int(fits[-1]) if len(fits) > 1 else _MOST_ROWS
    columns: Any = (None if column is None else column[:stop] for column in seen.states)
    return seen._replace(states=type(seen.states)(*columns), when=seen.when[:stop])


def spoken_entries(spec: FeedSpec) -> dict[str, list[int]]:
    """Entries by what they say: those of one feature of all assets together; what the agent itself moves left out."""
    if not spec.blocks:
        return {f"entry {place}": [place] for place in range(int(np.prod(spec.observation_space.shape or ())))}
    found: dict[str, list[int]] = {}
    for block in spec.blocks:
        if block.name in LEFT_OUT:
            continue
        for place in range(block.stop - block.start):
            feature = block.features[place % len(block.features)] if block.features else str(place)
            found.setdefault(feature if len(spec.blocks) == 1 else f"{block.name} {feature}", []).append(
                block.start + place
            )
    return found


class _Compared:
    """What forecasts and their rivals lost in every row, by horizon and entry."""

    def __init__(self, trainer: MetaLearnerTrainer, seen: Walk, made: Forecasts, rival: RidgeAnchor | None) -> None:
        low, high = made.quantiles[..., _LOW], made.quantiles[..., _HIGH]
        self.made, self.entity, self.horizons = made, seen.states.entity, trainer.config.forecast.horizons
        self.own = (made.quantiles[..., MEDIAN] - made.came).abs()
        self.naive = {
            "the last value": (made.last.unsqueeze(1) - made.came).abs(),
            "the mean of training": made.came.abs(),  # which is 0 in standardised entries
        }
        self.ridge = None if rival is None else (_by_ridge(trainer, seen, rival) - made.came).abs()
        self.pinball = pinball(made.quantiles, made.came)
        self.inside = ((made.came >= low) & (made.came <= high)).float()
        self.width = (high - low) / made.scale.unsqueeze(1)
        self.generator = torch.Generator().manual_seed(0)

    def group(self, name: str, entries: list[int], place: int) -> Group | None:
        """Of entries at one horizon, row by row their mean; None where nothing is known or nothing ever moves."""
        known = self.made.known[:, place, entries]
        rows = known.any(-1)
        if not rows.any():
            return None

        def over(column: Float[Tensor, "m h d"]) -> Float[Tensor, " k"]:
            return ((column[:, place, entries] * known).sum(-1) / known.sum(-1).clamp(min=1.0))[rows]

        naive = {each: over(column) for each, column in self.naive.items()}
        best = min(naive, key=lambda each: float(naive[each].sum()))
        if float(naive[best].mean()) < _MOVES:
            return None
        ahead, mine, entity = self.horizons[place], over(self.own), self.entity[rows]
        against = None
        if self.ridge is not None:
            against = skill(mine, over(self.ridge), entity, self.generator, naive="ridge regression", overlap=ahead)
        return Group(
            name=name,
            ahead=ahead,
            naive=skill(mine, naive[best], entity, self.generator, naive=best, overlap=ahead, hopeless=_hopeless(name)),
            ridge=against,
            pinball=float(over(self.pinball).sum() / (0.5 * naive[best]).sum()),
            coverage=float(over(self.inside).mean()),
            width=float(over(self.width).mean()),
        )


def _hopeless(name: str) -> bool:
    """Whether an entry is the return of a bar, which nobody foresees by much."""
    return name.endswith("log_return_1")


def _groups(
    trainer: MetaLearnerTrainer, seen: Walk, made: Forecasts, spec: FeedSpec, rival: RidgeAnchor | None
) -> list[Group]:
    compared = _Compared(trainer, seen, made, rival)
    found = (
        compared.group(name, entries, place)
        for name, entries in spoken_entries(spec).items()
        for place in range(len(compared.horizons))
    )
    return [group for group in found if group is not None]


def _ridge(trainer: MetaLearnerTrainer, seen: Walk) -> RidgeAnchor:
    """Ridge regression by all rows of a walk, in the units of the forecaster."""
    substrate, config, states = trainer.forecast, trainer.config.forecast, seen.states
    assert substrate.scaler is not None
    made = RidgeAnchor(config.length, trainer.entries, len(config.horizons), penalty=config.penalty)
    made.typical = substrate.typical
    value = substrate.scaler.apply(states.observation)
    history, future, _ = cut(
        value, states.seen, states.elapsed, states.first, length=config.length, horizons=config.horizons
    )
    made.update(history, future)
    return made


def _by_ridge(trainer: MetaLearnerTrainer, seen: Walk, ridge: RidgeAnchor) -> Float[Tensor, "m h d"]:
    assert trainer.forecast.scaler is not None
    rows = torch.arange(seen.states.rows)
    length = trainer.config.forecast.length
    made: Tensor = ridge(pasts(seen.states, rows, length).history(length, trainer.forecast.scaler))
    return made[..., MEDIAN]


def _example(trainer: MetaLearnerTrainer, seen: Walk, made: Forecasts, spec: FeedSpec) -> Example | None:
    """The entry that is foreseen best one horizon ahead, along the longest episode."""
    spoken = sorted(entry for entries in spoken_entries(spec).values() for entry in entries)
    known, scaler = made.known[:, 0], trainer.forecast.scaler
    assert scaler is not None
    moved = ((made.last - made.came[:, 0]).abs() * known).sum(0)
    error = ((made.quantiles[:, 0, :, MEDIAN] - made.came[:, 0]).abs() * known).sum(0)
    share = torch.where(moved > 1e-6, error / moved.clamp(min=1e-9), torch.inf)
    entry = min(spoken, key=lambda each: float(share[each]), default=None)
    if entry is None or not torch.isfinite(share[entry]):
        return None
    number = seen.states.first.long().cumsum(0) - 1
    longest = int(number.bincount().argmax())
    rows = ((number == longest) & (known[:, entry] > 0)).nonzero().squeeze(-1)[:_SHOWN]
    if len(rows) < 3:
        return None
    ahead = rows + trainer.config.forecast.horizons[0]

    def raw(column: Tensor) -> Float[np.ndarray, " t"]:
        told: np.ndarray = (column * scaler.std[entry] + scaler.mean[entry]).numpy().astype(np.float64)
        return told

    quantiles = made.quantiles[rows, 0, entry]
    return Example(
        seen.names[entry], seen.when[ahead.numpy()], raw(made.came[rows, 0, entry]), raw(quantiles[:, MEDIAN]),
        raw(quantiles[:, _LOW]), raw(quantiles[:, _HIGH]),
    )  # fmt: skip


def _risk(
    trainer: MetaLearnerTrainer, seen: Walk
) -> tuple[RiskJudgement | None, tuple[float, float] | None, dict[str, float]]:
    """With the interval of the AUROC, None where the detector was never trained or episodes are few, and entries that
    tell events all by themselves."""
    substrate, states, config = trainer.risk, seen.states, trainer.config.risk
    if substrate.scaler is None or not substrate.ready:
        return None, None, {}
    rows = torch.arange(states.rows)
    chance = substrate.chance(pasts(states, rows, config.length).history(config.length, substrate.scaler))
    told = Foretold(chance, substrate.events(states), states.first, states.terminated, states.elapsed)
    found = judge_risk(told, config.horizon)
    if not len(found.roc):
        return found, None, {}
    label, known, _ = event_within(told.event, states.first, states.terminated, config.horizon)
    kept = (known > 0) & ~states.last
    tell = telltales(states.observation[kept], label[kept], seen.names)
    if int(states.first.sum()) < _FEW_EPISODES:
        return found, None, tell
    return found, auroc_interval(chance[kept], label[kept], states.first.long().cumsum(0)[kept]), tell
