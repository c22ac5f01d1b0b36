"""Advice on records by models that did not learn from them: as good as that which new entities will get, no better.

An agent that learns from records and from what models say of them would otherwise trust these more than they deserve,
for of rows that they were fitted to they speak too well (Wolpert 1992, "Stacked generalization").
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from metalearn.serving.adviser import Advice, Adviser
from metalearn.states import States
from metalearn.steering import Q


class HeldOut:
    """Folds of the entities of some records; those of each are advised by models that learn from the others alone."""

    def __init__(self, make: Callable[[], Adviser], records: States, folds: int) -> None:
        """`make` gives an adviser with models of its own. Without a fold for each, entities are folds."""
        number = records.entity.unique(return_inverse=True)[1]
        self.folds = min(folds, int(number.max()) + 1)
        self.fold = number % self.folds
        self.advisers = [make() for _ in range(self.folds)]

    def update(self, states: States, q: Q | None) -> None:
        """Trains the models of every fold; the rows are those of the records, however their actions are counted."""
        for fold, adviser in enumerate(self.advisers):
            adviser.trainer.update_what_serves(states.of(self.fold != fold), q)

    def advise(self, states: States) -> Advice:
        """Of all rows, as `Adviser.advise_record`."""
        first, made = self.advisers[0], list[tuple[Tensor, Advice]]()
        for fold, adviser in enumerate(self.advisers):
            rows = (self.fold == fold).nonzero().squeeze(-1)
            made.append((rows, adviser.told_of(states, rows)))
        order = torch.cat([rows for rows, _ in made]).argsort()
        columns = zip(*(advice for _, advice in made), strict=True)
        whole = Advice(*(None if parts[0] is None else torch.cat(parts)[order] for parts in columns))  # type: ignore[arg-type]
        return first.controlled(whole)

    def state_dict(self) -> list[dict[str, Any]]:
        return [adviser.trainer.state_dict() for adviser in self.advisers]
