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
from metalearn.states import Scaler, States, held_out
from metalearn.steering import Q, Steering

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
        self.scaler: Scaler | None = None
        self.typical = torch.ones(entries)

    @property
    def ready(self) -> bool:
        """Whether it was ever trained."""
        return self.scaler is not None

    def update(self, states: States, q: Q | None) -> dict[str, float]:
        """Learns from the rows that may be learned from, is judged and calibrated on the others."""
        apart = held_out(states)
        if self.scaler is None:
            self._prepare(states, ~apart)
        if q is not None:
            self._listen(states, apart, q)
        history, future, ends = self._cut(states, self._drawn(~apart))
        metrics = {"forecast/rows": float(len(ends))}
        if self.network is None:
            self.ridge.update(history, future)
        elif len(ends):
            metrics["forecast/loss"] = self._descend(states, history, future, ends, q)
        return metrics | self._judge(states, apart)

    def quantiles(self, history: History) -> Float[Tensor, "b h d q"]:
        """Of standardised entries, corrected so that they cover."""
        with torch.no_grad():
            raw = self.ridge(history) if self.network is None else self.serving(history)
        return self.conformal.correct(raw, history.scale(self.typical))

    def _prepare(self, states: States, rows: Bool[Tensor, " n"]) -> None:
        self.scaler = Scaler.fitted(states, rows)
        history, _, _ = self._cut(states, self._drawn(rows))
        self.typical = typical_change(history)
        self.ridge.typical = self.typical
        if self.network is not None:
            for network in (self.network, self.serving):
                network.typical.copy_(self.typical)  # type: ignore[operator]

    def _listen(self, states: States, rows: Bool[Tensor, " n"], q: Q) -> None:
        """Opens the gate as far as Q explains returns of rows that are held out."""
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

    def _drawn(self, rows: Bool[Tensor, " n"]) -> Int[Tensor, " m"]:
        """Some of the rows, in their order."""
        places = rows.nonzero().squeeze(-1)
        if len(places) > self.config.most_rows:
            kept = torch.randperm(len(places), generator=self.generator)[: self.config.most_rows]
            places = places[kept.sort().values]
        return places

    def _cut(self, states: States, ends: Int[Tensor, " m"]) -> tuple[History, Future, Int[Tensor, " k"]]:
        assert self.scaler is not None
        value = self.scaler.apply(states.observation) * states.seen
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
            nn.utils.clip_grad_norm_(parameters, self.config.max_grad_norm)
            self.optimizer.step()
            losses.append(float(loss.detach()))
        moved: list[Tensor] = list(self.serving.parameters())
        torch._foreach_lerp_(moved, list[Tensor](parameters), 1.0 - self.config.slowness)
        return sum(losses) / len(losses)

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
        assert self.scaler is not None
        there = (rows + self.config.horizons[0]).clamp(max=len(states.first) - 1)
        known = wanted.seen[:, 0].any(-1)
        if not known.any():
            return plain
        came = states.observation[there][known]
        foreseen = torch.where(wanted.seen[:, 0][known] > 0, self.scaler.undo(median[known]), came)
        return self.steering.loss(plain, foreseen, came, q)

    def _judge(self, states: States, apart: Bool[Tensor, " n"]) -> dict[str, float]:
        """How what serves does on rows that are held out; only then are these taken into the calibration."""
        history, future, ends = self._cut(states, self._drawn(apart))
        found = {"forecast/heard": self.steering.heard}
        if not len(ends):
            return found
        made = self.quantiles(history)
        last = (history.last().unsqueeze(1) - future.value).abs()
        inside = ((future.value >= made[..., 1]) & (future.value <= made[..., -2])).float()
        error = masked_mean((made[..., MEDIAN] - future.value).abs(), future.seen)
        found |= {
            "forecast/pinball": float(masked_mean(pinball(made, future.value), future.seen)),
            "forecast/error_against_last": float(error / masked_mean(last, future.seen).clamp(min=1e-9)),
            "forecast/coverage_80": float(masked_mean(inside, future.seen)),
            "forecast/width_80": float(masked_mean(made[..., -2] - made[..., 1], future.seen)),
        }
        with torch.no_grad():
            raw = self.ridge(history) if self.network is None else self.serving(history)
        self.conformal.observe(raw, future.value, future.seen, history.scale(self.typical))
        return found

    def state_dict(self) -> dict[str, Any]:
        state = {
            "generator": self.generator.get_state(),
            "order": self.steering.order,
            "heard": self.steering.heard,
            "ridge": self.ridge.state_dict(),
            "conformal": self.conformal.state_dict(),
            "typical": self.typical,
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
        self.typical = state["typical"]
        self.scaler = None if state["scaler"] is None else Scaler(**state["scaler"])
        if self.network is not None:
            self.network.load_state_dict(state["network"])
            self.serving.load_state_dict(state["serving"])
            self.optimizer.load_state_dict(state["optimizer"])


assert LEVELS[1] == 0.1
assert LEVELS[-2] == 0.9  # the interval of 80 %
