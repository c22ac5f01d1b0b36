"""Tasks cut from what was lived through: each is an entity for a while, adapted to early and judged later."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from metalearn.forecasting.histories import History, cut
from metalearn.states import States
from metalearn.tasks import Examples, Tasks

_MOST = 64  # tasks in a batch


@dataclass(frozen=True)
class TaskSampler:
    """Support and query of a task are `embargo` rows apart: no future of the one is a history of the other."""

    length: int  # ticks that are looked back on
    horizon: int  # ticks ahead
    support: int  # rows to adapt to
    query: int  # rows to be judged by

    @property
    def embargo(self) -> int:
        return self.horizon + self.length

    @property
    def span(self) -> int:
        return self.support + self.embargo + self.query

    def draw(
        self, standard: States, typical: Float[Tensor, " d"], rows: Bool[Tensor, " n"], generator: Generator
    ) -> Tasks | None:
        """One task of each of some entities among the rows that have lived long enough; None without any.

        Observations of `standard` are standardised. Entities and starts are drawn.
        """
        starts = self._starts(standard, rows, generator)
        if not len(starts):
            return None
        support = starts.unsqueeze(1) + torch.arange(self.support)
        query = starts.unsqueeze(1) + self.support + self.embargo + torch.arange(self.query)
        return Tasks(*(self.examples(standard, typical, part) for part in (support, query)))

    def examples(self, standard: States, typical: Float[Tensor, " d"], rows: Int[Tensor, "k n"]) -> Examples:
        """Histories as numbers, and how each entry then moved in its own units; what is unseen has no weight."""
        value, flat = standard.observation, rows.flatten()
        shape = {"length": self.length, "horizons": (self.horizon,)}
        history, future, kept = cut(value, standard.seen, standard.elapsed, standard.first, ends=flat, **shape)  # type: ignore[arg-type]
        there, x = torch.isin(flat, kept), described(history, typical)
        moved = (future.value[:, 0] - history.last()) / history.scale(typical)
        parts = (x, moved.clamp(-10.0, 10.0), future.seen[:, 0])
        made = [part.new_zeros(len(flat), part.shape[-1]) for part in parts]
        for whole, part in zip(made, parts, strict=True):
            whole[there] = part
        return Examples(*(whole.unflatten(0, rows.shape) for whole in made))

    def _starts(self, states: States, rows: Bool[Tensor, " n"], generator: Generator) -> Int[Tensor, " k"]:
        """Of some stretches of rows, each of one entity, a row from which a whole span lies within."""
        places = rows.nonzero().squeeze(-1)
        if not len(places):
            return places
        breaks = (places.diff() != 1) | (states.entity[places].diff() != 0)
        starts = places[torch.cat([torch.ones(1, dtype=torch.bool), breaks])]
        stops = places[torch.cat([breaks, torch.ones(1, dtype=torch.bool)])] + 1
        room = stops - starts - self.span - self.horizon
        starts, room = starts[room >= 0], room[room >= 0]
        kept = torch.randperm(len(starts), generator=generator)[:_MOST].sort().values
        share = torch.rand(len(kept), generator=generator)
        return starts[kept] + (share * (room[kept] + 1)).long()


def described(history: History, typical: Float[Tensor, " d"]) -> Float[Tensor, "b f"]:
    """A history as numbers for a network: its values from the last, its level, and what was not seen."""
    scale = history.scale(typical)
    parts = [history.relative(scale).clamp(-10.0, 10.0).flatten(-2), history.level(), 1.0 - history.seen[..., -1, :]]
    return torch.cat(parts, -1)
