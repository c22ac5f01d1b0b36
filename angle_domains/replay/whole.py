"""Windows kept as they came: for a learner whose actors are elsewhere and send sequences."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Generator, Tensor

from angle_domains.errors import CheckpointError
from angle_domains.replay.config import ReplayConfig
from angle_domains.replay.prioritised import Prioritised
from angle_domains.replay.samplers import Sampler, Uniform
from angle_domains.types import Percept, Window


class SequenceReplay:
    """A ring of windows of one length, drawn alike or by priority."""

    def __init__(self, sequences: int, config: ReplayConfig, generator: Generator) -> None:
        self.rows, self.generator = sequences, generator
        self.sampler: Sampler = Prioritised(sequences, 1, config) if config.prioritised else Uniform()
        self.added = 0  # sequences ever taken in
        self._columns: dict[str, Tensor] = {}  # each [sequences, T, ...]
        self._none_ended = torch.zeros(sequences, 1, dtype=torch.bool)

    @property
    def size(self) -> int:
        return min(self.added, self.rows)

    def add(self, window: Window) -> None:
        """Takes in the B sequences of a window, over the oldest where there is no room.

        ValueError where there are more of them than are kept.
        """
        columns = dict(_columns(window))
        batch = window.action.shape[1]
        if batch > self.rows:
            raise ValueError(f"{batch} sequences came in at once, and {self.rows} are kept")
        slots = torch.arange(self.added, self.added + batch) % self.rows
        for name, column in columns.items():
            if name not in self._columns:
                self._columns[name] = column.new_zeros((self.rows, len(column), *column.shape[2:]))
            self._columns[name][slots] = column.transpose(0, 1)
        self.added += batch

    def get_batch(self, batch: int) -> Window:
        """ValueError where nothing was taken in yet."""
        if not self.added:
            raise ValueError("no sequence has come in yet")
        place, weight = self.sampler.draw(
            self.added - self.size, self.added - 1, self._none_ended, batch, self.generator
        )
        drawn = {name: column[torch.from_numpy(place)].transpose(0, 1) for name, column in self._columns.items()}
        percept = Percept._make([drawn.get(f"percept/{name}") for name in Percept._fields])
        extras = {name.removeprefix("extras/"): column for name, column in drawn.items() if name.startswith("extras/")}
        return Window(percept, drawn["action"], extras, weight)

    def reprioritise(self, priority: Tensor) -> None:
        """How much each sequence of the last batch is worth drawing again."""
        self.sampler.reprioritise(priority)

    def state_dict(self) -> dict[str, Any]:
        return {
            "added": self.added,
            "rows": self.rows,
            "columns": {name: column[: self.size].clone() for name, column in self._columns.items()},
            "generator": self.generator.get_state(),
            "sampler": self.sampler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts back what `state_dict` gave; CheckpointError where another number of sequences was kept."""
        if state["rows"] != self.rows:
            raise CheckpointError(f"the checkpoint keeps {state['rows']} sequences, here {self.rows} are kept")
        self.added = state["added"]
        self.generator.set_state(state["generator"])
        self.sampler.load_state_dict(state["sampler"])
        self._columns = {}
        for name, column in state["columns"].items():
            self._columns[name] = column.new_zeros((self.rows, *column.shape[1:]))
            self._columns[name][: len(column)] = column


def _columns(window: Window) -> Iterator[tuple[str, Tensor]]:
    """All of a window but its weights, each `[T, B, ...]`."""
    for name, column in window.percept._asdict().items():
        if column is not None:
            yield f"percept/{name}", column
    yield "action", window.action
    for name, column in window.extras.items():
        yield f"extras/{name}", column
