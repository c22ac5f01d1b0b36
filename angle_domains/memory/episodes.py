"""The episodes that run, kept from their first row until they end and are worth something.

They are tensors in a dict, the memory that a loop carries for an agent, and so are saved with it. Where the games
themselves cannot be saved, memory and game begin anew together. Episodes have to end: until then every row is kept.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from angle_domains.losses.returns import n_step_returns

Running = dict[str, Tensor]  # the columns of `Row` [B, room, ...], and `length` [B]: rows so far

_LEAST = 64  # rows of the first tensors


class Row(NamedTuple):
    """One tick of all streams."""

    key: Float[Tensor, "b d"]
    action: Int[Tensor, " b"]  # counted from 0
    reward: Float[Tensor, " b"]  # of the action before
    discount: Float[Tensor, " b"]  # of what follows this row, seen from the one before; 0 where the task ended
    value: Float[Tensor, " b"]  # of the best action, as it was thought of when it was decided
    serial: Int[Tensor, " b"]  # the number of the decision


class Told(NamedTuple):
    """Decisions of episodes that ended, and what came of them."""

    key: Float[Tensor, "n d"]
    action: Int[Tensor, " n"]
    value: Float[Tensor, " n"]
    serial: Int[Tensor, " n"]


def append(running: Running | None, row: Row, first: Bool[Tensor, " b"]) -> Running:
    """Adds a row to every stream's episode; where it is the `first`, what was there is forgotten.

    In place: the memory given is spent, and who wants to go on from it twice copies it first. Its tensors have room for
    at most four times the longest episode that runs.
    """
    streams, device = len(first), first.device
    if running is None:
        running = {name: part.new_zeros(streams, _LEAST, *part.shape[1:]) for name, part in row._asdict().items()}
        running["length"] = torch.zeros(streams, dtype=torch.int64, device=device)
    running = {name: part.to(device) for name, part in running.items()}  # a checkpoint's lie on the processor
    length = torch.where(first, 0, running["length"])
    rows, room = int(length.max()), running["key"].shape[1]
    if rows == room:
        running = {name: part if name == "length" else _longer(part) for name, part in running.items()}
    elif room >= max(4 * (rows + 1), 2 * _LEAST):
        room = max(2 * (rows + 1), _LEAST)
        running = {name: part if name == "length" else part[:, :room].clone() for name, part in running.items()}
    each = torch.arange(streams, device=device)
    for name, part in row._asdict().items():
        running[name][each, length] = part
    return running | {"length": length + 1}


def ended(running: Running, last: Bool[Tensor, " b"], steps: int) -> Told | None:
    """The decisions of all episodes that are at their `last` row, stream after stream, each with its return of `steps`.

    That is N rewards and, beyond them, the best value at the time of acting (Pritzel et al. 2017, eq. 3), or all that
    are left where the task ends before; where only the record ends, the value of the final observation.
    """
    told = [_of(running, int(stream), steps) for stream in last.nonzero().squeeze(-1)]
    return Told(*(torch.cat(parts) for parts in zip(*told, strict=True))) if told else None


def _of(running: Running, stream: int, steps: int) -> Told:
    rows = int(running["length"][stream])
    key, action, reward, discount, value, serial = (running[name][stream, :rows] for name in Row._fields)
    worth = n_step_returns(reward[1:, None], discount[1:, None], value[:, None], steps)
    return Told(key[:-1], action[:-1], worth.squeeze(-1), serial[:-1])


def _longer(column: Tensor) -> Tensor:
    return torch.cat([column, torch.zeros_like(column)], 1)
