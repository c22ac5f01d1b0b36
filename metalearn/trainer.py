"""The MetaLearnerTrainer: substrate models that learn beside an agent, steered by its Q, and a learner of how to adapt.

Q is handed in as a function of states, `[B, D]` to values `[B, A]` of all actions or `[B, 1]` of the state; it is read
and never changed: gradients are taken with respect to the substrates' parameters alone.
"""

import math
import time
from typing import Any

import numpy as np
import torch

from metalearn.drift import DETECTORS, Adwin, Miscoverage, PageHinkley
from metalearn.forecasting.substrate import ForecastSubstrate
from metalearn.meta_learner import MetaLearner
from metalearn.risk.shield import Shield
from metalearn.risk.substrate import RiskSubstrate
from metalearn.settings import MetaLearningConfig
from metalearn.states import Parts, Scaler, States, parts_of
from metalearn.steering import Q
from metalearn.substrates import Substrate, build
from metalearn.task_sampler import TaskSampler

FEWEST_TASKS = 8  # below which learning to adapt overfits to them
_PURPOSE = 0x3E7A  # keeps these draws apart from others of the same seed
_REST = 4  # after an alarm nothing is an alarm for a fourth of the usual wait


class MetaLearnerTrainer:
    """Updates substrates and learner; what it remembers goes into checkpoints."""

    def __init__(self, config: MetaLearningConfig, entries: int, seed: int, actions: int | None = None) -> None:
        """For observations of so many entries and, where they are discrete, so many actions."""
        self.config, self.entries = config, entries
        own, theirs, learners, self.shuffling, others = (
            np.random.SeedSequence([seed, _PURPOSE]).generate_state(5).tolist()
        )
        self.forecast = ForecastSubstrate(config.forecast, entries, own)
        self.risk = RiskSubstrate(config.risk, entries, theirs)
        self.shield = None if actions is None else Shield(self.risk, actions)
        self.also: dict[str, Substrate] = {name: build(name, entries, others) for name in config.also}
        self.generator = torch.Generator().manual_seed(learners)
        length = config.forecast.length
        self.sampler = TaskSampler(length, config.forecast.horizons[0], config.support, config.query)
        width = entries * (length + 2)
        self.learner = MetaLearner(config.adaptation, width, entries, self.generator)
        self.drift: PageHinkley | Adwin | Miscoverage | None = None
        if config.drift != "none":
            self.drift = DETECTORS[config.drift]()
        self.updated = -1  # step of the last update
        self.alarmed = -math.inf  # step of the last alarm
        self.seconds = 0.0  # that updates took, over all processes
        self.tasks = 0  # in the last batch
        self._pending = False  # an alarm that no update has answered yet

    def meta_learning_condition(self, step: int, seconds: float) -> bool:
        """Whether an update is due: after the warm-up, every so many steps or on an alarm, within the budget of time.

        `seconds` is what training took so far, updates included.
        """
        config = self.config
        if step < config.warm_up:
            return False
        # what serves an agent is part of what it learns: there no clock may say when
        if not config.serve.on and self.seconds > config.budget * max(seconds, 1e-9):
            return False
        return self.updated < 0 or step - self.updated >= config.every or self._pending

    def watch(self, step: int, states: States) -> bool:
        """Holds the newest forecasts against what came; True where their errors raise an alarm of drift."""
        if self.drift is None or not self.forecast.ready or step - self.alarmed < self.config.every / _REST:
            return False
        if isinstance(self.drift, Miscoverage):
            told = self.forecast.missed(states)
        else:
            error = self.forecast.error(states)
            told = error / (1.0 + error)  # Adwin wants numbers up to 1
        if not math.isfinite(told) or not self.drift.update(told):
            return False
        self.alarmed, self._pending = step, True
        return True

    def update(self, step: int, states: States, q: Q | None) -> dict[str, float]:
        """All updates; metrics by `forecast/`, `risk/`, `shield/` and `meta/`."""
        begun = time.monotonic()
        metrics = self.update_what_serves(states, q)
        for substrate in self.also.values():
            metrics |= substrate.update(states, q)
        metrics |= self.update_meta_learning_model(states, q)
        self.updated, self._pending = step, False
        self.seconds += time.monotonic() - begun
        return metrics | {"meta/seconds": self.seconds}

    def update_what_serves(self, states: States, q: Q | None) -> dict[str, float]:
        """Trains the models that can advise an agent, and no others."""
        metrics = self.update_substrate_forecasting(states, q)
        metrics |= self.update_substrate_model_with_risk_detection(states, q)
        return metrics | ({} if self.shield is None else self.shield.update(states, q))

    def update_substrate_forecasting(self, states: States, Q: Q | None) -> dict[str, float]:
        """Trains the forecaster; metrics of rows that are held out."""
        return self.forecast.update(states, Q)

    def update_substrate_model_clinical_forecasting(self, states: States, Q: Q | None) -> dict[str, float]:
        """The same by the name that it has for patients."""
        return self.update_substrate_forecasting(states, Q)

    def update_substrate_model_with_risk_detection(self, states: States, Q: Q | None) -> dict[str, float]:
        """Trains the detector of risk; metrics of rows that are held out."""
        return self.risk.update(states, Q)

    def update_meta_learning_model(self, states: States, Q: Q | None) -> dict[str, float]:
        """Learns to adapt over the tasks in these rows; with too few of them, says so and learns nothing.

        Q plays no part where tasks adapt by regression on how entries move; it is taken for the sake of one signature.
        """
        del Q
        parts = parts_of(states, max(self.config.forecast.horizons))
        scaler = self.forecast.scaler or Scaler.fitted(states, parts.fit)
        standard = states._replace(observation=scaler.apply(states.observation))
        losses = []
        for _ in range(self.config.adaptations):
            drawn = self.sampler.draw(standard, self.forecast.typical, parts.fit, self.generator)
            self.tasks = 0 if drawn is None else len(drawn.support.x)
            if drawn is None or self.tasks < FEWEST_TASKS:
                return {"meta/tasks": float(self.tasks)}
            losses.append(self.learner.learn(drawn)["loss"])
        told = {"meta/tasks": float(self.tasks), "meta/loss": sum(losses) / len(losses)}
        return told | self._judge_learner(standard, parts)

    def _judge_learner(self, standard: States, parts: Parts) -> dict[str, float]:
        """How well tasks that are held out are adapted to, against staying at the last value."""
        drawn = self.sampler.draw(standard, self.forecast.typical, parts.calibrate | parts.judge, self.generator)
        if drawn is None:
            return {}
        with torch.no_grad():
            error = drawn.query.error(self.learner.predict(drawn.query.x, self.learner.adapt(drawn.support))).mean()
            still = drawn.query.error(torch.zeros_like(drawn.query.y)).mean()
        return {"meta/error_against_last": float(error / still.clamp(min=1e-9))}

    def state_dict(self) -> dict[str, Any]:
        return {
            "forecast": self.forecast.state_dict(),
            "risk": self.risk.state_dict(),
            "shield": None if self.shield is None else self.shield.state_dict(),
            "also": {name: substrate.state_dict() for name, substrate in self.also.items()},
            "learner": self.learner.state(),
            "generator": self.generator.get_state(),
            "drift": None if self.drift is None else self.drift.state_dict(),
            "clock": [self.updated, self.alarmed, self.seconds, self.tasks, self._pending],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.forecast.load_state_dict(state["forecast"])
        self.risk.load_state_dict(state["risk"])
        if self.shield is not None:
            self.shield.load_state_dict(state["shield"])
        for name, substrate in self.also.items():
            substrate.load_state_dict(state["also"][name])
        self.learner.restore(state["learner"])
        self.generator.set_state(state["generator"])
        if self.drift is not None:
            self.drift.load_state_dict(state["drift"])
        self.updated, self.alarmed, self.seconds, self.tasks, self._pending = state["clock"]
