"""From what was seen so far to advice: what comes next, how surely, how likely harm is, and which actions are safe.

All of it is 0, and all actions are safe, until the models were trained: an agent is as wide from its first step on.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from feeds.base import FeedSpec
from metalearn.forecasting.quantiles import LEVELS, MEDIAN
from metalearn.serving.layout import Layout
from metalearn.serving.memory import Past, pasts
from metalearn.states import States
from metalearn.trainer import MetaLearnerTrainer

_QUARTERS = (LEVELS.index(0.25), LEVELS.index(0.75))
_TENTHS = (LEVELS.index(0.1), LEVELS.index(0.9))
_MOST = 10.0  # typical changes, beyond which a forecast is held
_KEPT = 4_000_000  # numbers of advice that shuffled advice is drawn from
_CHUNK = 4_096  # rows of a record at once


class Advice(NamedTuple):
    """Of B streams, in what they see now."""

    features: Float[Tensor, "b k"]  # to stand behind the observation, as `Layout` has it
    chance: Float[Tensor, " b"]  # of the event that risk is about, within its horizon
    safe: Bool[Tensor, "b a"] | None  # actions below the threshold of harm; None where nothing shields


class Adviser:
    """Speaks for the models of a MetaLearnerTrainer."""

    def __init__(self, trainer: MetaLearnerTrainer, spec: FeedSpec) -> None:
        self.trainer, self.layout = trainer, Layout(spec, trainer.config)
        config = trainer.config
        self.length = max(config.forecast.length, config.risk.length)
        self.entries = trainer.entries
        self.generator = torch.Generator().manual_seed(trainer.shuffling)
        self._spoken = torch.tensor(self.layout.entries, dtype=torch.int64)
        actions = trainer.shield.actions if config.serve.shield and trainer.shield is not None else 0
        wide = self.layout.size + 1 + actions
        self._earlier = torch.zeros(max(_KEPT // wide, 1) if config.serve.control == "shuffled" else 0, wide)
        self._told = 0

    def blank(self, streams: int) -> Past:
        return Past.blank(streams, self.length, self.entries)

    def advise(self, past: Past, *, keep: bool) -> Advice:
        """Of streams as they go; `keep` where training may shuffle it into later advice."""
        advice = self.told(past)
        return self._shuffled(advice, keep=keep) if len(self._earlier) else advice

    @torch.no_grad()
    def told(self, past: Past) -> Advice:
        """What the models hold, never shuffled."""
        return self._advise(past)

    def advise_record(self, states: States) -> Advice:
        """Of all rows of a record, as one would be advised who went through it."""
        return self.controlled(self.told_of(states, torch.arange(states.rows)))

    @torch.no_grad()
    def told_of(self, states: States, rows: Int[Tensor, " m"]) -> Advice:
        """What the models hold in some rows of a record, never shuffled."""
        parts = [self._advise(pasts(states, some, self.length)) for some in rows.split(_CHUNK)]
        safe = [part.safe for part in parts if part.safe is not None]
        features, chance = (torch.cat(column) for column in ([p.features for p in parts], [p.chance for p in parts]))
        return Advice(features, chance, torch.cat(safe) if safe else None)

    def controlled(self, advice: Advice) -> Advice:
        """Of a whole record: what is told in other rows, where advice is to be shuffled."""
        if self.trainer.config.serve.control != "shuffled":
            return advice
        same = torch.Generator().manual_seed(self.trainer.shuffling)  # each time: who goes on asks once more
        order = torch.randperm(len(advice.chance), generator=same)
        safe = None if advice.safe is None else advice.safe[order]
        return Advice(advice.features[order], advice.chance[order], safe)

    def _advise(self, past: Past) -> Advice:
        config, chance = self.trainer.config, self._chance(past)
        columns = [self._foreseen(past)] if self.layout.entries else []
        if config.serve.risk:
            columns.append(chance.unsqueeze(1))
        features = torch.cat(columns, 1) if columns else torch.zeros(len(chance), 0)
        shield = self.trainer.shield
        return Advice(features, chance, shield.safe(past) if config.serve.shield and shield is not None else None)

    def _chance(self, past: Past) -> Float[Tensor, " b"]:
        risk = self.trainer.risk
        if risk.scaler is None or not risk.ready:
            return torch.zeros(len(past.elapsed))
        return risk.chance(past.history(self.trainer.config.risk.length, risk.scaler))

    def _foreseen(self, past: Past) -> Float[Tensor, "b k"]:
        """The median, in units of how far medians lie apart; its change from the last value and the quartile range, in
        changes of the usual size; the mean width of intervals. Of returns the level tells most, of prices the change.

        What is foreseen of returns is small beside them: left so, an agent would hardly hear it."""
        forecast, horizons = self.trainer.forecast, len(self.trainer.config.forecast.horizons)
        if forecast.scaler is None:
            return torch.zeros(len(past.elapsed), (3 * len(self._spoken) + 1) * horizons)
        history = past.history(self.trainer.config.forecast.length, forecast.scaler)
        scale = history.scale(forecast.typical).unsqueeze(1)
        made = forecast.quantiles(history)
        level = made[..., MEDIAN]
        change = (level - history.last().unsqueeze(1)) / scale
        spread = (made[..., _QUARTERS[1]] - made[..., _QUARTERS[0]]) / scale
        width = ((made[..., _TENTHS[1]] - made[..., _TENTHS[0]]) / scale).clamp(max=_MOST)
        heard = level if forecast.spread is None else level / forecast.spread
        told = torch.stack([heard, change, spread], 2)[..., self._spoken].clamp(-_MOST, _MOST)
        return torch.cat([told.flatten(1), width[..., self._spoken].mean(-1)], 1)

    def _shuffled(self, advice: Advice, *, keep: bool) -> Advice:
        """Instead of what is told now, something that was told earlier; at first nothing, and all actions are safe.

        Who only looks draws by a generator of its own, so that looking changes nothing.
        """
        most, streams = len(self._earlier), len(advice.chance)
        generator = self.generator if keep else torch.Generator().manual_seed(self.trainer.shuffling + self._told)
        shown = torch.zeros(streams, self._earlier.shape[1])
        shown[:, self.layout.size + 1 :] = 1.0
        if self._told:
            drawn: Int[Tensor, " b"] = torch.randint(min(self._told, most), (streams,), generator=generator)
            shown = self._earlier[drawn]
        if keep:
            safe = [] if advice.safe is None else [advice.safe.to(torch.float32)]
            row = torch.cat([advice.features, advice.chance.unsqueeze(1), *safe], 1)
            self._earlier[(self._told + torch.arange(streams)) % most] = row
            self._told += streams
        features, chance, safe_then = shown.tensor_split([self.layout.size, self.layout.size + 1], 1)
        return Advice(features, chance.squeeze(1), None if advice.safe is None else safe_then > 0.0)

    def state_dict(self) -> dict[str, Any]:
        """What is not the trainer's own."""
        return {"generator": self.generator.get_state(), "earlier": self._earlier, "told": self._told}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["generator"])
        self._earlier, self._told = state["earlier"].clone(), state["told"]
