"""A detector of coming risk that learns beside an agent: errors count more where the action matters, chances hold.

Without hidden layers it is a logistic regression, fitted anew each time in closed steps and calibrated on what every
row got while it was held out: that takes no rows from the fit. Networks go on from where they were.
"""

from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from feeds.errors import FeedError
from metalearn.forecasting.histories import History, cut, typical_change
from metalearn.forecasting.models import dense
from metalearn.risk.calibration import Isotonic, Temperature, controlled_threshold
from metalearn.risk.labels import event_within
from metalearn.risk.measures import highest_before, measure
from metalearn.risk.shrinkage import Fold, learned
from metalearn.settings import RiskConfig
from metalearn.states import Scaler, States, folds_of, parts_of
from metalearn.steering import Q

_LEAST_EVENTS = 5  # and rows without any coming, below which nothing is calibrated or judged
_TRUST = 0.3  # in how entries moved, whether they are known and how old they are, against their last values


def kind_of(states: States, config: RiskConfig) -> str:
    """Which event it is that is foreseen: where that is left open, what is told of, else drawdowns."""
    if config.event != "auto":
        return config.event
    return "drawdown" if states.event is None else "told"


def events(states: States, config: RiskConfig, kind: str | None = None) -> Bool[Tensor, " n"]:
    """Rows in which the event holds."""
    kind = kind or kind_of(states, config)
    if kind == "told":
        if states.event is None:
            raise FeedError("meta.risk.event 'told' needs a feed that tells of events, as records of patients do")
        return states.event
    if kind == "end":
        return states.terminated
    total = states.reward.double().cumsum(0)
    path = total + (total.max() - total.min() + 1.0) * states.first.cumsum(0)  # no peak outlasts its episode
    return path.cummax(0).values - path >= config.drawdown * (1.0 - 1e-6)  # rewards come in float32


