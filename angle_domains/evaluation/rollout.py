"""One episode over a whole part, for an agent or a rule, through the market feed's own accounting.

Every part is one episode here, the train part too: nothing is drawn, so that all paths cover the same dates.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.vector.utils import create_empty_array
from jaxtyping import Bool, Float, Int

from angle_domains.percepts import allowed
from angle_domains.types import Agent, Percept
from feeds.base import FeedSpec, Step

Targets = Callable[[int, int], Float[np.ndarray, " n"]]  # (bar, decisions so far) -> weights; NaN: leave it alone
Driver = Callable[[Any, Step], tuple[Any, Step]]  # whoever decides: moves the one stream of a feed by a step


class Tick(NamedTuple):
    """What one decision led to; `info` is that of the feed without the stream axis."""

    decided: int  # bar at whose close the decision was taken
    info: dict[str, Any]
    reward: float


@dataclass(frozen=True)
class PortfolioPath:
    """T bars and D decisions of one portfolio; a portfolio that was ruined early stands still from there."""

    name: str
    start: np.datetime64  # close of the first decision
    timestamp: np.ndarray  # [T] datetime64, end of each bar
    log_return: Float[np.ndarray, " t"]  # net of all costs
    gross_log_return: Float[np.ndarray, " t"]
    closed: Int[np.ndarray, " d"]  # bar (of the T) at which each step closed
    weights: Float[np.ndarray, "d n"]  # at that close, after drift
    turnover: Float[np.ndarray, " d"]  # bought plus sold, as a share of wealth
    cost: Float[np.ndarray, " d"]  # share of wealth
    projected: Bool[np.ndarray, " d"]  # the decision was infeasible and was moved to the nearest feasible one
    symbols: tuple[str, ...]
    periods_per_year: float
    ruined: bool = False

    @property
    def cash(self) -> Float[np.ndarray, " d"]:
        return 1.0 - self.weights.sum(-1)

    @property
    def returns(self) -> Float[np.ndarray, " t"]:
        """Simple net returns."""
        return np.expm1(self.log_return)

    @property
    def wealth(self) -> Float[np.ndarray, " t"]:
        """As a multiple of the initial wealth."""
        return np.exp(np.cumsum(self.log_return))

    @property
    def years(self) -> float:
        return len(self.log_return) / self.periods_per_year


class AgentDriver:
    """The agent as it would act in earnest: no exploration, its memory carried from step to step."""

    def __init__(self, feed: Any, agent: Agent) -> None:
        self.feed, self.agent = feed, agent
        self.memory: Any = None
        self.action: torch.Tensor | None = None

    def __call__(self, state: Any, step: Step) -> tuple[Any, Step]:
        decision = self.agent.act(self._percept(step), self.memory, explore=False)
        self.memory, self.action = decision.memory, decision.action.detach().cpu()
        return self.feed.step(state, self.action.numpy())

    def _percept(self, step: Step) -> Percept:
        first = self.action is None
        action = blank_action(self.feed.spec) if self.action is None else self.action
        return Percept(
            obs=torch.from_numpy(np.asarray(step.observation)),
            action=action,
            reward=torch.from_numpy(np.asarray(step.reward, np.float32)),
            discount=torch.ones(1),
            first=torch.tensor([first]),
            last=torch.tensor([False]),
            mask=allowed(step.info, torch.from_numpy(step.terminated | step.truncated), self.feed.spec.action_space),
        )


class TargetDriver:
    """A rule that names weights, held to the same clock, costs and limits as any agent."""

    def __init__(self, feed: Any, targets: Targets) -> None:
        self.feed, self.targets = feed, targets
        self.decisions = 0

    def __call__(self, state: Any, step: Step) -> tuple[Any, Step]:
        targets = self.targets(int(step.info["bar"][0]), self.decisions)
        self.decisions += 1
        return self.feed.hold(state, targets[None])


def blank_action(spec: FeedSpec) -> torch.Tensor:
    """The action `[1, *act]` that is said to have led to a first observation: zeros."""
    return torch.as_tensor(create_empty_array(spec.action_space, 1, fn=np.zeros))


def undivided(feed: Any) -> Any:
    """The same feed, tables shared, whose train part is one episode like the others."""
    whole = copy.copy(feed)
    bars = len(feed.parts["train"])
    whole.config = feed.config.model_copy(update={"random_start": False, "episode_bars": bars})
    return whole


def episode(feed: Any, driver: Driver, *, split: str) -> Iterator[Tick]:
    """The ticks of one episode over the part, from its first bar to its end or to ruin."""
    state, step = undivided(feed).reset(np.zeros(1, np.int64), split=split)
    over = False
    while not over:
        decided = int(step.info["bar"][0])
        state, step = driver(state, step)
        yield Tick(decided, {name: value[0] for name, value in step.info.items()}, float(step.reward[0]))
        over = bool(step.terminated[0] or step.truncated[0])


def rollout(feed: Any, driver: Driver, *, split: str, name: str) -> PortfolioPath:
    """The path of one portfolio over the part."""
    ticks = list(episode(feed, driver, split=split))
    bars, first = feed.bars, ticks[0].decided
    # a step that the end of the part cuts short reports fewer bars than the clock's
    taken = [int(tick.info["bar"]) - tick.decided for tick in ticks]
    column = {key: np.array([tick.info[key] for tick in ticks]) for key in ("weights", "turnover", "cost", "projected")}
    path = PortfolioPath(
        name=name,
        start=bars.timestamp[first],
        timestamp=bars.timestamp[first + 1 : first + 1 + sum(taken)],
        log_return=np.concatenate([tick.info["log_return"][:k] for tick, k in zip(ticks, taken, strict=True)]),
        gross_log_return=np.concatenate(
            [tick.info["gross_log_return"][:k] for tick, k in zip(ticks, taken, strict=True)]
        ),
        closed=np.cumsum(taken) - 1,
        symbols=tuple(bars.symbols),
        periods_per_year=float(feed.config.periods_per_year),
        ruined=bool(ticks[-1].info["ruined"]),
        **column,
    )
    return stand_still(path, bars.timestamp[first + 1 : feed.parts[split].stop]) if path.ruined else path


def stand_still(path: PortfolioPath, timestamp: np.ndarray) -> PortfolioPath:
    """The path with zero returns from ruin to the end, so that it covers the same bars as the others."""
    missing = np.zeros(len(timestamp) - len(path.timestamp))
    return PortfolioPath(
        **{
            **vars(path),
            "timestamp": timestamp,
            "log_return": np.concatenate((path.log_return, missing)),
            "gross_log_return": np.concatenate((path.gross_log_return, missing)),
        }
    )
