"""How sure a measure of chances is: whole patients are drawn with replacement, never their rows."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


def times_drawn(patients: int, draws: int, seed: int) -> Float[np.ndarray, "r p"]:
    """How often each patient is in each resample: the same for all that is compared, so that differences are paired."""
    drawn = np.random.default_rng(seed).integers(patients, size=(draws, patients))
    return np.stack([np.bincount(each, minlength=patients) for each in drawn]).astype(np.float64)


def resampled_auroc(
    chance: Float[Tensor, " n"], label: Float[Tensor, " n"], patient: Int[Tensor, " n"], times: Float[np.ndarray, "r p"]
) -> Float[np.ndarray, " r"]:
    """How often an event scores above a row without, ties a half, in each resample; NaN where one has a single kind."""
    levels, place = (each.numpy() for each in chance.unique(return_inverse=True))
    kinds, owner, found = [(label == kind).double().numpy() for kind in (0, 1)], patient.numpy(), []
    for weight in times:
        negative, positive = (np.bincount(place, weight[owner] * kind, len(levels)) for kind in kinds)
        pairs = positive.sum() * negative.sum()
        found.append((positive * (negative.cumsum() - 0.5 * negative)).sum() / pairs if pairs > 0 else np.nan)
    return np.array(found)


def auroc_interval(
    chance: Float[Tensor, " n"],
    label: Float[Tensor, " n"],
    patient: Int[Tensor, " n"],
    *,
    draws: int = 1_000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """A central interval of resamples."""
    known, number = torch.unique(patient, return_inverse=True)
    found = resampled_auroc(chance, label, number, times_drawn(len(known), draws, seed))
    low, high = np.nanquantile(found, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)
