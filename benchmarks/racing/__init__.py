"""Rounds of several contestants in turn, in one process; what the benchmarks of agents share."""

import os
import platform
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import stable_baselines3
import torch
from gymnasium.vector import VectorEnv

from angle_domains.loops import begin
from angle_domains.replay import ReplayBuffer

Round = Callable[[], float]  # trains one round; steps a second
Rates = dict[str, float]  # steps a second by contestant


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ours(
    loop: Any, agent: Any, envs: VectorEnv[Any, Any, Any], replay: ReplayBuffer, steps: int, *, first: int = 0
) -> Round:
    """Rounds of `steps` by one of our loops; `first` are steps before the first."""
    state = begin(envs, 0)

    def train(steps: int) -> None:
        for _ in loop(agent, envs, replay, state, steps=state.step + steps):
            pass

    if first:
        train(first)
    return lambda: steps / timed(lambda: train(steps))


def theirs(model: Any, steps: int, *, first: int = 0) -> Round:
    """The same by a model of stable-baselines3."""
    if first:
        model.learn(first)
    return lambda: steps / timed(lambda: model.learn(steps, reset_num_timesteps=False))


def race(contestants: dict[str, Round], rounds: int) -> Rates:
    """The median of alternating rounds; two of each go before and do not count: they compile and allocate."""
    for train in contestants.values():
        train(), train()
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, train in contestants.items():
            found[name].append(train())
    return {name: float(np.median(of)) for name, of in found.items()}


def result(races: Iterator[tuple[str, dict[str, Round]]], rounds: int) -> dict[str, Any]:
    """Of each agent's race the rates, the ratios of `ours` to the others', and where that was."""
    rates = {agent: race(contestants, rounds) for agent, contestants in races}
    return {
        "steps_per_second": {agent: {name: round(rate) for name, rate in of.items()} for agent, of in rates.items()},
        "ratio_of_ours_to": {
            agent: {name: round(of["ours"] / rate, 2) for name, rate in of.items() if name != "ours"}
            for agent, of in rates.items()
        },
        "versions": {"torch": torch.__version__, "stable_baselines3": stable_baselines3.__version__},
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
