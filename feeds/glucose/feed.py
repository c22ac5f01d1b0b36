"""Virtual patients with type-1 diabetes as a GameFeed: an episode is a day of meals, an action a rate of insulin."""

import hashlib
import json
from collections import deque
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

import numpy as np
from gymnasium import spaces

from feeds.base import FeedSpec
from feeds.classic.vector import GameEnvs
from feeds.errors import FeedError, nearest
from feeds.games import SPLITS, Camera, check_split, check_streams
from feeds.glucose.config import GlucoseConfig, knows, listing
from feeds.glucose.core import PACKAGE, make_patient, parts

LOWEST, HIGHEST = 10.0, 600.0  # mg/dl: an episode ends beyond, as in the package
_MIDNIGHT = datetime(2018, 1, 1)
_SCALE = 100.0  # mg/dl, and points of risk, that count as 1
_SEEDS = 2**31


def risk(glucose: float) -> float:
    """Of one blood glucose in mg/dl, 0 at about 112 (Kovatchev et al. 1997, as the package has it)."""
    return float(10.0 * (1.509 * (np.log(max(glucose, 1.0)) ** 1.084 - 5.381)) ** 2)


class GlucoseDay:
    """One patient with the interface of a gymnasium environment.

    Seen are the last readings of the sensor and the insulin that was given with each, in units of 100 mg/dl and of the
    patient's own need, and the hour as a point on a circle. A step earns minus a hundredth of the risk of its mean
    glucose; whoever leaves the range of life pays that of the limit for the rest of the day at once.
    """

    def __init__(self, config: GlucoseConfig) -> None:
        if not knows(config.env):
            raise FeedError(f"no virtual patient is called '{config.env}': {nearest(config.env, listing())}")
        self._config, self._body = config, make_patient(config.env)
        self._pump = parts().pump.withName(config.pump)
        self._sensor = parts().sensor.withName(config.sensor, seed=0)
        self._meals = parts().meals(_MIDNIGHT, seed=0)
        self.minutes = int(self._sensor.sample_time)  # of a step
        self.steps = config.hours * 60 // self.minutes  # of an episode
        known = self._body._params
        self.need = float(known.u2ss * known.BW / 6000.0)  # units a minute that keep glucose where it is
        top = np.full(2 * config.window + 2, HIGHEST / _SCALE, np.float32)
        top[config.window :] = max(config.most, 1.0)
        self.observation_space: spaces.Space[Any] = spaces.Box(-top, top)
        self.action_space: spaces.Space[Any] = spaces.Box(0.0, 1.0, (1,), np.float32)
        self._seeds, self._step = np.random.default_rng(), 0
        self._readings: deque[float] = deque(maxlen=config.window)
        self._given: deque[float] = deque(maxlen=config.window)

    def reset(self, *, seed: int | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """A new day: other meals, other noise, the patient as in the tables."""
        if seed is not None:
            self._seeds = np.random.default_rng(seed)
        self._body.reset()
        self._sensor.seed, self._meals.seed = (int(number) for number in self._seeds.integers(_SEEDS, size=2))
        self._sensor.reset()
        self._step = 0
        reading = float(self._sensor.measure(self._body))
        self._readings.extend([reading] * self._config.window)
        self._given.extend([1.0] * self._config.window)
        return self._see(), self._told(float(self._body.observation.Gsub), 0.0)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        share = float(np.clip(np.asarray(action, np.float64).reshape(-1)[0], 0.0, 1.0))
        insulin = float(self._pump.basal(share * self._config.most * self.need))
        glucose = meal = reading = 0.0
        for _ in range(self.minutes):
            eaten = self._meals.get_action(_MIDNIGHT + timedelta(minutes=float(self._body.t))).meal
            self._body.step(parts().act(insulin=insulin, CHO=eaten))
            glucose += float(self._body.observation.Gsub) / self.minutes
            reading, meal = float(self._sensor.measure(self._body)), meal + float(eaten)
        self._step += 1
        self._readings.append(reading)
        self._given.append(insulin / self.need)
        over = not LOWEST <= glucose <= HIGHEST
        left = self.steps - self._step if over else 0
        paid = -risk(float(np.clip(glucose, LOWEST, HIGHEST))) * (1 + left) / _SCALE
        return self._see(), paid, over, not over and self._step >= self.steps, self._told(glucose, meal)

    def render(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _see(self) -> np.ndarray:
        turn = 2.0 * np.pi * self._step * self.minutes / (24 * 60)
        seen = [reading / _SCALE for reading in self._readings] + [*self._given, np.sin(turn), np.cos(turn)]
        space = self.observation_space
        assert isinstance(space, spaces.Box)
        return np.clip(np.array(seen, np.float32), space.low, space.high)

    def _told(self, glucose: float, meal: float) -> dict[str, Any]:
        """True glucose in mg/dl, and grams of carbohydrates that a meal began with: the agent sees neither."""
        return {"glucose": glucose, "meal": meal}


class GlucoseFeed:
    """One virtual patient; parts differ in the seeds of meals and of the sensor's noise."""

    def __init__(self, config: GlucoseConfig) -> None:
        self.config = config
        probe = GlucoseDay(config)
        self.spec = FeedSpec(
            name="glucose",
            observation_space=probe.observation_space,
            action_space=probe.action_space,
            clock=f"{probe.minutes} minutes",
            units={"reward": "minus a hundredth of the risk of blood glucose", "glucose": "mg/dl", "meal": "g"},
            splits=SPLITS,
        )

    def envs(self, streams: int, *, split: str) -> GameEnvs:
        return GameEnvs(lambda: GlucoseDay(self.config), check_streams(streams), split=check_split(split))

    def camera(self, split: str, seed: int) -> Camera:
        raise FeedError(f"{self.config.env} draws no pictures")

    def describe(self) -> dict[str, Any]:
        """The patient by name and version of the package; the profile is the protocol of scores."""
        profile = self.config.model_dump() | {
            "package": f"{PACKAGE} {version(PACKAGE)}",
            "note": "research, not for care",
        }
        return {
            "name": f"glucose/{self.config.env}",
            "digest": hashlib.sha256(json.dumps(profile, sort_keys=True).encode()).hexdigest(),
            "source": profile["package"],
            "schema": {"observation": "float32", "action": str(self.spec.action_space)},
            "profile": {"protocol": profile},
        }
