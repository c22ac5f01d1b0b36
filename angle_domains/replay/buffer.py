"""A ring of rows, one row per tick and stream, in tensors allocated once, read back as windows of consecutive rows."""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Generator, Tensor

from angle_domains.replay.samplers import Sampler, Uniform
from angle_domains.types import Decision, Percept, Window


@runtime_checkable
class Brief(Protocol):
    """An agent that learns from what it did last and keeps no more."""

    @property
    def rows(self) -> int:
        """Ticks of experience to keep."""
        ...


_FIELDS = Percept._fields[:-1]  # the mask is there for some environments only


class ReplayBuffer:
    """Keeps the last `capacity // streams` ticks of `streams` streams.

    Tensors are allocated at the first insertion, on `device`. What `newest` gives may be views into them: use such a
    window before the next insertion.
    """

    def __init__(
        self,
        capacity: int,
        streams: int,
        generator: Generator,
        *,
        sampler: Sampler | None = None,
        device: str = "cpu",
    ) -> None:
        self.rows, self.streams, self.device = capacity // streams, streams, device
        if self.rows < 2:
            raise ValueError(f"a replay of {capacity} rows is too small for {streams} streams: a window needs 2 ticks")
        self.generator = generator
        self.sampler = sampler or Uniform()
        self.added = 0  # ticks ever inserted
        self.size = 0  # ticks held now
        self._columns: dict[str, Tensor] = {}  # each [rows, streams, ...]

    @classmethod
    def for_agent(cls, agent: Brief, streams: int, seed: int, device: str = "cpu") -> "ReplayBuffer":
        """A replay as large as the agent wants it."""
        return cls(agent.rows * streams, streams, Generator().manual_seed(seed), device=device)

    def insert(self, percept: Percept, decision: Decision) -> None:
        """Appends one tick of all streams; the oldest tick makes room where the ring is full."""
        row = _percept_row(percept) | {"action": decision.action}
        row |= {f"extras/{name}": value for name, value in decision.extras.items()}
        if not self._columns:
            self._columns = {name: self._column(value) for name, value in row.items()}
        if row.keys() != self._columns.keys():
            raise ValueError(f"a row holds {sorted(row)}, the rows before hold {sorted(self._columns)}")
        self._write(row)
        self.added += 1
        self.size = min(self.size + 1, self.rows)

    def get_batch(self, batch: int, length: int) -> Window:
        """`batch` windows of `length` actions, each starting at an action that was taken."""
        oldest, newest = self.added - self.size, self.added - length - 1
        if newest < oldest:
            raise ValueError(f"{self.size} ticks hold no window of {length} actions")
        draw = self.sampler.draw(oldest, newest, self.streams, batch, self.generator)
        last = self._columns["percept/last"]
        while (ended := last[draw.tick % self.rows, draw.stream].cpu()).any():
            if self._start_is_nowhere(oldest, newest):
                raise ValueError(f"no action was taken in the {self.size} ticks held")
            again = self.sampler.draw(oldest, newest, self.streams, int(ended.sum()), self.generator)
            for column, fresh in zip(draw, again, strict=True):
                column[ended] = fresh
        return self._gather(draw.tick, draw.stream, length, draw.weight)

    def newest(self, length: int, percept: Percept | None = None) -> Window:
        """The newest `length` actions of every stream.

        They lead to `percept`, which has no decision yet: so an agent can learn before it decides there, and no row
        is decided by one policy and learned as another's. Without it the last inserted row ends the window. The
        extras of the row of a pending percept are 0; in a full ring it takes the place of the oldest tick.
        """
        if percept is not None:
            self.size = min(self.size, self.rows - 1)
            self._write(_percept_row(percept))
            self._blank_extras()
        start = self.added - length - (percept is None)
        if start < self.added - self.size or length + 1 > self.rows:
            raise ValueError(f"{self.size} ticks of {self.rows} hold no window of {length} actions")
        slot = start % self.rows
        if slot + length < self.rows:
            columns = {name: column[slot : slot + length + 1] for name, column in self._columns.items()}
        else:
            at = torch.arange(start, start + length + 1, device=self.device) % self.rows
            columns = {name: column.index_select(0, at) for name, column in self._columns.items()}
        return _window(columns, torch.ones(self.streams, device=self.device))

    def reprioritise(self, priority: Tensor) -> None:
        """Tells the sampler how much each window `[B]` of the last batch is worth drawing again."""
        raise NotImplementedError  # with the prioritised sampler

    def cut(self) -> None:
        """Ends the newest row's episodes there, as if truncated: what their last action led to was lost."""
        if self.size:
            self._columns["percept/last"][(self.added - 1) % self.rows] = True

    def clear(self) -> None:
        """Forgets all rows, as on-policy agents do once they have learned from them."""
        self.size = 0
        self.added = 0

    def state_dict(self) -> dict[str, Any]:
        """The rows held, oldest first, and the generator."""
        slots = torch.arange(self.added - self.size, self.added, device=self.device) % self.rows
        return {
            "added": self.added,
            "generator": self.generator.get_state(),
            "columns": {n: c.index_select(0, slots) for n, c in self._columns.items()} if self.size else {},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["generator"])
        self.added, self.size, self._columns = state["added"], 0, {}
        for name, rows in state["columns"].items():
            self.size = len(rows)
            slots = torch.arange(self.added - self.size, self.added, device=self.device) % self.rows
            self._columns[name] = self._column(rows[0])
            self._columns[name][slots] = rows.to(self.device)

    def check_valid(self) -> None:
        """Raises AssertionError where the rows contradict one another."""
        assert 0 <= self.size <= min(self.rows, self.added), (self.size, self.rows, self.added)
        for name, column in self._columns.items():
            assert column.shape[:2] == (self.rows, self.streams), (name, column.shape)
        if not self.size:
            return
        slots = torch.arange(self.added - self.size, self.added, device=self.device) % self.rows
        first, last, discount = (self._columns[f"percept/{n}"][slots] for n in ("first", "last", "discount"))
        assert torch.equal(first[1:], last[:-1]), "an episode begins exactly where one ended on the tick before"
        assert not (first & last).any(), "an episode has at least one action"
        assert (last | (discount > 0)).all(), "only the last row of an episode may have discount 0"

    def _start_is_nowhere(self, oldest: int, newest: int) -> bool:
        slots = torch.arange(oldest, newest + 1, device=self.device) % self.rows
        return bool(self._columns["percept/last"][slots].all())

    def _column(self, like: Tensor) -> Tensor:
        return torch.zeros((self.rows, *like.shape), dtype=like.dtype, device=self.device)

    def _write(self, row: dict[str, Tensor]) -> None:
        slot = self.added % self.rows
        for name, value in row.items():
            self._columns[name][slot].copy_(value)

    def _blank_extras(self) -> None:
        slot = self.added % self.rows
        for name, column in self._columns.items():
            if name.startswith("extras/"):
                column[slot].zero_()

    def _gather(self, start: Tensor, stream: Tensor, length: int, weight: Tensor) -> Window:
        at = ((start + torch.arange(length + 1).unsqueeze(-1)) % self.rows).to(self.device)
        stream = stream.to(self.device)
        return _window({name: c[at, stream] for name, c in self._columns.items()}, weight.to(self.device))


def _percept_row(percept: Percept) -> dict[str, Tensor]:
    row = {f"percept/{name}": getattr(percept, name) for name in _FIELDS}
    return row if percept.mask is None else row | {"percept/mask": percept.mask}


def _window(columns: dict[str, Tensor], weight: Tensor) -> Window:
    """Columns `[T+1, B, ...]` as a window."""
    percept = Percept(**{n.removeprefix("percept/"): c for n, c in columns.items() if n.startswith("percept/")})
    extras = {n.removeprefix("extras/"): c for n, c in columns.items() if n.startswith("extras/")}
    return Window(percept=percept, action=columns["action"][:-1], extras=extras, weight=weight)
