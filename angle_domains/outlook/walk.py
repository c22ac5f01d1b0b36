"""A part of a feed as rows for models: its records, or what its agent lives through without exploring."""

from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from angle_domains.advised import Advised
from angle_domains.config import AgentConfig
from angle_domains.evaluation.rollout import undivided
from angle_domains.loops import advance, begin
from angle_domains.records import as_shown, first_action, records_of
from angle_domains.tables import agent_spec, feed_entry, resolve
from angle_domains.types import Agent
from feeds.base import FeedSpec, LoggedFeed
from metalearn.states import States

_STREAMS = 8  # where episodes are drawn


class Walk(NamedTuple):
    """N rows, and what each entry of an observation is called."""

    states: States
    names: tuple[str, ...]
    when: np.ndarray  # [N] datetime64 where the feed has dates, else float64 time since the episode began

    @property
    def tick(self) -> np.ndarray:
        """[N] of each row its number in its episode."""
        first = self.states.first.numpy()
        starts = np.flatnonzero(first)
        return np.arange(len(first)) - starts[np.cumsum(first) - 1]


def walk(config: AgentConfig, feed: Any, agent: Agent, *, split: str, episodes: int, seed: int, limit: int) -> Walk:
    """All records of the part, or `episodes` whole episodes of it, each cut after `limit` actions.

    A market's part is one episode, whatever is asked for.
    """
    if isinstance(feed, LoggedFeed):
        states, dates = records_of(feed, split), None
        reads = agent_spec(config.agent_name).offline or config.training.source == "records"
        states = as_shown(states) if isinstance(agent, Advised) or not reads else states
    else:
        states, dates = _lived(config, feed, agent, split, episodes, seed, limit)
    return Walk(states, entry_names(feed.spec), _passed(states) if dates is None else dates)


def _lived(
    config: AgentConfig, feed: Any, agent: Agent, split: str, episodes: int, seed: int, limit: int
) -> tuple[States, np.ndarray | None]:
    dated = getattr(getattr(feed, "bars", None), "timestamp", None)
    streams, wanted = (1, 1) if dated is not None else (min(episodes, _STREAMS), episodes)
    feed = feed if dated is None else undivided(feed)
    envs = resolve(feed_entry(config.feed_name).vector)(feed, streams, split=split, device="cpu")
    state, rows, whole = begin(envs, seed), [_Rows() for _ in range(streams)], list[States]()
    bars: list[np.ndarray] = []
    while len(whole) < wanted:
        percept = state.percept
        bar = envs.state_dict()["state"]["bar"] if dated is not None else None
        decision = agent.act(percept, state.memory, explore=False)
        for stream, kept in enumerate(rows):
            kept.add(percept, decision.action, stream, None if bar is None else int(bar[stream]))
            if (bool(percept.last[stream]) or len(kept) > limit) and len(whole) < wanted:
                whole.append(kept.states(feed.spec, len(whole)))
                bars.append(np.array(kept.bars))
            if bool(percept.last[stream]) or len(kept) > limit:
                kept.clear()
        advance(envs, state, decision.action.detach(), decision.memory)
    columns: Any = (None if part[0] is None else torch.cat(part) for part in zip(*whole, strict=True))
    joined = States(*columns)
    return joined, None if dated is None else np.asarray(dated)[np.concatenate(bars)]


class _Rows:
    """The rows of one stream since its episode began."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.columns: list[tuple[Tensor, Tensor, Tensor, Tensor, Tensor]] = []
        self.bars: list[int] = []

    def __len__(self) -> int:
        return len(self.columns)

    def add(self, percept: Any, action: Tensor, stream: int, bar: int | None) -> None:
        elapsed = torch.tensor(1.0) if percept.elapsed is None else percept.elapsed[stream]
        obs = percept.obs[stream].flatten().to("cpu", torch.float32).clone()
        ended = percept.discount[stream] == 0
        self.columns.append((obs, percept.reward[stream].clone(), ended.clone(), elapsed.clone(), action[stream].cpu()))
        if bar is not None:
            self.bars.append(bar)

    def states(self, spec: FeedSpec, entity: int) -> States:
        obs, reward, ended, elapsed, action = (torch.stack(column) for column in zip(*self.columns, strict=True))
        first = torch.zeros(len(obs), dtype=torch.bool)
        first[0] = True
        return States(
            observation=obs,
            seen=torch.ones_like(obs),
            elapsed=torch.where(first, 0.0, elapsed),
            first=first,
            terminated=ended,
            reward=torch.where(first, 0.0, reward),
            action=action.long() - first_action(spec) if isinstance(spec.action_space, spaces.Discrete) else None,
            entity=torch.full((len(obs),), entity),
        )


def _passed(states: States) -> np.ndarray:
    """Time since each row's episode began."""
    total = states.elapsed.double().cumsum(0).numpy()
    begins = states.first.numpy()
    passed: np.ndarray = total - total[begins][np.cumsum(begins) - 1]
    return passed


def entry_names(spec: FeedSpec) -> tuple[str, ...]:
    """What each entry of an observation is called: block, feature, and its asset or number where they repeat."""
    if not spec.blocks:
        return tuple(f"entry {number}" for number in range(spaces.flatdim(spec.observation_space)))
    weights = spec.block("weights")
    assets = weights.features if weights else ()
    names: list[str] = []
    for block in spec.blocks:
        size = block.stop - block.start
        per = len(block.features)
        for place in range(size):
            feature = f" {block.features[place % per]}" if per else ""
            which = place // per if per else place
            repeats = block.name == "assets" and len(assets) > which
            number = f" {assets[which] if repeats else which}" if size != max(per, 1) else ""
            names.append(f"{block.name}{feature}{number}")
    return tuple(names)
