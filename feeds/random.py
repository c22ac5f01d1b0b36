"""Chance as a pure function of (key, counter), one code for NumPy and torch.

The mixing function is SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"), on
signed 64-bit integers, whose products wrap in both libraries.
"""

from typing import Any

import array_api_compat

Array = Any

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MULTIPLY_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MULTIPLY_2 = 0x94D049BB133111EB - (1 << 64)


def _shift_right(x: Array, bits: int) -> Array:
    """Logical shift: signed integers would drag the sign along."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _wrapped(number: int) -> int:
    """The number as int64 would hold it: arrays wrap by themselves, plain integers do not."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def mix(x: Array) -> Array:
    """SplitMix64's finaliser, int64 in and out."""
    x = (x ^ _shift_right(x, 30)) * _MULTIPLY_1
    x = (x ^ _shift_right(x, 27)) * _MULTIPLY_2
    return x ^ _shift_right(x, 31)


def fold(key: Array, counter: Array | int) -> Array:
    """A new key from a key and a counter; both int64 arrays, or the counter a plain int."""
    step = _wrapped(counter * _GOLDEN) if isinstance(counter, int) else counter * _GOLDEN
    return mix(mix(key + _GOLDEN) + step)


def uniform(key: Array, counter: Array | int = 0) -> Array:
    """Float64 in [0, 1), 53 random bits."""
    xp = array_api_compat.array_namespace(key)
    return xp.astype(_shift_right(fold(key, counter), 11), xp.float64) * 2.0**-53


def integers(key: Array, high: Array | int, counter: Array | int = 0) -> Array:
    """Int64 in [0, high)."""
    xp = array_api_compat.array_namespace(key)
    return xp.astype(xp.floor(uniform(key, counter) * high), xp.int64)


def normal(key: Array, counter: int = 0) -> Array:
    """Standard normal float64 (Box-Muller on two uniforms)."""
    xp = array_api_compat.array_namespace(key)
    radius = xp.sqrt(-2.0 * xp.log(1.0 - uniform(key, 2 * counter)))
    return radius * xp.cos(2.0 * xp.pi * uniform(key, 2 * counter + 1))
