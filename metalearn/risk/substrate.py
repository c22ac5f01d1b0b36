"""A detector of coming risk that learns beside an agent: errors count more where the action matters, chances hold."""

from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from feeds.errors import FeedError
from metalearn.forecasting.histories import History, cut, typical_change
from metalearn.forecasting.models import dense
from metalearn.risk.calibration import Temperature, controlled_threshold
from metalearn.risk.labels import event_within
from metalearn.risk.measures import measure
from metalearn.settings import RiskConfig
from metalearn.states import Scaler, States, parts_of
from metalearn.steering import Q

_LEAST_EVENTS = 5  # and rows without any coming, below which nothing is calibrated or judged


def events(states: States, config: RiskConfig) -> Bool[Tensor, " n"]:
    """Rows in which the event holds."""
    kind = config.event
    if kind == "auto":
        kind = "drawdown" if states.event is None else "told"
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
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.decay
        )
        self.line = Temperature()
        self.threshold = 0.0  # an alarm always, until events were seen
        self.scaler: Scaler | None = None
        self.typical = torch.ones(entries)

    @property
    def ready(self) -> bool:
        return self.scaler is not None

    def update(self, states: States, q: Q | None) -> dict[str, float]:
        """Learns from rows to fit on, is calibrated on others and judged by others again."""
        parts = parts_of(states, self.config.horizon)
        if self.scaler is None:
            self.scaler = Scaler.fitted(states, parts.fit)
            self.typical = typical_change(self._histories(states, self._drawn(parts.fit)))
        label, known, event = event_within(
            events(states, self.config), states.first, states.terminated, self.config.horizon
        )
        told = (known > 0) & ~states.last
        rows = self._drawn(told & parts.fit)
        metrics = {"risk/events": float(len(event[rows][label[rows] > 0].unique()))}
        if 0 < label[rows].sum() < len(rows):
            metrics["risk/loss"] = self._descend(states, rows, label[rows], q)
        self._calibrate(states, self._drawn(told & parts.calibrate), label, event)
        return metrics | self._judge(states, self._drawn(told & parts.judge), label, event)

    def chance(self, history: History) -> Float[Tensor, " b"]:
        """Of the event, calibrated."""
        with torch.no_grad():
            return self.line(self.network(self._features(history)).squeeze(-1))

    def _features(self, history: History) -> Float[Tensor, "b f"]:
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

    def _drawn(self, rows: Bool[Tensor, " n"]) -> Int[Tensor, " m"]:
        places = rows.nonzero().squeeze(-1)
        if len(places) > self.config.most_rows:
            kept = torch.randperm(len(places), generator=self.generator)[: self.config.most_rows]
            places = places[kept.sort().values]
        return places

    def _weights(self, states: States, rows: Int[Tensor, " m"], label: Float[Tensor, " m"], q: Q | None) -> Tensor:
        """Both kinds count alike in sum; within them rows count more where the best action is far above the worst."""
        lift = torch.ones(len(rows))
        if q is not None and self.config.steering > 0.0:
            with torch.no_grad():
                values = q(states.observation[rows])
            gap = (values.amax(-1) - values.amin(-1)) / values.std().clamp(min=1e-8)
            lift = 1.0 + self.config.steering * gap.clamp(0.0, self.config.most_weight)
        sums = [(lift * (label == kind)).sum().clamp(min=1e-8) for kind in (0, 1)]
        return 0.5 * len(rows) * lift * torch.where(label > 0, 1.0 / sums[1], 1.0 / sums[0])

    def _descend(self, states: States, rows: Int[Tensor, " m"], label: Float[Tensor, " m"], q: Q | None) -> float:
        weight = self._weights(states, rows, label, q)
        features, parameters = self._features(self._histories(states, rows)), list(self.network.parameters())
        losses = []
        for _ in range(self.config.updates):
            some = torch.randint(len(rows), (min(self.config.batch, len(rows)),), generator=self.generator)
            logit = self.network(features[some]).squeeze(-1)
            loss = binary_cross_entropy_with_logits(logit, label[some], weight[some])
            for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter.grad = slope
            if torch.isfinite(nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])):
                self.optimizer.step()  # else this batch teaches nothing
                losses.append(float(loss.detach()))
        return sum(losses) / max(len(losses), 1)

    def _calibrate(
        self, states: States, rows: Int[Tensor, " m"], label: Float[Tensor, " n"], event: Int[Tensor, " n"]
    ) -> None:
        """The line by rows, unweighted; the threshold by events: each is missed where none of its rows is above."""
        if not _enough(rows, label, event):
            return
        with torch.no_grad():
            logit = self.network(self._features(self._histories(states, rows))).squeeze(-1)
        self.line = Temperature.fitted(logit, label[rows])
        highest = _by_event(self.line(logit), label[rows], event[rows])
        self.threshold = controlled_threshold(highest, torch.ones_like(highest), self.config.most_missed)

    def _judge(
        self, states: States, rows: Int[Tensor, " m"], label: Float[Tensor, " n"], event: Int[Tensor, " n"]
    ) -> dict[str, float]:
        """By rows that nothing was fitted to or calibrated on."""
        if not _enough(rows, label, event):
            return {}
        chance = self.chance(self._histories(states, rows))
        told = {name: float(value) for name, value in measure(chance, label[rows])._asdict().items() if name != "rows"}
        missed = (_by_event(chance, label[rows], event[rows]) < self.threshold).float().mean()
        return {f"risk/{name}": value for name, value in (told | {"missed": float(missed)}).items()} | {
            "risk/threshold": self.threshold
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "generator": self.generator.get_state(),
            "network": dict(self.network.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "line": [self.line.slope, self.line.shift],
            "threshold": self.threshold,
            "typical": self.typical,
            "scaler": None if self.scaler is None else self.scaler._asdict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["generator"])
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.line, self.threshold = Temperature(*state["line"]), state["threshold"]
        self.typical = state["typical"]
        self.scaler = None if state["scaler"] is None else Scaler(**state["scaler"])


def _enough(rows: Int[Tensor, " m"], label: Float[Tensor, " n"], event: Int[Tensor, " n"]) -> bool:
    """Whether rows tell of enough events, and of enough rows without."""
    happened = len(event[rows][label[rows] > 0].unique())
    return happened >= _LEAST_EVENTS and int((label[rows] == 0).sum()) >= _LEAST_EVENTS


def _by_event(chance: Float[Tensor, " m"], label: Float[Tensor, " m"], event: Int[Tensor, " m"]) -> Float[Tensor, " e"]:
    """The highest chance of the rows before each event: rows before one are no events of their own."""
    before = [chance[(event == number) & (label > 0)] for number in event[label > 0].unique().tolist()]
    return torch.stack([rows.max() for rows in before])
