"""Means and deviations of the training part, frozen, so that nothing later can move them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from feeds.errors import FeedError

_FLAT = 1e-12  # a deviation below this share of the largest value is rounding, not movement


def moments(values: np.ndarray, known: np.ndarray) -> tuple[float, float]:
    """Mean and deviation of one feature where `known`; deviation 1 where it does not move, 0 and 1 where none is."""
    column = values[known].astype(np.float64)
    if not column.size:
        return 0.0, 1.0
    deviation = float(column.std())
    return float(column.mean()), deviation if deviation > _FLAT * float(np.abs(column).max()) else 1.0


def rescaled(values: np.ndarray, known: np.ndarray, mean: float, scale: float) -> np.ndarray:
    """One feature less `mean`, divided by `scale`; 0 where it is not `known`."""
    return np.where(known, (values - mean) / scale, 0.0)


@dataclass(frozen=True)
class Standardiser:
    """Subtracts `mean` and divides by `scale`, one number for each feature along the last axis."""

    names: tuple[str, ...]  # F
    mean: np.ndarray  # [F] float64
    scale: np.ndarray  # [F] float64, positive; 1 where the training part does not move

    @classmethod
    def fit(cls, names: Sequence[str], values: np.ndarray, known: np.ndarray) -> "Standardiser":
        """The statistics of `values` `[..., F]` where `known`."""
        pairs = [moments(values[..., index], known[..., index]) for index in range(len(names))]
        return cls(tuple(names), np.array([mean for mean, _ in pairs]), np.array([scale for _, scale in pairs]))

    @classmethod
    def identity(cls, names: Sequence[str]) -> "Standardiser":
        """Leaves values as they are."""
        return cls(tuple(names), np.zeros(len(names)), np.ones(len(names)))

    def transform(self, values: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Float32 `[..., F]`; what is not `known` becomes 0, the mean of the training part."""
        scaled = np.empty(values.shape, np.float32)
        for index in range(len(self.names)):
            scaled[..., index] = rescaled(
                values[..., index], known[..., index], float(self.mean[index]), float(self.scale[index])
            )
        return scaled

    def digest(self) -> str:
        """Sha256 of names and numbers."""
        text = "\n".join(self.names).encode()
        return hashlib.sha256(text + self.mean.tobytes() + self.scale.tobytes()).hexdigest()

    def to_dict(self) -> dict[str, np.ndarray]:
        """Arrays alone, to be saved without pickle."""
        return {"names": np.array(self.names, dtype=np.str_), "mean": self.mean, "scale": self.scale}

    @classmethod
    def from_dict(cls, arrays: Mapping[str, np.ndarray]) -> "Standardiser":
        """The inverse of `to_dict`; raises FeedError where an array is missing or lengths disagree."""
        missing = {"names", "mean", "scale"} - set(arrays)
        if missing:
            raise FeedError(f"a scaler needs the arrays names, mean and scale; missing: {', '.join(sorted(missing))}")
        names = tuple(str(name) for name in arrays["names"])
        mean, scale = np.asarray(arrays["mean"], np.float64), np.asarray(arrays["scale"], np.float64)
        if not len(names) == len(mean) == len(scale):
            raise FeedError(f"a scaler of {len(names)} names has {len(mean)} means and {len(scale)} scales")
        return cls(names, mean, scale)
