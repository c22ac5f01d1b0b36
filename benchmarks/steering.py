"""Does a forecaster that is steered by Q lead to better decisions? A world where the answer can be computed.

24 entries follow AR(1) processes; only two of them matter. One of five actions is to be chosen from a forecast of the
next state; its reward is how far the two lie in the action's direction. A forecaster of rank 2 cannot foresee all; in
the first world the other 22 are loud. Q is a network fitted to rewards. Regret is what the best action for the forecast
loses against the best for what came; `last` acts on the state as it is. Mean and standard deviation over the seeds.
Prints one JSON line.
"""

import argparse
import json
import math
import platform
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor, nn

from metalearn.settings import Coupling
from metalearn.steering import Steering

ENTRIES, ACTIONS, ROWS = 24, 5, 4_000
COUPLINGS: tuple[Coupling, ...] = ("none", "gradient", "values", "gated", "shuffled")
ANGLES = 2.0 * math.pi * torch.arange(ACTIONS) / ACTIONS
DIRECTIONS = torch.stack([ANGLES.cos(), ANGLES.sin()])  # [2, A]


class World(NamedTuple):
    state: Tensor  # [n, D]
    later: Tensor
    action: Tensor  # taken in `later`, at random
    reward: Tensor


def world(loud: float, generator: Generator) -> World:
    """The first two entries matter, the others are `loud` times as large."""
    scale = torch.full((ENTRIES,), loud)
    scale[:2] = 1.0
    keeps = torch.full((ENTRIES,), 0.8)
    keeps[:2] = torch.tensor([0.9, 0.3])
    state = torch.randn(ROWS, ENTRIES, generator=generator)
    later = keeps * state + (1.0 - keeps.square()).sqrt() * torch.randn(ROWS, ENTRIES, generator=generator)
    action = torch.randint(ACTIONS, (ROWS,), generator=generator)
    reward = (later[:, :2] @ DIRECTIONS).gather(1, action.unsqueeze(1)).squeeze(1)
    noisy = reward + 0.2 * torch.randn(ROWS, generator=generator)
    return World(scale * state, scale * later, action, noisy)


def fitted(made: World, scale: Tensor, *, trained: bool, generator: Generator) -> Callable[[Tensor], Tensor]:
    """Q by regression on rewards of the actions that were taken; or as it was born."""
    torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
    network = nn.Sequential(nn.Linear(ENTRIES, 64), nn.ReLU(), nn.Linear(64, ACTIONS))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(600 if trained else 0):
        rows = torch.randint(ROWS, (256,), generator=generator)
        value = network(made.later[rows] / scale).gather(1, made.action[rows].unsqueeze(1)).squeeze(1)
        loss = (value - made.reward[rows]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.requires_grad_(False)
    return lambda states: network(states / scale)


def forecaster(made: World, steering: Steering, q: Callable[[Tensor], Tensor], rank: int, generator: Generator) -> Any:
    """A linear map of that rank, by 1,500 steps of Adam."""
    down = (0.1 * torch.randn(ENTRIES, rank, generator=generator)).requires_grad_()
    up = (0.1 * torch.randn(rank, ENTRIES, generator=generator)).requires_grad_()
    optimizer = torch.optim.Adam([down, up], lr=1e-2)
    for step in range(1_500):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1.0 - step / 1_500)
        rows = torch.randint(ROWS, (256,), generator=generator)
        forecast, came = made.state[rows] @ down @ up, made.later[rows]
        loss = steering.loss((forecast - came).square().mean(), forecast, came, q)
        slopes = torch.autograd.grad(loss, [down, up])
        down.grad, up.grad = slopes
        optimizer.step()
    return lambda states: (states @ down @ up).detach()


def regret(test: World, foresee: Callable[[Tensor], Tensor]) -> float:
    """Of the best action for the forecast, by the true rewards."""
    true = test.later[:, :2] @ DIRECTIONS
    chosen = (foresee(test.state)[:, :2] @ DIRECTIONS).argmax(1, keepdim=True)
    return float((true.max(1).values - true.gather(1, chosen).squeeze(1)).mean())


def measure(loud: float, rank: int, trained: bool, seed: int) -> dict[str, float]:
    generator = torch.Generator().manual_seed(seed)
    made, test, held_out = (world(loud, generator) for _ in range(3))
    scale = made.later.std(0)
    q = fitted(made, scale, trained=trained, generator=generator)
    found: dict[str, float] = {"last": regret(test, lambda states: states)}
    for coupling in COUPLINGS:
        steering = Steering(coupling, ENTRIES, torch.Generator().manual_seed(seed))
        value = steering.seen_by(q)(held_out.later).gather(1, held_out.action.unsqueeze(1)).squeeze(1)
        heard = steering.listen(value, held_out.reward)
        if coupling in ("gated", "shuffled"):
            found[f"{coupling}: heard"] = heard
        foresee = forecaster(made, steering, q, rank, torch.Generator().manual_seed(seed + 100))
        found[coupling] = regret(test, foresee)
    return found


WORLDS = {
    "rank 2, loud": (3.0, 2, True),
    "rank 2, equal": (1.0, 2, True),
    "rank 24": (3.0, 24, True),
    "rank 2, loud, untrained Q": (3.0, 2, False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    told: dict[str, Any] = {"benchmark": "steering", "seeds": asked.seeds, "machine": platform.machine()}
    for name, setting in WORLDS.items():
        runs = [measure(*setting, seed) for seed in asked.seeds]
        told[name] = {
            key: [round(float(of([run[key] for run in runs])), 3) for of in (np.mean, np.std)] for key in runs[0]
        }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
