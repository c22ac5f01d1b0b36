"""Alarms that what comes no longer is what was learned.

Page-Hinkley: Page (1954), "Continuous inspection schemes", here for a rise of the mean. ADWIN: Bifet and Gavalda
(2007), "Learning from Time-Changing Data with Adaptive Windowing", by exponential buckets.
"""

import math
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class PageHinkley:
    """Sums how far errors lie above their running mean, less `tolerance` deviations; alarms when it has risen far.

    Errors are told in units of their own running standard deviation, so that one `threshold` serves every series.
    """

    threshold: float = 30.0
    tolerance: float = 0.25
    warm_up: int = 30  # errors before which nothing is an alarm
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    total: float = 0.0
    least: float = 0.0

    def update(self, error: float) -> bool:
        """Takes an error in; True where it raises the alarm, from where all begins anew."""
        self.count += 1
        before = error - self.mean
        self.mean += before / self.count
        self.squares += before * (error - self.mean)
        deviation = math.sqrt(self.squares / self.count)
        if self.count <= self.warm_up or deviation == 0.0:
            return False
        self.total += (error - self.mean) / deviation - self.tolerance
        self.least = min(self.least, self.total)
        if self.total - self.least <= self.threshold:
            return False
        self.count, self.mean, self.squares, self.total, self.least = 0, 0.0, 0.0, 0.0, 0.0
        return True

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


@dataclass
class Bucket:
    size: int
    total: float
    squares: float  # sum of squared distances from its mean


@dataclass
class Adwin:
    """A window of errors that is cut where its older and newer parts differ by more than chance allows."""

    confidence: float = 0.002
    most: int = 5  # buckets of one size before two become one
    check_every: int = 32
    count: int = 0
    buckets: list[Bucket] = field(default_factory=list)  # the newest first

    @property
    def width(self) -> int:
        return sum(bucket.size for bucket in self.buckets)

    @property
    def mean(self) -> float:
        return sum(bucket.total for bucket in self.buckets) / max(self.width, 1)

    def update(self, error: float) -> bool:
        """Takes an error in; True where the window was cut because errors have become *larger*."""
        self.count += 1
        self.buckets.insert(0, Bucket(1, error, 0.0))
        self._compress()
        return self.count % self.check_every == 0 and self._cut()

    def _compress(self) -> None:
        size, place = 1, 0
        while place < len(self.buckets):
            alike = [k for k, bucket in enumerate(self.buckets) if bucket.size == size]
            if len(alike) <= self.most:
                return
            newer, older = self.buckets[alike[-2]], self.buckets[alike[-1]]
            self.buckets[alike[-2] : alike[-1] + 1] = [_joined(newer, older)]
            size, place = 2 * size, alike[-2]

    def _cut(self) -> bool:
        """Drops the oldest buckets as long as some split shows a difference."""
        worse = False
        while (split := self._split()) is not None:
            old, new = split
            worse = worse or new > old
            self.buckets.pop()
        return worse

    def _split(self) -> tuple[float, float] | None:
        """The means of an older and a newer part that differ by more than the bound; None where none do."""
        width = self.width
        if len(self.buckets) < 2 or width < 2 * self.check_every:
            return None
        mean = self.mean
        variance = sum(b.squares + b.size * (b.total / b.size - mean) ** 2 for b in self.buckets) / width
        chance = math.log(2.0 * math.log(width) / self.confidence)
        newer, total, everything = 0, 0.0, sum(b.total for b in self.buckets)
        for bucket in self.buckets[:-1]:
            newer, total = newer + bucket.size, total + bucket.total
            older = width - newer
            harmonic = 1.0 / (1.0 / newer + 1.0 / older)
            bound = math.sqrt(2.0 / harmonic * variance * chance) + 2.0 / (3.0 * harmonic) * chance
            new, old = total / newer, (everything - total) / older
            if abs(new - old) > bound:
                return old, new
        return None

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "buckets": [[b.size, b.total, b.squares] for b in self.buckets]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]
        self.buckets = [Bucket(int(size), total, squares) for size, total, squares in state["buckets"]]


@dataclass
class Miscoverage:
    """Alarms where intervals that should miss a share `wanted` of what comes miss more or less than chance allows.

    Over the last `window` looks, each told as the share of a tick's entries that lay outside: beyond `deviations` of a
    binomial. Entries of a tick go together, so a look counts as one.
    """

    wanted: float = 0.2
    window: int = 500
    deviations: float = 3.0
    missed: list[float] = field(default_factory=list)  # the oldest first

    def update(self, error: float) -> bool:
        """Takes the share of a look in; True where it raises the alarm, from where all begins anew."""
        self.missed = [*self.missed[-self.window + 1 :], error]
        if len(self.missed) < self.window:
            return False
        apart = abs(sum(self.missed) / self.window - self.wanted)
        if apart <= self.deviations * math.sqrt(self.wanted * (1.0 - self.wanted) / self.window):
            return False
        self.missed = []
        return True

    def state_dict(self) -> dict[str, Any]:
        return {"missed": list(self.missed)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.missed = list(state["missed"])


DETECTORS: dict[str, type[PageHinkley] | type[Adwin] | type[Miscoverage]] = {
    "page-hinkley": PageHinkley,
    "adwin": Adwin,
    "miscoverage": Miscoverage,
}


def _joined(a: Bucket, b: Bucket) -> Bucket:
    apart = a.total / a.size - b.total / b.size
    squares = a.squares + b.squares + apart**2 * a.size * b.size / (a.size + b.size)
    return Bucket(a.size + b.size, a.total + b.total, squares)
