"""Which metrics are kept: finite ones, of at most 64 keys, at most about 2,000 points a key, steps that only grow."""

import logging
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MAX_KEYS = 64  # a chart each: the store's pages grow slow with more, and models beside an agent tell some twenty
MAX_POINTS = 2_000
_FREE = MAX_POINTS // 2  # points that are kept as they come where the length of the run is unknown
# What may change after the last step, as others look at the test part: logged again at one step, the newest stands.
REVISED = frozenset({"test/openings", "test/dsr"})
_REFUSED = re.compile(r"[^\w.\-/ :]")

_logger = logging.getLogger(__name__)


@dataclass
class _Series:
    """What is known of one key."""

    count: int = 0
    first: int = 0
    last: int = -1
    held: tuple[int, float] | None = None  # the newest point that was thinned out

    def spacing(self, steps: int | None) -> float:
        """Steps until the next point. With an unknown length it grows so that the limit is never reached."""
        if steps:
            return steps / MAX_POINTS if self.count else 0.0
        if self.count < _FREE:
            return 0.0
        room = max(MAX_POINTS - self.count, 1)
        return (self.last - self.first) / self.count * (_FREE / room) ** 2


class MetricGate:
    """Decides for one run. Not safe for several threads: the training loop alone logs."""

    def __init__(self, steps: int | None = None) -> None:
        self.steps = steps
        self.dropped: Counter[str] = Counter()  # reason -> values
        self._series: dict[str, _Series] = {}
        self._names: dict[str, str] = {}
        self._told = False

    def restore(self, points: Iterable[tuple[str, int]]) -> None:
        """Takes note of the points (key, step) that an earlier process logged."""
        for key, step in points:
            self._note(self._series.setdefault(key, _Series()), step)

    def admit(self, metrics: Mapping[str, float], step: int) -> dict[str, float]:
        """The metrics to log at this step."""
        kept = {}
        for raw, number in metrics.items():
            value = float(number)
            if not math.isfinite(value):  # MLflow would store infinity as 1.797e308
                self.dropped["not_finite"] += 1
                continue
            series = self._known(raw)
            if series is not None and self._due(series, step, value, again=self._names[raw] in REVISED):
                self._note(series, step)
                kept[self._names[raw]] = value
        return kept

    def leftover(self) -> dict[int, dict[str, float]]:
        """By step: the newest value of each key where thinning left it out; it is forgotten here."""
        found: dict[int, dict[str, float]] = {}
        for key, series in self._series.items():
            if series.held is not None:
                step, value = series.held
                found.setdefault(step, {})[key] = value
                self._note(series, step)
        return dict(sorted(found.items()))

    def _known(self, raw: str) -> _Series | None:
        key = self._names.get(raw)
        if key is None:
            key = self._names[raw] = _REFUSED.sub("_", raw)[:250]
        series = self._series.get(key)
        if series is None and len(self._series) < MAX_KEYS:
            series = self._series[key] = _Series()
        if series is None:
            self.dropped["over_the_key_limit"] += 1
            self._tell(key)
        return series

    def _due(self, series: _Series, step: int, value: float, *, again: bool) -> bool:
        newest = series.held[0] if series.held else series.last
        if step < newest or (step == newest and not again):
            self.dropped["repeated"] += 1
            return False
        if not again and step - series.last < series.spacing(self.steps):
            series.held = (step, value)
            return False
        return True

    def _note(self, series: _Series, step: int) -> None:
        if not series.count:
            series.first = step
        series.count += 1
        series.last = max(series.last, step)
        series.held = None

    def _tell(self, key: str) -> None:
        if not self._told:
            self._told = True
            _logger.warning("the metric '%s' and further new ones are not logged: %d keys are in use", key, MAX_KEYS)
