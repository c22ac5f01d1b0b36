"""Means and deviations of the training part, frozen, so that nothing later can move them."""

import hashlib
from dataclasses import dataclass

import numpy as np

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
    """What was subtracted from each feature and what it was divided by."""

    names: tuple[str, ...]  # F
    mean: np.ndarray  # [F] float64
    scale: np.ndarray  # [F] float64, positive; 1 where the training part does not move

    def digest(self) -> str:
        """Sha256 of names and numbers."""
        text = "\n".join(self.names).encode()
        return hashlib.sha256(text + self.mean.tobytes() + self.scale.tobytes()).hexdigest()