class RiskSubstrate:
    """The chance of the event within the horizon."""

    def __init__(self, config: RiskConfig, entries: int, seed: int) -> None:
        self.config, self.entries = config, entries
        self.generator = torch.Generator().manual_seed(seed)
        sizes = (4 * entries, *config.hidden)
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [dense(before, after, self.generator), nn.SiLU()]
        self.network = nn.Sequential(*layers, dense(sizes[-1], 1, self.generator, share=0.1))
        self.optimizer: torch.optim.Optimizer | None = None
        if config.hidden:
            self.optimizer = torch.optim.AdamW(
                self.network.parameters(), lr=config.learning_rate, weight_decay=config.decay
            )
        self.line = Temperature()
        self.steps: Isotonic | None = None  # in place of the line, by logits
        self.threshold = 0.0  # an alarm always, until events were seen
        self.trained = False  # whether rows of both kinds were ever learned from
        self.kind: str | None = None  # the event, once it was learned of: other rows are judged by the same
        self.scaler: Scaler | None = None
        self.typical = torch.ones(entries)

    @property
    def ready(self) -> bool:
        return self.trained

    def update(self, states: States, q: Q | None) -> dict[str, float]:
        """Learns from rows to fit on, is calibrated on rows that were held out and judged by others again."""
        parts = parts_of(states, self.config.horizon)
        self.kind = self.kind or kind_of(states, self.config)
        if self.scaler is None:
            self.scaler = Scaler.fitted(states, parts.fit)
            self.typical = typical_change(self._histories(states, self.drawn(parts.fit)))
        label, known, event = event_within(self.events(states), states.first, states.terminated, self.config.horizon)
        told = (known > 0) & ~states.last
        rows = self.drawn(told & (parts.fit | parts.calibrate))
        folds = [(parts.fit, parts.calibrate)] if self.config.hidden else folds_of(states, parts, self.config.horizon)
        metrics = {"risk/events": float(len(event[rows][label[rows] > 0].unique()))}
        fitted, held = (torch.stack(masks).any(0)[rows] for masks in zip(*folds, strict=True))
        if 0 < label[rows[fitted]].sum() < fitted.sum():
            folds = [(fit_on[rows], held_out[rows]) for fit_on, held_out in folds]
            metrics["risk/loss"], logit = self._learn(states, rows, label[rows], folds, q)
            self.trained = True
            self._calibrate(logit[held], rows[held], label, event)
        return metrics | self._judge(states, self.drawn(told & parts.judge), label, event)

    def events(self, states: States) -> Bool[Tensor, " n"]:
        """Rows in which the event holds that was learned of."""
        return events(states, self.config, self.kind)

    def chances(self, states: States, rows: Int[Tensor, " m"]) -> Float[Tensor, " m"]:
        """Of the event after those rows, calibrated, from what was known in them."""
        return self.chance(self._histories(states, rows))

    def features(self, states: States, rows: Int[Tensor, " m"]) -> Float[Tensor, "m f"]:
        """What is read of those rows."""
        return self.read(self._histories(states, rows))

    def chance(self, history: History) -> Float[Tensor, " b"]:
        """Of the event, calibrated."""
        with torch.no_grad():
            return self._calibrated(self.network(self.read(history)).squeeze(-1))

    def _calibrated(self, logit: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return self.line(logit) if self.steps is None else self.steps(logit)

    def read(self, history: History) -> Float[Tensor, "b f"]:
        """Of each entry its last value, how it moved since the window began, whether it is known, how old it is."""
        scale = history.scale(self.typical)
        begun = history.relative(scale)[..., 0, :]
        length = history.value.shape[-2]
        age = (length - 1 - history.newest()) / length
        never = (history.newest() < 0).to(age)
        return torch.cat([history.level(), begun.clamp(-5.0, 5.0), never, age], -1)

    def _histories(self, states: States, ends: Int[Tensor, " m"]) -> History:
        """All that end at those rows; what comes after plays no part."""
        assert self.scaler is not None
        value = self.scaler.apply(states.observation)
        history, _, _ = cut(
            value, states.seen, states.elapsed, states.first, length=self.config.length, horizons=(0,), ends=ends
        )
        return history

    def drawn(self, rows: Bool[Tensor, " n"]) -> Int[Tensor, " m"]:
        """Some of the rows, in their order."""
        places = rows.nonzero().squeeze(-1)
        if len(places) > self.config.most_rows:
            kept = torch.randperm(len(places), generator=self.generator)[: self.config.most_rows]
            places = places[kept.sort().values]
        return places

    def _lift(self, states: States, rows: Int[Tensor, " m"], q: Q | None) -> Float[Tensor, " m"]:
        """Rows count more where the best action is far above the worst; 1 on average."""
        lift = torch.ones(len(rows))
        if q is not None and self.config.steering > 0.0:
            with torch.no_grad():
                values = q(states.observation[rows])
            gap = (values.amax(-1) - values.amin(-1)) / values.std().clamp(min=1e-8)
            lift = 1.0 + self.config.steering * gap.clamp(0.0, self.config.most_weight)
        return lift / lift.mean()

    def _learn(
        self, states: States, rows: Int[Tensor, " m"], label: Float[Tensor, " m"], folds: list[Fold], q: Q | None
    ) -> tuple[float, Float[Tensor, " m"]]:
        """The loss, and the logits of rows as long as they were held out; else 0."""
        features, lift = self.features(states, rows), self._lift(states, rows, q)
        if self.config.hidden:
            [(fitted, held)] = folds
            mean = self._descend(features[fitted], label[fitted], balanced(lift[fitted], label[fitted]))
            with torch.no_grad():
                return mean, torch.where(held, self.network(features).squeeze(-1), 0.0)
        features, label, lift = features.double(), label.double(), lift.double()
        fitted = torch.stack([fitted for fitted, _ in folds]).any(0)
        trust = torch.full_like(features[0], _TRUST)
        trust[: self.entries] = 1.0
        axes, line, score = learned(features, label, lift, folds, trust)
        weight, shift = line.of_features(axes)
        [layer] = self.network
        assert isinstance(layer, nn.Linear)
        with torch.no_grad():
            layer.weight.copy_(weight.unsqueeze(0))
            layer.bias.copy_(shift)
        ended = binary_cross_entropy_with_logits(line(axes.apply(features[fitted])), label[fitted], lift[fitted])
        return float(ended), (score + line.shift).float()

    def _descend(
        self, features: Float[Tensor, "m f"], label: Float[Tensor, " m"], weight: Float[Tensor, " m"]
    ) -> float:
        """Some updates of the network; the mean loss."""
        assert self.optimizer is not None
        parameters, losses = list(self.network.parameters()), []
        for _ in range(self.config.updates):
            some = torch.randint(len(label), (min(self.config.batch, len(label)),), generator=self.generator)
            logit = self.network(features[some]).squeeze(-1)
            loss = binary_cross_entropy_with_logits(logit, label[some], weight[some])
            for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter.grad = slope
            if torch.isfinite(nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])):
                self.optimizer.step()  # else this batch teaches nothing
                losses.append(float(loss.detach()))
        return sum(losses) / max(len(losses), 1)

    def _calibrate(
        self,
        logit: Float[Tensor, " m"],
        rows: Int[Tensor, " m"],
        label: Float[Tensor, " n"],
        event: Int[Tensor, " n"],
    ) -> None:
        """By rows, unweighted; the threshold by events: each is missed where none of its rows is above."""
        self.line, self.steps, self.threshold = Temperature(), None, 0.0  # what was made for other weights is no longer
        if not enough(rows, label, event):
            return
        self.line = Temperature.fitted(logit, label[rows])
        if self.config.calibration == "isotonic":
            self.steps = Isotonic.fitted(logit, label[rows])
        highest = highest_before(self._calibrated(logit), label[rows], event[rows])
        self.threshold = controlled_threshold(highest, torch.ones_like(highest), self.config.most_missed)

    def _judge(
        self, states: States, rows: Int[Tensor, " m"], label: Float[Tensor, " n"], event: Int[Tensor, " n"]
    ) -> dict[str, float]:
        """By rows that nothing was fitted to or calibrated on."""
        if not enough(rows, label, event):
            return {}
        chance = self.chance(self._histories(states, rows))
        told = {name: float(value) for name, value in measure(chance, label[rows])._asdict().items() if name != "rows"}
        missed = (highest_before(chance, label[rows], event[rows]) < self.threshold).float().mean()
        return {f"risk/{name}": value for name, value in (told | {"missed": float(missed)}).items()} | {
            "risk/threshold": self.threshold
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "generator": self.generator.get_state(),
            "network": dict(self.network.state_dict()),
            "optimizer": None if self.optimizer is None else self.optimizer.state_dict(),
            "line": [self.line.slope, self.line.shift],
            "steps": None if self.steps is None else [self.steps.score, self.steps.chance],
            "threshold": self.threshold,
            "trained": self.trained,
            "kind": self.kind,
            "typical": self.typical,
            "scaler": None if self.scaler is None else self.scaler._asdict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["generator"])
        self.network.load_state_dict(state["network"])
        if self.optimizer is not None:
            self.optimizer.load_state_dict(state["optimizer"])
        self.line, self.threshold = Temperature(*state["line"]), state["threshold"]
        self.steps = None if state["steps"] is None else Isotonic(*state["steps"])
        self.trained, self.kind = state["trained"], state["kind"]
        self.typical = state["typical"]
        self.scaler = None if state["scaler"] is None else Scaler(**state["scaler"])


def balanced(lift: Float[Tensor, " m"], label: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """Weights by which both kinds count alike in sum."""
    sums = [(lift * (label == kind)).sum().clamp(min=1e-8) for kind in (0, 1)]
    return 0.5 * len(label) * lift * torch.where(label > 0, 1.0 / sums[1], 1.0 / sums[0])


def enough(rows: Int[Tensor, " m"], label: Float[Tensor, " n"], event: Int[Tensor, " n"]) -> bool:
    """Whether rows tell of enough events, and of enough rows without."""
    happened = len(event[rows][label[rows] > 0].unique())
    return happened >= _LEAST_EVENTS and int((label[rows] == 0).sum()) >= _LEAST_EVENTS
