"""Microseconds of drawing a batch of 32 by priority and giving it new priorities; one JSON line.

Beside ours stand, in turns and in one process with one thread, Tianshou's PrioritizedReplayBuffer and TorchRL's
TensorDictPrioritizedReplayBuffer, where they are installed: they are no dependencies (`pip install tianshou torchrl`
into an environment of its own). All hold the same number of transitions, give observations before and after one
action, reward, ends and weights, and take the same priorities. Frames of Atari are for ours and Tianshou's, which
keep each once and stack on read; TorchRL's would hold each eight times. Tianshou's gives every stack as a copy, ours
as a view of frames that successive stacks share: `ours_copied` copies the stacks, too. Ours and TorchRL's give
tensors, Tianshou's arrays; ours draws one window from each equal share of the priorities and gives `first` as well.

Times are of the processor, which other work on the machine disturbs less than those of the clock.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch loads

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch

from angle_domains.replay import Prioritised, ReplayBuffer, ReplayConfig
from angle_domains.types import Decision, Percept

BATCH, ALPHA, BETA, STACK, EPISODE = 32, 0.5, 0.4, 4, 500
Form = Callable[[], None]


def _ours(rows: int, obs: torch.Tensor, stack: int) -> tuple[ReplayBuffer, torch.Tensor]:
    """Full to the last row, and priorities; `obs` is a frame or an observation."""
    sampler = Prioritised(rows, 1, ReplayConfig(prioritised=True, alpha=ALPHA, beta=BETA))
    replay = ReplayBuffer(rows, 1, torch.Generator().manual_seed(0), sampler=sampler, stack=stack)
    seen = torch.cat([obs.new_zeros(stack - 1, *obs.shape), obs[None]]) if stack else obs
    zero, no = torch.zeros(1), torch.zeros(1, dtype=torch.bool)
    replay.insert(Percept(seen[None], zero.long(), zero, zero + 1, ~no, no), Decision(zero.long()))
    rows_before = {name: column[:1].expand(rows, *column.shape[1:]).clone() for name, column in replay._columns.items()}
    place = torch.arange(rows) % EPISODE
    rows_before["percept/first"][:, 0], rows_before["percept/last"][:, 0] = place == 0, place == EPISODE - 1
    if stack:
        rows_before["past"][:, 0] = place.clamp(max=stack - 1)
    state = replay.state_without_rows() | {"added": rows, "size": rows, "rows": [rows_before]}
    replay.load_state_dict(state)
    return replay, torch.rand(BATCH, generator=torch.Generator().manual_seed(1)) + 0.1


def ours(rows: int, obs: torch.Tensor, stack: int) -> Form:
    replay, priority = _ours(rows, obs, stack)

    def once() -> None:
        replay.get_batch(BATCH, 1)
        replay.reprioritise(priority)

    return once


def ours_copied(rows: int, obs: torch.Tensor, stack: int) -> Form:
    replay, priority = _ours(rows, obs, stack)

    def once() -> None:
        replay.get_batch(BATCH, 1).obs.contiguous()
        replay.reprioritise(priority)

    return once


def tianshou(rows: int, obs: torch.Tensor, stack: int) -> Form:
    from tianshou.data import Batch, PrioritizedReplayBuffer

    frames = {"stack_num": stack, "ignore_obs_next": True} if stack else {}
    replay = PrioritizedReplayBuffer(rows, alpha=ALPHA, beta=BETA, **frames)
    no = np.zeros(rows, bool)
    done = np.arange(rows) % EPISODE == EPISODE - 1
    held = {"act": np.zeros(rows, int), "rew": np.zeros(rows), "terminated": done, "truncated": no, "done": done}
    held = {name: column.copy() for name, column in held.items()}  # zeros never written to share one page of memory
    seen = np.broadcast_to(obs.numpy(), (rows, *obs.shape)).copy()
    replay.set_batch(Batch(obs=seen, **held, **({} if stack else {"obs_next": seen.copy()})))
    replay._size = rows
    replay.init_weight(np.arange(rows))
    priority = np.random.default_rng(1).random(BATCH) + 0.1

    def once() -> None:
        _, places = replay.sample(BATCH)
        replay.update_weight(places, priority)

    return once


def torchrl(rows: int, obs: torch.Tensor, stack: int) -> Form:
    from tensordict import TensorDict
    from torchrl.data import LazyTensorStorage, TensorDictPrioritizedReplayBuffer

    replay = TensorDictPrioritizedReplayBuffer(
        alpha=ALPHA, beta=BETA, storage=LazyTensorStorage(rows), batch_size=BATCH, priority_key="td_error"
    )
    seen, no = obs.expand(rows, *obs.shape), torch.zeros(rows, 1, dtype=torch.bool)
    after = {"observation": seen, "reward": torch.zeros(rows, 1), "done": no, "terminated": no}
    replay.extend(
        TensorDict({"observation": seen, "action": torch.zeros(rows, dtype=torch.long), "next": after}, [rows])
    )
    priority = torch.rand(BATCH, generator=torch.Generator().manual_seed(1)) + 0.1

    def once() -> None:
        batch = replay.sample()
        batch["td_error"] = priority
        replay.update_tensordict_priority(batch)

    return once


def race(forms: dict[str, Form], turns: int, repeat: int = 50) -> dict[str, list[float]]:
    """Microseconds of processor time of each turn; they take turns, so that noise falls on all."""
    taken: dict[str, list[float]] = {name: [] for name in forms}
    for turn in range(turns + 1):
        for name, form in forms.items():
            begin = time.process_time()
            for _ in range(repeat):
                form()
            if turn:  # the first one compiles and warms up
                taken[name].append((time.process_time() - begin) / repeat * 1e6)
    return taken


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--frames", type=int, default=0, help="rows of Atari frames (7.1 kB each, twice); 0: left out")
    parser.add_argument("--turns", type=int, default=40)
    given = parser.parse_args()
    torch.set_num_threads(1)
    peers: dict[str, Callable[..., Form]] = {"tianshou": tianshou, "torchrl": torchrl}
    versions = {name: installed(name) or "not installed: left out" for name in peers}
    present = {"ours": ours} | {name: build for name, build in peers.items() if installed(name)}
    copied: dict[str, Callable[..., Form]] = {"ours_copied": ours_copied}
    worlds: dict[str, tuple[int, torch.Tensor, int, dict[str, Callable[..., Form]]]] = {
        "small": (given.rows, torch.zeros(4), 0, present)
    }
    if given.frames:
        frame = torch.zeros(84, 84, dtype=torch.uint8)
        once_kept = copied | {name: build for name, build in present.items() if name != "torchrl"}
        worlds["frames"] = (given.frames, frame, STACK, once_kept)
    result: dict[str, Any] = {"benchmark": "replay", "batch": BATCH, "peers": versions}
    for world, (rows, obs, stack, builders) in worlds.items():
        taken = race({name: build(rows, obs, stack) for name, build in builders.items()}, given.turns)
        medians = {name: round(statistics.median(times), 1) for name, times in taken.items()}
        result[world] = {
            "rows": rows,
            "median_microseconds": medians,
            "best_microseconds": {name: round(min(times), 1) for name, times in taken.items()},
            "times_faster_than": {n: round(m / medians["ours"], 2) for n, m in medians.items() if n != "ours"},
        }
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    print(json.dumps(result | {"turns": given.turns, "threads": 1, "machine": machine, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
