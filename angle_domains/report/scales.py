"""Scales of charts: where a value lies between 0 and 1, and which values get a label."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_TIME_STEPS = (  # unit of NumPy, how many, how a tick is written
    ("m", 1, "minute"),
    ("m", 5, "minute"),
    ("m", 15, "minute"),
    ("h", 1, "minute"),
    ("h", 6, "minute"),
    ("h", 12, "minute"),
    ("D", 1, "day"),
    ("D", 2, "day"),
    ("D", 7, "day"),
    ("M", 1, "month"),
    ("M", 3, "month"),
    ("M", 6, "month"),
    ("Y", 1, "year"),
    ("Y", 2, "year"),
    ("Y", 5, "year"),
    ("Y", 10, "year"),
    ("Y", 20, "year"),
    ("Y", 100, "year"),
    ("Y", 1000, "year"),
)
_MOST = 50  # letters on a time axis


@dataclass(frozen=True)
class Scale:
    """Maps values to positions, low to 0 and high to 1."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    @property
    def digits(self) -> int:
        """Decimals that tell the ticks apart and write them exactly, three at most."""
        exact = (d for d in range(3) if all(abs(round(tick, d) - tick) < 1e-9 for tick in self.ticks))
        return next(exact, 3)

    def at(self, value: Float[np.ndarray, "*n"] | float) -> Float[np.ndarray, "*n"]:
        value = np.asarray(value, float)
        if self.log:
            return np.asarray(np.log(value / self.low) / math.log(self.high / self.low))
        return np.asarray((value - self.low) / (self.high - self.low))


def linear(values: np.ndarray, *, zero: bool = False, count: int = 5) -> Scale:
    """A scale that holds all finite values, ends on round numbers, and holds zero where asked to."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low < 1e-12:
        low, high = low - 0.5 * (abs(low) or 1.0) * (not zero or low < 0), high + 0.5 * (abs(high) or 1.0)
    step = round_step((high - low) / count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(round(i * step, 12) for i in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], ticks)


def logarithmic(values: np.ndarray) -> Scale:
    """A log scale: round steps where the values span less than a decade, else 1, 2 and 5 of each decade."""
    low, high = 0.97 * float(np.nanmin(values)), 1.03 * float(np.nanmax(values))
    if high / low < 10.0:
        ticks = linear(np.array([low, high]), count=6).ticks
    else:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = tuple(m * 10.0**d for d in decades for m in (1, 2, 5))
    return Scale(low, high, tuple(tick for tick in ticks if low <= tick <= high), log=True)


def round_step(step: float) -> float:
    """The next of 1, 2, 2.5 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= step * (1 - 1e-9))


@dataclass(frozen=True)
class Axis:
    """What runs across a chart."""

    position: Float[np.ndarray, " t"]  # 0 to 1
    name: np.ndarray  # [T] how each point is called, for reading it off
    ticks: tuple[tuple[float, str], ...]  # (position, label)


def time_axis(timestamp: np.ndarray) -> Axis:
    """From the first to the last of `timestamp`, datetime64 and rising."""
    daily = len(timestamp) < 2 or np.median(np.diff(timestamp)) >= np.timedelta64(20, "h")
    names = np.char.replace(timestamp.astype(f"datetime64[{'D' if daily else 'm'}]").astype(str), "T", " ")
    passed = (timestamp - timestamp[0]) / np.timedelta64(1, "us")
    return Axis(passed / (passed[-1] or 1.0), names, tuple(time_ticks(timestamp[0], timestamp[-1])))


def step_axis(step: np.ndarray) -> Axis:
    """From zero to the last of rising counts."""
    scale = linear(step, zero=True, count=6)
    last = float(step[-1])
    ticks = tuple((tick / last, f"{tick:,.0f}") for tick in scale.ticks if tick <= last)
    return Axis(step / last, np.array([f"step {value:,.0f}" for value in step]), ticks)


def time_ticks(begin: np.datetime64, end: np.datetime64) -> list[tuple[float, str]]:
    """(position, label) of round dates between two times."""
    begin, end = begin.astype("datetime64[us]"), end.astype("datetime64[us]")
    candidates = ((_round_dates(begin, end, unit, every), written) for unit, every, written in _TIME_STEPS)
    ticks, written = next(found for found in candidates if len(found[0]) * len(_written(begin, found[1])) <= _MOST)
    span = (end - begin) / np.timedelta64(1, "us") or 1.0
    return [(float((tick - begin) / np.timedelta64(1, "us") / span), _written(tick, written)) for tick in ticks]


def _round_dates(begin: np.datetime64, end: np.datetime64, unit: str, every: int) -> np.ndarray:
    first, last = begin.astype(f"datetime64[{unit}]").astype(int), end.astype(f"datetime64[{unit}]").astype(int)
    anchor = 1970 if unit == "Y" else 0  # years are numbered from 1970, a decade should begin with its 0
    begun = int(first) + -(int(first) + anchor) % every
    stop = min(int(last) + 1, begun + every * (_MOST + 1))  # more than that are too many in any case
    dates = np.arange(begun, stop, every).astype(f"datetime64[{unit}]").astype("datetime64[us]")
    return dates[(dates >= begin) & (dates <= end)]


def _written(tick: np.datetime64, written: str) -> str:
    unit = {"minute": "m", "day": "D", "month": "M", "year": "Y"}[written]
    return str(tick.astype(f"datetime64[{unit}]")).replace("T", " ")
