"""A forecaster that learns beside an agent: from what the agent lived through, steered by its Q, calibrated apart."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from metalearn.forecasting.histories import Future, History, cut, typical_change
from metalearn.forecasting.models import DecayingGRU, Mixer, NLinear
from metalearn.forecasting.quantiles import LEVELS, MEDIAN, Conformal, masked_mean, pinball
from metalearn.forecasting.ridge_anchor import RidgeAnchor
from metalearn.settings import ForecastConfig
from metalearn.states import Scaler, States, parts_of
from metalearn.steering import Q, Steering

_GAIN = 0.01
_LEAST_SPREAD = 0.1  # standard deviations: forecasts closer to each other say little, and are not blown up further

NETWORKS: dict[str, Callable[..., nn.Module]] = {"linear": NLinear, "mixer": Mixer, "gru": DecayingGRU}


class ForecastSubstrate:
    """Quantiles of all entries at all horizons; what serves the agent moves slowly."""

    def __init__(self, config: ForecastConfig, entries: int, seed: int) -> None:
        self.config, self.entries = config, entries
        self.generator = torch.Generator().manual_seed(seed)
        self.steering = Steering(config.coupling, entries, self.generator)
        shape = (config.length, entries, len(config.horizons))
        self.ridge = RidgeAnchor(*shape, penalty=config.penalty, fading=config.fading)
        self.network: nn.Module | None = None
        if config.kind != "ridge":
            self.network = NETWORKS[config.kind](*shape, self.generator)
            self.serving = copy.deepcopy(self.network).requires_grad_(False)
            self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        self.conformal = Conformal(len(config.horizons), entries)
        self.trust = torch.ones(len(config.horizons), entries)  # in the median, against the last value
        self.scaler: Scaler | None = None
        self.typical = torch.ones(entries)
        self.spread: Float[Tensor, "h d"] | None = None  # how far medians that serve lie apart, once that was measured

    @property
    def ready(self) -> bool:
        """Whether it was ever trained."""
        return self.scaler is not None

    def update(self, states: States, q: Q | None) -> dict[str, float]:
        """Learns from rows to fit on, is calibrated on others and judged by others again."""
        parts = parts_of(states, max(self.config.horizons))
        fresh = self.scaler is None
        if self.scaler is None:
            self._prepare(states, parts.fit)
        if q is not None and self.network is not None:
            self._listen(states, parts.calibrate | parts.judge, q)
        history, future, ends = self._cut(states, self._drawn(parts.fit))
        metrics = {"forecast/rows": float(len(ends))}
        if self.network is None:
            self.ridge.update(history, future)
        elif len(ends):
            metrics["forecast/loss"] = self._descend(states, history, future, ends, q)
            slowness = 0.0 if fresh else self.config.slowness  # the copy does not begin with what was drawn at random
            moved: list[Tensor] = list(self.serving.parameters())
            torch._foreach_lerp_(moved, list[Tensor](self.network.parameters()), 1.0 - slowness)
        self._calibrate(states, parts.calibrate)
        return metrics | self._judge(states, parts.judge)

    def error(self, states: States) -> float:
        """The pinball loss of what serves where the first horizon of rows is known; NaN where none is."""
        return self._of_first(states, pinball)

    def missed(self, states: States) -> float:
        """The share of what came that lay outside of the interval of 80 %, likewise."""
        return self._of_first(states, lambda made, came: ((came < made[..., 1]) | (came > made[..., -2])).float())

    def _of_first(self, states: States, measure: Callable[[Tensor, Tensor], Tensor]) -> float:
        history, future, _ = self._cut(states, torch.arange(len(states.first)))
        known = future.seen[:, 0].any(-1)
        if not known.any():
            return float("nan")
        made = self.quantiles(History(*(each[known] for each in history)))[:, 0]
        return float(masked_mean(measure(made, future.value[known, 0]), future.seen[known, 0]))

    def quantiles(self, history: History) -> Float[Tensor, "b h d q"]:
        """Of standardised entries, corrected so that they cover."""
        return self.conformal.correct(self._raw(history), history.scale(self.typical))

    def foresee(
        self, states: States, ends: Int[Tensor, " m"]
    ) -> tuple[Float[Tensor, "k h d q"], Float[Tensor, "k d"], Future, Int[Tensor, " k"]]:
        """Quantiles after those rows, the last values before, and what came, all standardised; rows with a future."""
        history, future, kept = self._cut(states, ends)
        return self.quantiles(history), history.last(), future, kept

    @torch.no_grad()
    def _raw(self, history: History) -> Float[Tensor, "b h d q"]:
        made = self.ridge(history) if self.network is None else self.serving(history)
        back = (1.0 - self.trust) * (history.last().unsqueeze(-2) - made[..., MEDIAN])
        return made + back.unsqueeze(-1)

    def _prepare(self, states: States, rows: Bool[Tensor, " n"]) -> None:
        self.scaler = Scaler.fitted(states, rows)
        history, _, _ = self._cut(states, self._drawn(rows))
        self.typical = typical_change(history)
        self.ridge.typical = self.typical
        if self.network is not None:
            for network in (self.network, self.serving):
                network.typical.copy_(self.typical)  # type: ignore[operator]

    def _listen(self, states: States, rows: Bool[Tensor, " n"], q: Q) -> None:
        """Opens the gate as far as Q explains returns of rows that the forecaster is not fitted to."""
        came, whole = states.returns(self.config.gamma, self.config.return_steps)
        kept = (rows & whole).nonzero().squeeze(-1)
        if len(kept) < 2:
            return
        with torch.no_grad():
            values = self.steering.seen_by(q)(states.observation[kept])
        taken = values[:, 0]
        if values.shape[1] > 1:
            if states.action is None:
                taken = values.max(-1).values
            else:
                taken = values.gather(1, states.action[kept].unsqueeze(1)).squeeze(1)
        self.steering.listen(taken, came[kept])

    def _drawn(self, rows: Bool[Tensor, " n"], most: int | None = None) -> Int[Tensor, " m"]:
        """Some of the rows, in their order."""
        places, most = rows.nonzero().squeeze(-1), most or self.config.most_rows
        if len(places) > most:
            kept = torch.randperm(len(places), generator=self.generator)[:most]
            places = places[kept.sort().values]
        return places

    def _cut(self, states: States, ends: Int[Tensor, " m"]) -> tuple[History, Future, Int[Tensor, " k"]]:
        assert self.scaler is not None
        value = self.scaler.apply(states.observation)
        shape = {"length": self.config.length, "horizons": self.config.horizons}
        return cut(value, states.seen, states.elapsed, states.first, ends=ends, **shape)  # type: ignore[arg-type]

    def _descend(self, states: States, history: History, future: Future, ends: Int[Tensor, " k"], q: Q | None) -> float:
        """Some updates of the network; the mean loss."""
        assert self.network is not None
        parameters, losses = list(self.network.parameters()), []
        for _ in range(self.config.updates):
            some = torch.randint(len(ends), (min(self.config.batch, len(ends)),), generator=self.generator)
            read, wanted = History(*(each[some] for each in history)), Future(*(each[some] for each in future))
            quantiles = self.network(read)
            loss = masked_mean(pinball(quantiles, wanted.value), wanted.seen)
            if q is not None:
                loss = self._steered(loss, states, quantiles[:, 0, :, MEDIAN], wanted, ends[some], q)
            slopes = torch.autograd.grad(loss, parameters)  # of these alone: Q's parameters get none
            for parameter, slope in zip(parameters, slopes, strict=True):
                parameter.grad = slope
            if torch.isfinite(nn.utils.clip_grad_norm_(parameters, self.config.max_grad_norm)):
                self.optimizer.step()  # else this batch teaches nothing
                losses.append(float(loss.detach()))
        return sum(losses) / max(len(losses), 1)

    def _steered(
        self,
        plain: Float[Tensor, ""],
        states: States,
        median: Float[Tensor, "b d"],
        wanted: Future,
        rows: Int[Tensor, " b"],
        q: Q,
    ) -> Float[Tensor, ""]:
        """The loss joined with what Q makes of whole states at the first horizon; what was not seen is as it came."""
        scaler = self.scaler
        assert scaler is not None
        there = (rows + self.config.horizons[0]).clamp(max=len(states.first) - 1)
        known = wanted.seen[:, 0].any(-1)
        if not known.any():
            return plain
        came = scaler.apply(states.observation[there][known])
        foreseen = torch.where(wanted.seen[:, 0][known] > 0, median[known], came)
        return self.steering.loss(plain, foreseen, came, lambda standard: q(scaler.undo(standard)))

    def _calibrate(self, states: States, rows: Bool[Tensor, " n"]) -> None:
        """Anew each time, by what serves now."""
        history, future, ends = self._cut(states, self._drawn(rows, self.conformal.capacity))
        if len(ends):
            self.trust = torch.ones_like(self.trust)
            self.trust = trusted(self._raw(history)[..., MEDIAN], history.last(), future)
            made = self._raw(history)
            self._measure(made[..., MEDIAN])
            self.conformal.forget()
            self.conformal.observe(made, future.value, future.seen, history.scale(self.typical))

    def _measure(self, median: Float[Tensor, "b h d"]) -> None:
        """How far forecasts lie apart, for those who want them of the usual size; it moves as slowly as what serves."""
        now = median.std(0, correction=0).clamp(_LEAST_SPREAD, 1.0)
        self.spread = now if self.spread is None else torch.lerp(now, self.spread, self.config.slowness)

    def _judge(self, states: States, rows: Bool[Tensor, " n"]) -> dict[str, float]:
        """How what serves does on rows that nothing was fitted to or calibrated on."""
        history, future, ends = self._cut(states, self._drawn(rows))
        found = {"forecast/heard": self.steering.heard} if self.network is not None else {}
        if not len(ends):
            return found
        made = self.quantiles(history)
        last = (history.last().unsqueeze(1) - future.value).abs()
        inside = ((future.value >= made[..., 1]) & (future.value <= made[..., -2])).float()
        error = masked_mean((made[..., MEDIAN] - future.value).abs(), future.seen)
        return found | {
            "forecast/pinball": float(masked_mean(pinball(made, future.value), future.seen)),
            "forecast/error_against_last": float(error / masked_mean(last, future.seen).clamp(min=1e-9)),
            "forecast/coverage_80": float(masked_mean(inside, future.seen)),
            "forecast/width_80": float(masked_mean(made[..., -2] - made[..., 1], future.seen)),
        }

    def state_dict(self) -> dict[str, Any]:
        state = {
            "generator": self.generator.get_state(),
            "order": self.steering.order,
            "heard": self.steering.heard,
            "ridge": self.ridge.state_dict(),
            "conformal": self.conformal.state_dict(),
            "typical": self.typical,
            "trust": self.trust,
            "spread": self.spread,
            "scaler": None if self.scaler is None else self.scaler._asdict(),
        }
        if self.network is not None:
            state["network"] = dict(self.network.state_dict())
            state["serving"] = dict(self.serving.state_dict())
            state["optimizer"] = self.optimizer.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["generator"])
        self.steering.order, self.steering.heard = state["order"], state["heard"]
        self.ridge.load_state_dict(state["ridge"])
        self.conformal.load_state_dict(state["conformal"])
        self.typical, self.trust, self.spread = state["typical"], state["trust"], state["spread"]
        self.scaler = None if state["scaler"] is None else Scaler(**state["scaler"])
        if self.network is not None:
            self.network.load_state_dict(state["network"])
            self.serving.load_state_dict(state["serving"])
            self.optimizer.load_state_dict(state["optimizer"])


def trusted(median: Float[Tensor, "b h d"], last: Float[Tensor, "b d"], future: Future) -> Float[Tensor, "h d"]:
    """How far to go from the last value to the median: all the way, half of it, or not at all.

    By the absolute errors of rows held out; what does not gain `_GAIN` stays at the last value, as entries that hardly
    ever change do, which every other forecast only blurs.
    """
    last = last.unsqueeze(-2)
    errors = [
        ((last + share * (median - last) - future.value).abs() * future.seen).sum(0) * handicap
        for share, handicap in ((0.0, 1.0 - _GAIN), (0.5, 1.0), (1.0, 1.0))
    ]
    return 0.5 * torch.stack(errors).argmin(0).to(median)


assert LEVELS[1] == 0.1
assert LEVELS[-2] == 0.9  # the interval of 80 %
