"""Which actions are safe: the chance of the event after each action, and a threshold that keeps a promise.

The chance is C(s, a) = P(event within the horizon | s, a, then whoever acted in the rows learned from), by regression
on what came: no bootstrap, so none of its errors. What is learned is how far an action moves the chance of its state,
shrunk to none where few rows tell. Where those who acted knew more than rows show, sicker patients get more: then C is
no effect of the action, and a shield by it does harm.

The threshold is conformal (`calibration.controlled_threshold`): of events like those of held-out rows, at most
`most_missed` come without that any action before them was held unsafe.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from metalearn.risk.calibration import Temperature, controlled_threshold
from metalearn.risk.labels import event_within
from metalearn.risk.measures import highest_before
from metalearn.risk.substrate import RiskSubstrate, enough
from metalearn.serving.memory import Past
from metalearn.states import States, parts_of
from metalearn.steering import Q

_STEPS = 30  # of Newton's method at most
_CLOSE = 1e-8


class Shield:
    """Chances of all actions, and which of them are below the threshold."""

    def __init__(self, risk: RiskSubstrate, actions: int) -> None:
        self.risk, self.actions, self.config = risk, actions, risk.config
        width = 4 * risk.entries + 1
        self.state = torch.zeros(width, dtype=torch.float64)  # the logit of a state, whatever is done
        self.weight = torch.zeros(actions, width, dtype=torch.float64)  # how an action moves it
        self.line = Temperature()
        self.threshold: float | None = None  # None: nothing is known yet, and everything is allowed

    @property
    def ready(self) -> bool:
        return self.threshold is not None

    def update(self, states: States, q: Q | None) -> dict[str, float]:
        """Learns after risk has; metrics of what the shield would have done in rows that are held out."""
        del q
        if states.action is None or not self.risk.ready:
            return {}
        parts = parts_of(states, self.config.horizon)
        label, known, event = event_within(
            self.risk.events(states), states.first, states.terminated, self.config.horizon
        )
        told = (known > 0) & ~states.last
        rows = self.risk.drawn(told & parts.fit)
        if enough(rows, label, event):
            self._fit(states, rows, label[rows])
            self._calibrate(states, self.risk.drawn(told & parts.calibrate), label, event)
        return self._judge(states, self.risk.drawn(told & parts.judge), label, event) if self.ready else {}

    def judge_record(self, states: States) -> dict[str, float]:
        """What it would have done in rows of which nothing was learned."""
        if not self.ready or states.action is None:
            return {}
        label, known, event = event_within(
            self.risk.events(states), states.first, states.terminated, self.config.horizon
        )
        return self._judge(states, ((known > 0) & ~states.last).nonzero().squeeze(-1), label, event)

    def chance(self, past: Past) -> Float[Tensor, "b a"]:
        """Of the event after each action."""
        assert self.risk.scaler is not None
        features = self.risk.read(past.history(self.config.length, self.risk.scaler))
        return self.line(self._logits(features))

    def safe(self, past: Past) -> Bool[Tensor, "b a"]:
        """Actions below the threshold; where none is, the one of the least chance."""
        if self.threshold is None:
            return torch.ones(len(past.elapsed), self.actions, dtype=torch.bool)
        return self.below(self.chance(past))

    def below(self, chance: Float[Tensor, "b a"]) -> Bool[Tensor, "b a"]:
        assert self.threshold is not None
        least = torch.nn.functional.one_hot(chance.argmin(-1), self.actions) > 0
        found = chance < self.threshold
        return found | (least & ~found.any(-1, keepdim=True))

    def _logits(self, features: Float[Tensor, "b f"]) -> Float[Tensor, "b a"]:
        rows = _rows(features)
        return ((rows @ self.state).unsqueeze(-1) + rows @ self.weight.T).to(features)

    def _fit(self, states: States, rows: Int[Tensor, " m"], label: Float[Tensor, " m"]) -> None:
        """Logistic regression on the state, then for each action on the rows in which it was taken, the first given.

        By Newton's method from no effect, under a penalty as that of ridge regression on standardised features: an
        action never taken moves nothing.
        """
        assert states.action is not None
        inputs, came = _rows(self.risk.features(states, rows)), label.double()
        self.state = _newton(inputs, torch.zeros_like(came), came, self.config.penalty)
        given = inputs @ self.state
        for action in range(self.actions):
            taken = states.action[rows] == action
            self.weight[action] = _newton(inputs[taken], given[taken], came[taken], self.config.penalty)

    def _taken(self, states: States, rows: Int[Tensor, " m"]) -> Float[Tensor, "m a"]:
        return self._logits(self.risk.features(states, rows))

    def _calibrate(
        self, states: States, rows: Int[Tensor, " m"], label: Float[Tensor, " n"], event: Int[Tensor, " n"]
    ) -> None:
        self.line, self.threshold = Temperature(), None  # what was made for other weights is no longer
        if not enough(rows, label, event):
            return
        assert states.action is not None
        logit = self._taken(states, rows).gather(1, states.action[rows].unsqueeze(1)).squeeze(1)
        self.line = Temperature.fitted(logit, label[rows])
        highest = highest_before(self.line(logit), label[rows], event[rows])
        found = controlled_threshold(highest, torch.ones_like(highest), self.config.most_missed)
        self.threshold = found if found > 0.0 else None  # of so few events nothing can be promised: all is allowed

    def _judge(
        self, states: States, rows: Int[Tensor, " m"], label: Float[Tensor, " n"], event: Int[Tensor, " n"]
    ) -> dict[str, float]:
        """How much of what was done the shield would have forbidden, how often all, and which events it let come."""
        if not enough(rows, label, event):
            return {}
        assert states.action is not None
        chance = self.line(self._taken(states, rows))
        unsafe = chance >= (self.threshold or 0.0)
        taken = states.action[rows].unsqueeze(1)
        highest = highest_before(chance.gather(1, taken).squeeze(1), label[rows], event[rows])
        return {
            "shield/would_forbid": float(unsafe.gather(1, taken).float().mean()),
            "shield/nothing_safe": float(unsafe.all(1).float().mean()),
            "shield/missed": float((highest < (self.threshold or 0.0)).float().mean()),
            "shield/threshold": self.threshold or 0.0,
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "weight": self.weight,
            "line": [self.line.slope, self.line.shift],
            "threshold": self.threshold,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state, self.weight = state["state"].clone(), state["weight"].clone()
        self.threshold = state["threshold"]
        self.line = Temperature(*state["line"])


def _rows(features: Float[Tensor, "b f"]) -> Float[Tensor, "b g"]:
    """With a column of ones in front."""
    return torch.cat([torch.ones(len(features), 1, dtype=torch.float64), features.double()], 1)


def _newton(
    rows: Float[Tensor, "n g"], given: Float[Tensor, " n"], label: Float[Tensor, " n"], penalty: float
) -> Float[Tensor, " g"]:
    """argmin of the log loss of given + rows w, and penalty |w|^2 / 2; steps are halved while they do not help."""

    def loss(at: Tensor) -> Tensor:
        fit = binary_cross_entropy_with_logits(given + rows @ at, label, reduction="sum")
        return fit + 0.5 * penalty * at.square().sum()

    found = torch.zeros(rows.shape[1], dtype=torch.float64)
    shrink = penalty * torch.eye(rows.shape[1], dtype=torch.float64)
    for _ in range(_STEPS):
        chance = torch.sigmoid(given + rows @ found)
        slope = rows.T @ (chance - label) + penalty * found
        bend = (rows * (chance * (1.0 - chance)).unsqueeze(-1)).T @ rows + shrink
        step, before = torch.linalg.solve(bend, slope), loss(found)
        while loss(found - step) > before and step.abs().max() > _CLOSE:
            step = step / 2
        found = found - step
        if step.abs().max() < _CLOSE:
            break
    return found
