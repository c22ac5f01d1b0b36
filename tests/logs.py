"""Logs of small worlds, as feeds record them."""

from typing import Any

import numpy as np
import torch
from gymnasium.vector import SyncVectorEnv

from angle_domains import loops
from angle_domains.replay import ReplayBuffer, Uniform
from angle_domains.types import Decision
from feeds.base import Rows


def rows_of(episodes: list[dict[str, Any]], actions: int | None = None) -> Rows:
    """Of episodes with `obs` [L+1], `action` [L], `reward` [L], `ended` and perhaps `elapsed` [L], `mask` [L+1, A].

    With `actions` every action is allowed where an episode has no mask.
    """
    columns: dict[str, list[np.ndarray]] = {}

    def put(name: str, *parts: Any) -> None:
        columns.setdefault(name, []).append(np.concatenate([np.asarray(part) for part in parts]))

    for number, episode in enumerate(episodes):
        length = len(episode["reward"])
        action = np.asarray(episode["action"])
        place = np.arange(length + 1)
        obs = np.asarray(episode["obs"], np.float32)
        put("observation", obs.reshape(length + 1, -1))
        put("action", action, np.zeros_like(action[:1]))
        put("reward", [0.0], np.asarray(episode["reward"], np.float64))
        put("terminated", (place == length) & episode["ended"])
        put("first", place == 0)
        put("last", place == length)
        put("elapsed", [0.0], np.asarray(episode.get("elapsed", np.ones(length)), np.float64))
        put("entity", np.full(length + 1, number))
        if actions is not None:
            put("mask", np.asarray(episode.get("mask", np.ones((length + 1, actions), bool))))
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    return Rows(**joined)


def lucky() -> Rows:
    """Forty actions taken once each, half of them with luck, and one taken often that is known to earn a half."""
    luck = [{"obs": [0, 0], "action": [a], "reward": [1.0 if a % 2 else -1.0], "ended": True} for a in range(40)]
    return rows_of(luck + [{"obs": [0, 0], "action": [40], "reward": [0.5], "ended": True}] * 200)


def logged(envs: SyncVectorEnv, steps: int, seed: int = 0) -> Rows:
    """What random actions, each allowed one as likely as another, led to in some environments."""
    space, streams = envs.single_action_space, envs.num_envs
    space.seed(seed)
    chance = np.random.default_rng(seed)
    state = loops.begin(envs, seed)
    replay = ReplayBuffer(2 * steps, streams, torch.Generator(), sampler=Uniform())
    while state.step < steps:
        mask = state.percept.mask
        drawn = np.stack([np.asarray(space.sample()) for _ in range(streams)])
        if mask is not None:
            drawn = (chance.random(mask.shape) * mask.numpy()).argmax(-1)
        action = torch.from_numpy(drawn)
        replay.insert(state.percept, Decision(action))
        loops.advance(envs, state, action, None)
    held = replay.read_rows(0, replay.added)
    return whole({name: column.numpy() for name, column in held.items()})


def whole(held: dict[str, np.ndarray]) -> Rows:
    """Stream after stream, of each what comes up to the end of its last whole episode."""
    kept: list[dict[str, np.ndarray]] = []
    for stream in range(held["action"].shape[1]):
        ends = np.flatnonzero(held["percept/last"][:, stream])
        if len(ends):
            kept.append({name: column[: ends[-1] + 1, stream] for name, column in held.items()})
    column = {name: np.concatenate([part[name] for part in kept]) for name in kept[0]}
    first = column["percept/first"]
    return Rows(
        observation=column["percept/obs"],
        action=np.where(column["percept/last"].reshape(-1, *[1] * (column["action"].ndim - 1)), 0, column["action"]),
        reward=np.where(first, 0.0, column["percept/reward"].astype(np.float64)),
        terminated=column["percept/discount"] == 0.0,
        first=first,
        last=column["percept/last"],
        elapsed=np.where(first, 0.0, 1.0),
        entity=np.cumsum(first) - 1,
        mask=column.get("percept/mask"),
    )
