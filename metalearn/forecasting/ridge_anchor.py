"""Ridge regression on the past of each variable, anchored on its last value: what any other forecaster has to beat."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from metalearn.forecasting.histories import Future, History
from metalearn.forecasting.quantiles import LEVELS


class RidgeAnchor:
    """Fitted in closed form from a running mean of batches' sums, so that the penalty always weighs against one batch.

    Foresees the change from the last value, in units of how far the variable usually moves, as a linear function of
    the earlier values and of the level. Without data, or with a large penalty, it is the last value. All quantiles are
    its median: a `Conformal` spreads them.
    """

    def __init__(
        self, length: int, variables: int, horizons: int, *, penalty: float = 10.0, fading: float = 0.9
    ) -> None:
        self.penalty, self.fading = penalty, fading
        width = 2 * length + 2
        self.typical = torch.ones(variables)  # change of each variable in a tick: see `histories.typical_change`
        self.gram = torch.zeros(variables, horizons, width, width, dtype=torch.float64)
        self.moment = torch.zeros(variables, horizons, width, dtype=torch.float64)
        self.prior = torch.zeros(variables, horizons, width, dtype=torch.float64)
        self._solved: Tensor | None = None

    def update(self, history: History, future: Future) -> None:
        """Takes a batch in."""
        rows = self._rows(history).double()  # [b, d, f]
        change = (future.value - history.last().unsqueeze(-2)) / history.scale(self.typical).unsqueeze(-2)
        weight, change = future.seen.double(), change.double()
        kept = self.fading if bool(self.gram.any()) else 0.0
        gram = torch.stack([torch.einsum("bd,bdf,bdg->dfg", each, rows, rows) for each in weight.unbind(1)], 1)
        self.gram = torch.lerp(gram, self.gram, kept)
        self.moment = torch.lerp(torch.einsum("bhd,bdf->dhf", weight * change, rows), self.moment, kept)
        self._solved = None

    @property
    def weights(self) -> Float[Tensor, "d h f"]:
        """The solution, drawn towards the prior."""
        if self._solved is None:
            penalty = self.penalty * torch.eye(self.gram.shape[-1], dtype=torch.float64)
            wanted = (self.moment + self.penalty * self.prior).unsqueeze(-1)
            self._solved = torch.linalg.solve(self.gram + penalty, wanted).squeeze(-1)
        return self._solved

    def __call__(self, history: History) -> Float[Tensor, "b h d q"]:
        change = torch.einsum("bdf,dhf->bhd", self._rows(history).double(), self.weights).to(history.value)
        median = history.last().unsqueeze(-2) + history.scale(self.typical).unsqueeze(-2) * change
        return median.unsqueeze(-1).expand(*median.shape, len(LEVELS))

    def state_dict(self) -> dict[str, Any]:
        return {"gram": self.gram, "moment": self.moment, "prior": self.prior, "typical": self.typical}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.gram, self.moment = state["gram"].clone(), state["moment"].clone()
        self.prior, self.typical = state["prior"].clone(), state["typical"].clone()
        self._solved = None

    def _rows(self, history: History) -> Float[Tensor, "b d f"]:
        scale = history.scale(self.typical)
        level = (history.level() / scale).unsqueeze(-2)
        columns = [history.relative(scale), 1.0 - history.seen, level, torch.ones_like(level)]
        return torch.cat(columns, -2).mT
