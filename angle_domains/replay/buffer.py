"""A ring of rows, one row per tick and stream, in tensors allocated once, read back as windows of consecutive rows."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from angle_domains.chance import seeded
from angle_domains.errors import CheckpointError
from angle_domains.replay.frames import find_past, source_of_frames, stacks_of, strip_of
from angle_domains.replay.samplers import Sampler, Uniform
from angle_domains.replay.storage import Ints, Storage, allocate, fits, ring_slices
from angle_domains.types import Brief, Decision, Percept, Window

_FIELDS = [field for field in Percept._fields if field not in Percept._field_defaults]
_OPTIONAL = list(Percept._field_defaults)  # there for some environments only
_PERCEPT = [f"percept/{field}" for field in Percept._fields]
_OBS, _LAST, _PAST = "percept/obs", "percept/last", "past"
AT_START = "start/"  # an extra of such a name is read at the first row of a window alone: `[1, B, ...]`


class ReplayBuffer:
    """Keeps the last `capacity // streams` ticks of `streams` streams.

    Windows come on `device`; rows are kept there, or in memory, or in a file in `folder`, as `storage` says. With a
    `stack` of more than 1, observations are stacks of frames `[B, stack, ...]`, newest last: each frame is kept once.
    What `newest` gives may be views into the rows: use such a window before the next insertion. Batches have extras
    named `start/...`, wide ones as memories are, of the first row of each window alone.
    """

    def __init__(
        self,
        capacity: int,
        streams: int,
        generator: Generator,
        *,
        sampler: Sampler | None = None,
        device: str = "cpu",
        stack: int = 0,
        storage: Storage = "device",
    ) -> None:
        self.rows, self.streams, self.device = capacity // streams, streams, device
        self.stack = stack if stack > 1 else 0
        if self.rows < max(2, stack + 1):
            raise ValueError(
                f"a replay of {capacity} rows is too small for {streams} streams: "
                f"a window needs {max(2, stack + 1)} ticks"
            )
        self.generator, self.storage = generator, storage
        self.folder: Path | None = None  # of a file with the rows; None: the system's for temporary files
        self.sampler = sampler or Uniform()
        self.given = False  # a log's rows, which lie in its feed: no state holds them
        self.added = 0  # ticks ever inserted
        self.size = 0  # ticks held now
        self.stored: list[dict[str, Any]] = []  # segments of an archive that hold these rows
        self._columns: dict[str, Tensor] = {}  # each [rows, streams, ...]
        self._stack: Tensor | None = None  # the stacks of the newest tick, where there is a stack
        self._flat: dict[str, Tensor] = {}  # the same memory, [rows * streams, ...]; behind the frames a blank one
        self._arrays: dict[str, np.ndarray[Any, Any]] = {}  # the same, where NumPy can read it
        self._extras: list[str] = []

    @classmethod
    def for_agent(cls, agent: Brief, streams: int, seed: int, device: str = "cpu") -> "ReplayBuffer":
        """A replay as large as the agent wants it."""
        return cls(agent.rows * streams, streams, seeded(seed, "replay"), device=device)

    def insert(self, percept: Percept, decision: Decision) -> None:
        """Appends one tick of all streams; the oldest tick makes room where the ring is full."""
        row = self._row(percept, decision)
        if not self._columns:
            for name, value in row.items():
                self._allocate(name, value.shape, value.dtype)
        if row.keys() != self._columns.keys():
            raise ValueError(f"a row holds {sorted(row)}, the rows before hold {sorted(self._columns)}")
        self._write(row)
        self._keep_stack(percept.obs)
        self.added += 1
        self.size = min(self.size + 1, self.rows)

    def fill(self, percept: Percept, decision: Decision) -> None:
        """Takes all ticks `[rows, streams, ...]` of a log at once, whose episodes are whole; there will be no others.

        Every action may start a window: where a log ends first, the window goes on at its beginning, past a `last`.
        """
        if self.stack or len(percept.last) != self.rows or not bool(percept.last[-1].all()):
            raise ValueError(f"{len(percept.last)} ticks do not fill {self.rows}, or the last episode goes on")
        self.added = self.size = self.rows
        self._put_rows(0, self._row(percept, decision))
        self.given = True

    def annotate(self, extras: dict[str, Tensor]) -> None:
        """Puts extras `[rows, streams, ...]` beside all ticks of a log, in place of what stood there."""
        self._put_rows(0, {f"extras/{name}": value for name, value in extras.items()})

    def get_batch(self, batch: int, length: int, looks: int | None = None) -> Window:
        """`batch` windows of `length` actions, each from an action that was taken; observations of `looks` rows."""
        oldest, newest = self._oldest_whole(), self.added - (1 if self.given else length) - 1
        if newest < oldest:
            raise ValueError(f"{self.size} ticks hold no window of {length} actions")
        place, weight = self.sampler.draw(oldest, newest, self._columns[_LAST], batch, self.generator)
        return self._window(self._gather(place, length, looks), weight)

    def newest(self, length: int, percept: Percept | None = None) -> Window:
        """The newest `length` actions of every stream.

        They lead to `percept`, which has no decision yet: so an agent can learn before it decides there, and no row
        is decided by one policy and learned as another's. Without it the last inserted row ends the window. The
        extras of the row of a pending percept are 0; in a full ring it takes the place of the oldest tick.
        """
        if percept is not None:
            self.size = min(self.size, self.rows - 1)
            self._write(self._percept_row(percept))
            for name in self._extras:
                self._columns[name][self.added % self.rows].zero_()
        start = self.added - length - (percept is None)
        if start < self._oldest_whole() or length + 1 > self.rows:
            raise ValueError(f"{self.size} ticks of {self.rows} hold no window of {length} actions")
        slot = start % self.rows
        if slot + length < self.rows and not self.stack:
            columns = {name: column[slot : slot + length + 1] for name, column in self._columns.items()}
        else:
            columns = self._gather(self._places_of(start), length)
        return self._window(columns, torch.ones(self.streams))

    def reprioritise(self, priority: Tensor) -> None:
        """Tells the sampler how much each window `[B]` of the last batch is worth drawing again."""
        self.sampler.reprioritise(priority)

    def cut(self) -> None:
        """Ends the newest row's episodes there, as if truncated: what their last action led to was lost.

        Of an episode that had just begun one row is left, at which no window starts.
        """
        if self.size:
            self._columns[_LAST][(self.added - 1) % self.rows] = True

    def clear(self) -> None:
        """Forgets all rows, as on-policy agents do once they have learned from them."""
        self.size = 0
        self.added = 0
        self.stored, self._stack = [], None
        self.sampler.clear()

    def state_dict(self) -> dict[str, Any]:
        """The rows held, oldest first, the sampler and the generator; without rows that were given."""
        if self.given:
            return self.state_without_rows()
        return self.state_without_rows() | {"rows": [self.read_rows(self.added - self.size, self.added)]}

    def state_without_rows(self) -> dict[str, Any]:
        return {
            "added": self.added,
            "size": self.size,
            "generator": self.generator.get_state(),
            "sampler": self.sampler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts back what `state_dict` gave; of more rows than there is room for, the newest.

        Where rows were given they stay; CheckpointError where the state was made with others.
        """
        if self.given and state["added"] != self.added:
            raise CheckpointError(f"the log has {self.added:,} rows, that of the checkpoint had {state['added']:,}")
        self.generator.set_state(state["generator"])
        self.sampler.load_state_dict(state["sampler"])
        if self.given:
            return
        self.added, self.size = state["added"], min(state["size"], self.rows)
        self._columns, self._flat, self._arrays, self._stack = {}, {}, {}, None
        self.stored = list(state.get("stored", []))
        tick = state["added"] - state["size"]
        for rows in state["rows"]:
            tick = self._put_rows(tick, rows)
        if self.stack and self.size:
            place = self._places_of(self.added - 1)[None]
            self._keep_stack(self._stacks(place, self._take(_PAST, place))[0])
        assert not state["size"] or tick == self.added, "the rows of a state are those that it counts"

    def read_rows(self, start: int, stop: int) -> dict[str, Tensor]:
        """Ticks from `start` up to `stop` as columns `[stop - start, streams, ...]`; a view where they lie so."""
        places = [slots for _, slots in ring_slices(start, stop, self.rows)]
        if len(places) == 1:
            return {name: column[places[0]] for name, column in self._columns.items()}
        return {
            name: torch.cat([column[slots] for slots in places]) for name, column in self._columns.items() if places
        }

    def check_valid(self) -> None:
        """Raises AssertionError where the rows contradict one another."""
        assert 0 <= self.size <= min(self.rows, self.added), (self.size, self.rows, self.added)
        for name, column in self._columns.items():
            assert column.shape[:2] == (self.rows, self.streams), (name, column.shape)
        if not self.size:
            return
        slots = torch.arange(self.added - self.size, self.added, device=self._rows_on) % self.rows
        first, last, discount = (self._columns[f"percept/{n}"][slots].cpu() for n in ("first", "last", "discount"))
        assert torch.equal(first[1:], last[:-1]), "an episode begins exactly where one ended on the tick before"
        # A row may be both: an episode that was cut, or that a game ended, in the row it began in.
        assert (last | (discount > 0)).all(), "only the last row of an episode may have discount 0"

    def _oldest_whole(self) -> int:
        """The oldest tick held whose frames are held, too."""
        lost = self.stack - 1 if self.stack and self.added > self.size else 0
        return self.added - self.size + lost

    def _row(self, percept: Percept, decision: Decision) -> dict[str, Tensor]:
        row = self._percept_row(percept) | {"action": decision.action}
        return row | {f"extras/{name}": value for name, value in decision.extras.items()}

    def _percept_row(self, percept: Percept) -> dict[str, Tensor]:
        row = {f"percept/{name}": getattr(percept, name) for name in _FIELDS}
        row |= {f"percept/{n}": value for n in _OPTIONAL if (value := getattr(percept, n)) is not None}
        if self.stack:
            stack, first = percept.obs.to(self._rows_on), percept.first.to(self._rows_on)
            past = self._columns[_PAST][(self.added - 1) % self.rows] if self.size else None
            row |= {_OBS: stack[:, -1], _PAST: find_past(stack, first, self._stack, past)}
        return row

    def _keep_stack(self, obs: Tensor) -> None:
        if self.stack:
            self._stack = torch.empty_like(obs, device=self._rows_on) if self._stack is None else self._stack
            self._stack.copy_(obs)

    @property
    def _rows_on(self) -> str:
        return self.device if self.storage == "device" else "cpu"

    def _allocate(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        """A column for values `[streams, ...]`."""
        whole = (self.rows + (name == _OBS), *shape)
        to_disk = self.storage == "disk" or (self.storage == "auto" and not fits(whole, dtype))
        folder = (self.folder or Path(tempfile.gettempdir())) if to_disk else None
        column = allocate(whole, dtype, device=self._rows_on, folder=folder)
        self._columns[name], self._flat[name] = column[: self.rows], column.flatten(0, 1)
        self._extras = [name for name in self._columns if name.startswith("extras/")]
        if self._rows_on == "cpu" and dtype != torch.bfloat16:  # which NumPy lacks; else it takes half the time
            self._arrays[name] = self._flat[name].numpy()

    def _write(self, row: dict[str, Tensor]) -> None:
        slot = self.added % self.rows
        for name, value in row.items():
            self._columns[name][slot].copy_(value)

    def _put_rows(self, tick: int, rows: dict[str, Tensor]) -> int:
        """Writes columns `[n, streams, ...]` of the ticks from `tick` on, of which the oldest may find no room."""
        stop = tick + len(next(iter(rows.values()), ()))
        start = max(tick, self.added - self.size)
        for name, column in rows.items():
            if name not in self._columns:
                self._allocate(name, column.shape[1:], column.dtype)
            for ticks, slots in ring_slices(start, stop, self.rows):
                self._columns[name][slots].copy_(column[start - tick :][ticks])
        return stop

    def _places_of(self, tick: int) -> Ints:
        """Of the rows of all streams at a tick."""
        return tick % self.rows * self.streams + np.arange(self.streams)

    def _gather(self, start: Ints, length: int, looks: int | None = None) -> dict[str, Tensor]:
        """Columns `[length + 1, B, ...]` of the windows that start at those places; observations of `looks` rows."""
        later = np.arange(0, (length + 1) * self.streams, self.streams)[:, None]
        place = (start + later) % (self.rows * self.streams)
        seldom = {name for name in self._extras if name.startswith(f"extras/{AT_START}")}
        names = [name for name in self._flat if name != _OBS]
        columns = {name: self._take(name, place[:1] if name in seldom else place) for name in names}
        seen = place[:looks]
        columns[_OBS] = self._stacks(seen, columns[_PAST][:looks]) if self.stack else self._take(_OBS, seen)
        return columns

    def _stacks(self, place: Ints, past: Tensor) -> Tensor:
        """The stacks `[T, B, stack, ...]` of rows at places `[T, B]`; successive ones may share frames in memory."""
        back, blank = source_of_frames(past.cpu().numpy(), self.stack)
        source = (place[..., None] - back * self.streams) % (self.rows * self.streams)
        source[blank] = self.rows * self.streams
        strip = strip_of(source)
        if strip is None:
            return self._take(_OBS, source)
        return stacks_of(self._take(_OBS, strip).to(self.device), self.stack)

    def _take(self, name: str, place: Ints) -> Tensor:
        """Rows of a column at places `[...]`."""
        held = self._arrays.get(name)
        if held is not None:
            return torch.from_numpy(held.take(place, 0))
        return self._flat[name][torch.from_numpy(place).to(self._rows_on)]

    def _window(self, columns: dict[str, Tensor], weight: Tensor) -> Window:
        """Columns `[T+1, B, ...]` as a window."""
        if self._rows_on != self.device:
            columns = {name: column.to(self.device) for name, column in columns.items()}
        percept = Percept._make([columns.get(name) for name in _PERCEPT])
        extras = {n.removeprefix("extras/"): columns[n] for n in self._extras}
        return Window(percept, columns["action"][:-1], extras, weight.to(self.device))
